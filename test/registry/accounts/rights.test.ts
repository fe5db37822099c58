import { describe, it } from 'vitest';

import { RIGHTS_PER_REPOSITORY_MAX } from '../../../src/model/limits.ts';
import { accountOf, logIn, namespaceOf, repositoryOf } from '../../support/accounts.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, endingOf, losing } from '../../support/lost-answers.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';

const acme = namespaceOf('acme');

async function aWorld() {
  const world = openTestRegistry();
  const repository = await aRepository(world, repositoryOf('acme/app'));
  const ada = await world.operations.createUser(namespaceOf('ada'));
  return { ...world, repository, ada };
}

describe('a right in a repository', () => {
  it('is given, raised, listed and taken back', async ({ expect }) => {
    const world = await aWorld();
    const { operations, repository, ada } = world;
    const { id, name } = ada.user;
    const { robot } = await operations.createRobot(acme, 'ci');
    for (const role of ['read', 'write', 'admin'] as const) {
      const right = { accountId: id, name: 'ada', kind: 'user', role, isMember: false };
      expect(await operations.setRepositoryRight(repository, name, role)).toEqual(right);
      expect(await operations.setRepositoryRight(repository, name, role)).toEqual(right);
      expect(await operations.getRepositoryRight(repository, name)).toEqual(right);
      expect(await logIn(world, ada.secret, 'acme/app')).toEqual({ name: 'ada', role });
    }
    await operations.setMember(acme, robot.name, 'member');
    await operations.setRepositoryRight(repository, robot.name, 'write');
    const { items } = await operations.listRepositoryRights(repository);
    expect(items.map((right) => [right.name, right.kind, right.role, right.isMember])).toEqual([
      ['acme+ci', 'robot', 'write', true],
      ['ada', 'user', 'admin', false],
    ]);
    const first = await operations.listRepositoryRights(repository, { limit: 1 });
    expect(first).toMatchObject({ items: [{ name: 'acme+ci' }], cursor: 'acme+ci' });
    const rest = { limit: 1, cursor: first.cursor ?? null };
    expect(await operations.listRepositoryRights(repository, rest)).toMatchObject({
      items: [{ name: 'ada' }],
      hasMore: false,
    });
    expect(await operations.removeRepositoryRight(repository, name)).toBe(true);
    expect(await operations.removeRepositoryRight(repository, name)).toBe(false);
    expect(await operations.getRepositoryRight(repository, name)).toBeNull();
    expect(await logIn(world, ada.secret, 'acme/app')).toEqual({ name: 'ada', role: null });
    expect(await findViolations()).toEqual([]);
  });

  it('is for people, and for robots of the namespace', async ({ expect }) => {
    const { operations, repository } = await aWorld();
    const foreign = await operations.createRobot(namespaceOf('ada'), 'ci');
    const refused = async (name: string, code: string) => {
      const setting = operations.setRepositoryRight(repository, accountOf(name), 'read');
      await expect(setting, name).rejects.toMatchObject({ code });
    };
    await refused('none', 'AccountNotFound');
    await refused(foreign.robot.name, 'RobotNotAllowed');
    await operations.createRobot(acme, 'ci');
    await execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
        WHERE i < ${RIGHTS_PER_REPOSITORY_MAX})
      INSERT INTO account (name, kind, namespace_id, created_ms)
      SELECT 'acme+r' || i, 'robot', ${repository.namespaceId}, 0 FROM n`);
    await execute(`INSERT INTO repository_right (repository_id, account_id, role)
      SELECT ${repository.id}, id, 'read' FROM account WHERE name LIKE 'acme+r%'`);
    await refused('ada', 'LimitReached');
    const raised = await operations.setRepositoryRight(repository, accountOf('acme+r77'), 'write');
    expect(raised.role).toBe('write');
    await operations.markRepositoryForDeletion(repository);
    await refused('ada', 'RepositoryNotFound');
    await refused('acme+r77', 'RepositoryNotFound');
    await execute(`DELETE FROM repository_right WHERE role = 'read'`);
    await refused('ada', 'RepositoryNotFound');
    expect(await select('SELECT role FROM repository_right')).toEqual([{ role: 'write' }]);
    expect(await operations.listRepositoryRights(repository)).toEqual({
      items: [],
      hasMore: false,
    });
  });

  it('of an account is listed over all repositories, but those that are gone', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { operations, repository, ada } = world;
    const more = [
      await aRepository(world, repositoryOf('other/b')),
      await aRepository(world, repositoryOf('acme/a')),
    ];
    for (const one of [repository, ...more]) {
      await operations.setRepositoryRight(one, ada.user.name, 'write');
    }
    await operations.changeVisibility(repository, 'public');
    const first = await operations.listRightsOf(ada.user, { limit: 2 });
    expect(first.items.map((right) => [right.repository, right.isPublic, right.role])).toEqual([
      [repositoryOf('acme/app'), true, 'write'],
      [repositoryOf('other/b'), false, 'write'],
    ]);
    const cursor = first.cursor ?? null;
    expect(await operations.listRightsOf(ada.user, { limit: 2, cursor })).toMatchObject({
      items: [{ repository: repositoryOf('acme/a') }],
      hasMore: false,
    });
    for (const wrong of ['x', '-1', '1e3', '']) {
      const listing = operations.listRightsOf(ada.user, { cursor: wrong });
      await expect(listing).rejects.toMatchObject({ code: 'InvalidFilter' });
    }
    await operations.markRepositoryForDeletion(repository);
    expect((await operations.listRightsOf(ada.user)).items).toHaveLength(2);
  });

  it('is given and taken back once, though answers are lost', async ({ expect }) => {
    const { operations, repository, ada } = await aWorld();
    const { name } = ada.user;
    for (const fates of allFates(3)) {
      const what = fates.join('; ');
      const lossy = (write: 'setRepositoryRight' | 'removeRepositoryRight') => {
        const { gate, losses } = losing(fates);
        const behind = openTestRegistry({ gate }).operations;
        return endingOf<unknown>(behind[write](repository, name, 'write'), losses);
      };
      const given = await lossy('setRepositoryRight');
      const right = await operations.getRepositoryRight(repository, name);
      expect('given' in given ? given.given : right, what).toEqual(right);
      await operations.setRepositoryRight(repository, name, 'write');
      const taken = await lossy('removeRepositoryRight');
      if ('given' in taken) {
        expect(taken.given, what).toBe(true);
        expect(await operations.getRepositoryRight(repository, name), what).toBeNull();
      }
    }
  });

  it('costs one round trip, and two rows written once', async ({ expect }) => {
    const { operations, repository, meter, ada } = await aWorld();
    const costOf = async (operation: () => Promise<unknown>) => {
      const { d1RoundTrips, d1RowsWritten } = meter.usage;
      await operation();
      return [meter.usage.d1RoundTrips - d1RoundTrips, meter.usage.d1RowsWritten - d1RowsWritten];
    };
    const set = () => operations.setRepositoryRight(repository, ada.user.name, 'read');
    expect(await costOf(set)).toEqual([1, 2]);
    expect(await costOf(set)).toEqual([1, 0]);
    const remove = () => operations.removeRepositoryRight(repository, ada.user.name);
    expect(await costOf(remove)).toEqual([1, 1]);
    expect(await costOf(remove)).toEqual([1, 0]);
  });
});

describe('explainAccess', () => {
  it('names every reason for what somebody may', async ({ expect }) => {
    const world = await aWorld();
    const { operations, repository, ada } = world;
    const { name } = ada.user;
    const why = async (who = name, where = repository) => {
      const explained = await operations.explainAccess(where, who);
      return explained === null
        ? null
        : [explained.role, ...explained.grants.map(({ kind, role }) => `${kind}: ${role}`)];
    };
    expect(await why(accountOf('none'))).toBeNull();
    expect(await why()).toEqual([null]);
    await operations.changeVisibility(repository, 'public');
    expect(await why()).toEqual(['read', 'public: read']);
    await operations.setRepositoryRight(repository, name, 'read');
    await operations.setMember(acme, name, 'member');
    await operations.changeNamespace(acme, { memberRole: 'write' });
    expect(await why()).toEqual(['write', 'member-role: write', 'right: read', 'public: read']);
    await operations.setMember(acme, name, 'admin');
    expect(await why()).toEqual([
      'admin',
      'organization-admin: admin',
      'member-role: write',
      'right: read',
      'public: read',
    ]);
    const own = await aRepository(world, repositoryOf('ada/app'));
    expect(await why(name, own)).toEqual(['admin', 'owner: admin']);
    await operations.changeNamespace(namespaceOf('ada'), { isEnabled: false });
    expect(await why()).toEqual([null]);
    await operations.changeNamespace(namespaceOf('ada'), { isEnabled: true });
    await operations.markRepositoryForDeletion(repository);
    expect(await why()).toBeNull();
  });
});
