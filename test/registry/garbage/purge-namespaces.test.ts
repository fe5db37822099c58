import { describe, it } from 'vitest';

import {
  PURGE_ROWS_PER_STEP_MAX,
  REPOSITORIES_MARKED_PER_STEP_MAX,
} from '../../../src/model/limits.ts';
import { parseRepositoryName } from '../../../src/model/names.ts';
import { logIn, namespaceOf, repositoryOf } from '../../support/accounts.ts';
import { DAY_MS } from '../../support/clock.ts';
import { crashEverywhere } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { losing } from '../../support/lost-answers.ts';
import { holdings, purgeAll } from '../../support/purge.ts';
import { limitsOf } from '../../support/quota.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { change, execute, openStage, select, type Stage } from '../../support/stage.ts';

/** A namespace with an image in a repository, and so many that are empty. */
async function aNamespace(others: number) {
  const stage = await openStage();
  const { id, namespaceId } = stage.repository;
  await stage.push('v1', await stage.image());
  await execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${others})
    INSERT INTO repository (namespace_id, name) SELECT ${namespaceId}, 'r-${id}-' || i FROM n`);
  await execute(`INSERT INTO namespace_geo_restriction (namespace_id, restricted_region_iso_code,
    added_ms) VALUES (${namespaceId}, 'US', 0)`);
  await execute(`INSERT INTO namespace_immutability_policy (uuid, namespace_id, tag_pattern)
    VALUES ('p${namespaceId}', ${namespaceId}, 'v')`);
  await stage.operations.setQuota(stage.repository.namespaceName, limitsOf(1000));
  await fillAccounts(stage);
  return { ...stage, name: stage.repository.namespaceName };
}

/** A robot of it and somebody from elsewhere, with a membership and a right each; all at once. */
async function fillAccounts({ repository }: Stage) {
  const { id, namespaceId, namespaceName } = repository;
  const both = `FROM account WHERE namespace_id = ${namespaceId} OR name = 'member'`;
  await change(
    `INSERT INTO namespace (name, kind) VALUES ('member', 'user') ON CONFLICT DO NOTHING`,
    `INSERT INTO account (name, kind, namespace_id, created_ms)
      SELECT name, 'user', id, 0 FROM namespace WHERE name = 'member' ON CONFLICT DO NOTHING`,
    `INSERT INTO account (name, kind, namespace_id, created_ms)
      VALUES ('${namespaceName}+ci', 'robot', ${namespaceId}, 0)`,
    `INSERT INTO credential (uuid, account_id, kind, title, prefix, secret_hash, created_ms)
      SELECT name, id, 'robot_token', '', name, printf('%064d', 0), 0 FROM account
      WHERE kind = 'robot' ON CONFLICT DO NOTHING`,
    `INSERT INTO namespace_member SELECT ${namespaceId}, id, 'creator' ${both}`,
    `INSERT INTO repository_right SELECT ${id}, id, 'read' ${both}`,
  )((_call, run) => run());
}

/** Cron's jobs until nothing is marked. */
async function finish(world: Awaited<ReturnType<typeof aNamespace>>) {
  await world.housekeeping.purgeNamespaces();
  for (let runs = 0; runs < 10; runs += 1) {
    await purgeAll(world);
    world.clock.advance(DAY_MS);
    await world.housekeeping.purgeNamespaces();
  }
}

/** But who was a member. */
const NOTHING_LEFT = {
  repositories: 0,
  namespaces: 1,
  account: 1,
  credential: 0,
  namespace_member: 0,
  repository_right: 0,
  deleted_namespace: 0,
  namespace_geo_restriction: 0,
  namespace_immutability_policy: 0,
  namespace_quota: 0,
  quota_namespace_size: 0,
  quota_repository_size: 0,
  blob: 0,
  objects: [],
};

const countRights = async () => (await select('SELECT * FROM repository_right')).length;

describe('a namespace that is marked for deletion', () => {
  it('frees its name at once, goes with all that it has, and no other with it', async ({
    expect,
  }) => {
    const world = await aNamespace(2 * REPOSITORIES_MARKED_PER_STEP_MAX);
    const { operations, registry, name, repository } = world;
    expect(await operations.markNamespaceForDeletion('unknown')).toBe(false);
    expect(await operations.markNamespaceForDeletion(name)).toBe(true);
    expect(await operations.markNamespaceForDeletion(name)).toBe(false);
    expect(await registry.lookupRepository(name, repository.name)).toBeNull();
    expect(await operations.listRepositories('', 10)).toMatchObject({ items: [] });
    expect(await select('SELECT DISTINCT state FROM repository')).toEqual([{ state: 3 }]);
    const again = await aRepository(world, parseRepositoryName(`${name}/app`) ?? undefined);
    expect(again.namespaceId).not.toBe(repository.namespaceId);
    await finish(world);
    expect(await select(`SELECT id FROM namespace WHERE name <> 'member'`)).toEqual([
      { id: again.namespaceId },
    ]);
    expect(await select('SELECT id FROM repository')).toEqual([{ id: again.id }]);
    expect(await operations.markNamespaceForDeletion(name)).toBe(true);
    await finish(world);
    expect(await holdings()).toMatchObject(NOTHING_LEFT);
  });

  it('has the rest of its repositories marked by the next runs', async ({ expect }) => {
    const world = await aNamespace(3 * REPOSITORIES_MARKED_PER_STEP_MAX);
    const { clock, operations, housekeeping, name } = world;
    const dying = openTestRegistry({ clock, gate: losing(['answered'], 'lost before').gate });
    await expect(dying.operations.markNamespaceForDeletion(name)).rejects.toThrow('lost');
    expect(await housekeeping.purgeNamespaces({ statements: 20 })).toEqual({
      namespaces: 0,
      marked: 2 * REPOSITORIES_MARKED_PER_STEP_MAX,
      isFinished: false,
    });
    expect(await housekeeping.purgeNamespaces()).toMatchObject({
      marked: REPOSITORIES_MARKED_PER_STEP_MAX + 1,
    });
    expect(await operations.markNamespaceForDeletion(name)).toBe(false);
    await finish(world);
    expect(await holdings()).toMatchObject(NOTHING_LEFT);
  });

  it('takes what its accounts had elsewhere, some rows at a time, and nobody else', async ({
    expect,
  }) => {
    const world = openTestRegistry();
    const { operations, housekeeping, clock } = world;
    const gone = await operations.createUser(namespaceOf('gone'));
    const stays = await operations.createUser(namespaceOf('stays'));
    const org = namespaceOf('org');
    const shared = await aRepository(world, repositoryOf('org/app'));
    for (const { user } of [gone, stays]) {
      await operations.setMember(org, user.name, 'creator');
      await operations.setRepositoryRight(shared, user.name, 'write');
    }
    await operations.createAppToken(gone.user, { title: 'x', expiresMs: null });
    await operations.createRobot(namespaceOf('gone'), 'ci');
    const many = 2 * PURGE_ROWS_PER_STEP_MAX;
    await execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${many})
      INSERT INTO repository (namespace_id, name) SELECT ${shared.namespaceId}, 'r' || i FROM n`);
    await execute(`INSERT INTO repository_right (repository_id, account_id, role)
      SELECT id, ${gone.user.id}, 'read' FROM repository WHERE name <> 'app'`);
    await operations.markNamespaceForDeletion('gone');
    expect(await logIn(world, gone.secret, 'org/app')).toEqual({ name: null, role: null });
    expect(await operations.listRepositoryRights(shared)).toMatchObject({
      items: [{ name: 'stays' }],
    });
    expect(await operations.listMembers(org)).toMatchObject({ items: [{ name: 'stays' }] });
    const before = await countRights();
    // To take it up, one page of marking and one step of removing.
    const statements = 2 + 7 + 11;
    expect(await housekeeping.purgeNamespaces({ statements })).toMatchObject({ isFinished: false });
    expect(await countRights()).toBe(before - PURGE_ROWS_PER_STEP_MAX);
    expect(await findViolations()).toEqual([]);
    clock.advance(DAY_MS);
    expect(await housekeeping.purgeNamespaces()).toMatchObject({ namespaces: 1 });
    expect(await select('SELECT name FROM account')).toEqual([{ name: 'stays' }]);
    expect(await countRights()).toBe(1);
    expect(await logIn(world, stays.secret, 'org/app')).toEqual({ name: 'stays', role: 'write' });
    await world.settleDeferred();
  });

  it('I-CRASH: mark and purge may stop at any call', async ({ expect }) => {
    await crashEverywhere(async () => {
      const world = await aNamespace(1);
      const { clock, operations, name } = world;
      return {
        operation: async (gate) => {
          const behind = openTestRegistry({ clock, gate });
          await behind.operations.markNamespaceForDeletion(name);
          await behind.housekeeping.purgeRepositories();
          await behind.housekeeping.purgeNamespaces();
        },
        check: async ({ callNumber, when }) => {
          const what = `stopped ${when} call ${callNumber}`;
          expect(await findViolations(), what).toEqual([]);
          await operations.markNamespaceForDeletion(name);
          clock.advance(DAY_MS);
          await world.housekeeping.purgeNamespaces();
          await purgeAll(world);
          clock.advance(DAY_MS);
          await world.housekeeping.purgeNamespaces();
          expect(await holdings(), what).toMatchObject(NOTHING_LEFT);
        },
      };
    });
  });
});
