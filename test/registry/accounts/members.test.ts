import { describe, it } from 'vitest';

import { MEMBERS_PER_ORGANIZATION_MAX } from '../../../src/model/limits.ts';
import { accountOf, logIn, namespaceOf, repositoryOf } from '../../support/accounts.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { losing } from '../../support/lost-answers.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, select, valueOf } from '../../support/stage.ts';

const acme = namespaceOf('acme');

async function aWorld() {
  const world = openTestRegistry();
  const { operations } = world;
  const repository = await aRepository(world, repositoryOf('acme/app'));
  const ada = await operations.createUser(namespaceOf('ada'));
  return { ...world, repository, ada };
}

describe('a member', () => {
  it('is taken in, given another role, listed, and let go', async ({ expect }) => {
    const world = await aWorld();
    const { operations, ada } = world;
    const { name, id } = ada.user;
    expect(await operations.getMember(acme, name)).toBeNull();
    let roleBefore = null;
    for (const role of ['member', 'creator', 'admin'] as const) {
      const member = { accountId: id, name: 'ada', kind: 'user', role };
      expect(await operations.setMember(acme, name, role)).toEqual({ member, roleBefore });
      roleBefore = role;
      expect(await operations.setMember(acme, name, role)).toEqual({ member, roleBefore });
      expect(await operations.getMember(acme, name)).toEqual(member);
      expect(await operations.listMembers(acme)).toEqual({ items: [member], hasMore: false });
      expect(await logIn(world, ada.secret, 'acme/app')).toEqual({
        name: 'ada',
        role: role === 'admin' ? 'admin' : null,
      });
    }
    expect(await operations.listMemberships(ada.user)).toEqual({
      items: [{ namespaceId: world.repository.namespaceId, name: 'acme', role: 'admin' }],
      hasMore: false,
    });
    expect(await operations.removeMember(acme, name)).toBe(true);
    expect(await operations.removeMember(acme, name)).toBe(false);
    expect(await operations.removeMember(namespaceOf('none'), name)).toBe(false);
    expect(await operations.listMembers(acme)).toEqual({ items: [], hasMore: false });
    expect((await logIn(world, ada.secret, 'acme/app')).role).toBeNull();
  });

  it('is a person, or a robot of the organization that is no admin of it', async ({ expect }) => {
    const { operations } = await aWorld();
    const { robot } = await operations.createRobot(acme, 'ci');
    const foreign = await operations.createRobot(namespaceOf('ada'), 'ci');
    for (const [organization, name, role, code] of [
      ['none', 'ada', 'member', 'NamespaceNotFound'],
      ['ada', 'ada', 'member', 'NotAnOrganization'],
      ['ada', 'ada+ci', 'member', 'NotAnOrganization'],
      ['acme', 'none', 'member', 'AccountNotFound'],
      ['acme', foreign.robot.name, 'member', 'RobotNotAllowed'],
      ['acme', 'acme+ci', 'admin', 'RobotNotAllowed'],
    ] as const) {
      const setting = operations.setMember(namespaceOf(organization), accountOf(name), role);
      await expect(setting, `${name} in ${organization}`).rejects.toMatchObject({ code });
    }
    for (const role of ['member', 'creator'] as const) {
      expect(await operations.setMember(acme, robot.name, role)).toMatchObject({
        member: { kind: 'robot', role },
      });
    }
    const promoting = operations.setMember(acme, robot.name, 'admin');
    await expect(promoting).rejects.toMatchObject({ detail: { reason: 'admin' } });
    expect(await operations.getMember(acme, robot.name)).toMatchObject({ role: 'creator' });
    expect(await findViolations()).toEqual([]);
  });

  it('is one of many, a page at a time by name, and of so many at most', async ({ expect }) => {
    const { operations, repository, ada } = await aWorld();
    const others = MEMBERS_PER_ORGANIZATION_MAX - 1;
    await execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${others})
      INSERT INTO account (id, name, kind, namespace_id, created_ms)
      SELECT 10000 - i, 'acme+r' || printf('%04d', i), 'robot', ${repository.namespaceId}, 0 FROM n`);
    await execute(`INSERT INTO namespace_member (namespace_id, account_id, role)
      SELECT namespace_id, id, 'member' FROM account WHERE kind = 'robot'`);
    await operations.setMember(acme, ada.user.name, 'member');
    const bob = await operations.createUser(namespaceOf('bob'));
    await expect(operations.setMember(acme, bob.user.name, 'member')).rejects.toMatchObject({
      code: 'LimitReached',
    });
    expect(await operations.setMember(acme, ada.user.name, 'admin')).toMatchObject({
      member: { role: 'admin' },
      roleBefore: 'member',
    });
    const page = await operations.listMembers(acme, { limit: 3, cursor: 'acme+r0007' });
    expect(page).toMatchObject({ hasMore: true, cursor: 'acme+r0010' });
    expect(page.items.map(({ name }) => name)).toEqual(['acme+r0008', 'acme+r0009', 'acme+r0010']);
    const last = await operations.listMembers(acme, { cursor: 'acme+r4999' });
    expect(last).toMatchObject({ items: [{ name: 'ada' }], hasMore: false });
    await operations.markNamespaceForDeletion(namespaceOf('ada'));
    expect((await operations.listMembers(acme, { cursor: 'acme+r4999' })).items).toEqual([]);
  });

  it('leaves with all rights in the organization, and with no others', async ({ expect }) => {
    const world = await aWorld();
    const { operations, repository, ada } = world;
    const elsewhere = await aRepository(world, repositoryOf('other/app'));
    const { robot } = await operations.createRobot(acme, 'ci');
    const { name } = ada.user;
    for (const one of [name, robot.name]) {
      await operations.setMember(acme, one, 'creator');
      await operations.setRepositoryRight(repository, one, 'write');
    }
    await operations.setRepositoryRight(elsewhere, name, 'write');
    const { gate } = losing(['committed, then lost']);
    const leaving = openTestRegistry({ gate }).operations.removeMember(acme, name);
    expect(await leaving).toBe(true);
    expect(await logIn(world, ada.secret, 'acme/app')).toMatchObject({ role: null });
    expect(await logIn(world, ada.secret, 'other/app')).toMatchObject({ role: 'write' });
    await operations.removeMember(acme, robot.name);
    expect(await operations.getRepositoryRight(repository, robot.name)).toMatchObject({
      role: 'write',
    });
    await operations.setRepositoryRight(repository, name, 'read');
    expect(await operations.removeMember(acme, name)).toBe(false);
    expect(await logIn(world, ada.secret, 'acme/app')).toMatchObject({ role: 'read' });
  });

  it('who leaves while a push of theirs makes a repository keeps nothing of it', async ({
    expect,
  }) => {
    const { operations, ada } = await aWorld();
    const { id: creatorId, name } = ada.user;
    let pushes = 0;
    const schedules: string[] = [];
    await interleaveAll(async () => {
      pushes += 1;
      const pushed = repositoryOf(`acme/pushed-${pushes}`);
      await operations.setMember(acme, name, 'creator');
      return {
        racers: [
          (gate) => openTestRegistry({ gate }).operations.removeMember(acme, name),
          (gate) => openTestRegistry({ gate }).operations.ensureRepository(pushed, { creatorId }),
        ],
        check: async ([removed, made], schedule) => {
          schedules.push(schedule);
          expect(valueOf(removed), schedule).toBe(true);
          expect(valueOf(made) !== null, schedule).toBe(schedule.startsWith('B'));
          expect(await select('SELECT * FROM repository_right'), schedule).toEqual([]);
        },
      };
    });
    expect(schedules).toEqual(expect.arrayContaining(['AB', 'BA']));
    expect(await findViolations()).toEqual([]);
  });

  it('costs one round trip to take in and to let go, and nothing to take in again', async ({
    expect,
  }) => {
    const { operations, meter, ada } = await aWorld();
    const costOf = async (operation: () => Promise<unknown>) => {
      const { d1RoundTrips, d1RowsWritten } = meter.usage;
      await operation();
      return [meter.usage.d1RoundTrips - d1RoundTrips, meter.usage.d1RowsWritten - d1RowsWritten];
    };
    const { name } = ada.user;
    expect(await costOf(() => operations.setMember(acme, name, 'member'))).toEqual([1, 2]);
    expect(await costOf(() => operations.setMember(acme, name, 'member'))).toEqual([1, 0]);
    expect(await costOf(() => operations.setMember(acme, name, 'admin'))).toEqual([1, 1]);
    expect(await costOf(() => operations.removeMember(acme, name))).toEqual([1, 1]);
  });
});
