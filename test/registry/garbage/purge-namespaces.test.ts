import { describe, it } from 'vitest';

import { REPOSITORIES_MARKED_PER_STEP_MAX } from '../../../src/model/limits.ts';
import { parseRepositoryName } from '../../../src/model/names.ts';
import { DAY_MS } from '../../support/clock.ts';
import { crashEverywhere } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { losing } from '../../support/lost-answers.ts';
import { holdings, purgeAll } from '../../support/purge.ts';
import { limitsOf } from '../../support/quota.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, openStage, select } from '../../support/stage.ts';

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
  return { ...stage, name: stage.repository.namespaceName };
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

const NOTHING_LEFT = {
  repositories: 0,
  namespaces: 0,
  deleted_namespace: 0,
  namespace_geo_restriction: 0,
  namespace_immutability_policy: 0,
  namespace_quota: 0,
  quota_namespace_size: 0,
  quota_repository_size: 0,
  blob: 0,
  objects: [],
};

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
    expect(await select('SELECT id FROM namespace')).toEqual([{ id: again.namespaceId }]);
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
