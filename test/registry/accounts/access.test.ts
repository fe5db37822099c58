import { describe, it } from 'vitest';

import type { MemberRole, RepositoryRole } from '../../../src/model/access.ts';
import type { RobotPurpose } from '../../../src/model/accounts.ts';
import { parseRepositoryName, type RepositoryName } from '../../../src/model/names.ts';
import type { Asker } from '../../../src/registry/accounts/access.ts';
import {
  addMember,
  aNamespace,
  anAccount,
  giveRight,
  type TestAccount,
} from '../../support/accounts.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';

const nameOf = (text: string): RepositoryName => parseRepositoryName(text) as RepositoryName;
const bySecret = ({ name, secret }: TestAccount): Asker => ({
  kind: 'claimant',
  claim: { kind: 'secret', username: name, secret },
});
const ANONYMOUS: Asker = { kind: 'anonymous' };

describe('the access of an account', () => {
  const cases: readonly {
    readonly title: string;
    readonly who: string;
    readonly purpose?: RobotPurpose;
    readonly member?: MemberRole;
    readonly memberRole?: string;
    readonly right?: RepositoryRole;
    readonly isPublic?: boolean;
    readonly role: RepositoryRole | null;
    readonly mayCreate?: boolean;
  }[] = [
    { title: 'a stranger', who: 'ada', role: null },
    { title: 'a stranger where it is public', who: 'ada', isPublic: true, role: 'read' },
    { title: 'a reader', who: 'ada', right: 'read', role: 'read' },
    {
      title: 'a writer where it is public',
      who: 'ada',
      right: 'write',
      isPublic: true,
      role: 'write',
    },
    { title: 'an admin of the repository', who: 'ada', right: 'admin', role: 'admin' },
    { title: 'a member', who: 'ada', member: 'member', role: null },
    {
      title: 'a member of who all read',
      who: 'ada',
      member: 'member',
      memberRole: 'read',
      role: 'read',
    },
    {
      title: 'a member of who all write, with the right to read',
      who: 'ada',
      member: 'member',
      memberRole: 'write',
      right: 'read',
      role: 'write',
    },
    { title: 'no member, where members write', who: 'ada', memberRole: 'write', role: null },
    { title: 'a creator', who: 'ada', member: 'creator', role: null, mayCreate: true },
    {
      title: 'an admin of the organization',
      who: 'ada',
      member: 'admin',
      role: 'admin',
      mayCreate: true,
    },
    { title: 'a robot', who: 'acme+ci', role: null },
    { title: 'a robot that may write', who: 'acme+ci', right: 'write', role: 'write' },
    { title: 'a robot of another namespace', who: 'other+ci', role: null },
    { title: 'a person who is called as the organization is', who: 'acme2', role: null },
  ];
  for (const { title, who, member, memberRole, right, isPublic, role, mayCreate } of cases) {
    it(`of ${title} is ${role ?? 'none'}`, async ({ expect }) => {
      const registry = openTestRegistry();
      const repository = await aRepository(registry, nameOf('acme/app'));
      const account = await anAccount(who);
      const namespaceId = await aNamespace('acme');
      await execute('UPDATE repository SET visibility = ?', isPublic ? 'public' : 'private');
      await execute('UPDATE namespace SET member_role = ?', memberRole ?? 'none');
      if (member !== undefined) {
        await addMember(account, namespaceId, member);
      }
      if (right !== undefined) {
        await giveRight(account, repository.id, right);
      }
      const names = ['acme/app', 'acme/none', 'none/none'].map(nameOf);
      const judged = await registry.operations.judgeAccess(bySecret(account), names);
      expect(judged.account).toMatchObject({ id: account.id, name: who, isEnabled: true });
      expect(judged.repositories.map(({ access }) => access.role)).toEqual([
        role,
        mayCreate ? 'admin' : null,
        null,
      ]);
      expect(judged.repositories.map(({ access }) => access.mayCreate)).toEqual([
        mayCreate ?? false,
        mayCreate ?? false,
        false,
      ]);
    });
  }

  it('is everything in their own namespace, and nothing for a robot of it', async ({ expect }) => {
    const registry = openTestRegistry();
    const [person, robot] = [await anAccount('ada'), await anAccount('ada+ci')];
    await aRepository(registry, nameOf('ada/app'));
    const judge = async (account: TestAccount) =>
      (await registry.operations.judgeAccess(bySecret(account), [nameOf('ada/app')]))
        .repositories[0]?.access;
    expect(await judge(person)).toEqual({
      role: 'admin',
      mayCreate: true,
      isNamespaceMember: true,
      isNamespaceAdmin: true,
      purpose: 'pull_push',
    });
    expect(await judge(robot)).toMatchObject({ role: null, mayCreate: false });
  });

  it('is nothing once it or its namespace is disabled, or its secret is over', async ({
    expect,
  }) => {
    const registry = openTestRegistry();
    const { id } = await aRepository(registry, nameOf('acme/app'));
    const robot = await anAccount('acme+ci', { expiresMs: registry.clock.nowMs() + 1000 });
    await giveRight(robot, id, 'write');
    const isIn = async () => {
      const judged = await registry.operations.judgeAccess(bySecret(robot), [nameOf('acme/app')]);
      expect(judged.repositories[0]?.access.role).toBe(judged.account === null ? null : 'write');
      return judged.account !== null;
    };
    expect(await isIn()).toBe(true);
    await execute('UPDATE namespace SET enabled = 0');
    expect(await isIn()).toBe(false);
    await execute('UPDATE namespace SET enabled = 1');
    await execute('UPDATE account SET enabled = 0');
    expect(await isIn()).toBe(false);
    await execute('UPDATE account SET enabled = 1');
    expect(await isIn()).toBe(true);
    registry.clock.advance(1000);
    expect(await isIn()).toBe(false);
  });
});

describe('the question of access', () => {
  it('costs one statement, and as many rows for what is not there as for the forbidden', async ({
    expect,
  }) => {
    const registry = openTestRegistry();
    await aRepository(registry, nameOf('acme/app'));
    const [stranger, owner] = [await anAccount('ada'), await anAccount('bob')];
    const { id } = await aRepository(registry, nameOf('bob/app'));
    expect(id).toBeGreaterThan(0);
    const costOf = async (asker: Asker, name: string) => {
      const { usage } = registry.meter;
      const before = { ...usage };
      await registry.operations.judgeAccess(asker, [nameOf(name)]);
      return [usage.d1Statements - before.d1Statements, usage.d1RowsRead - before.d1RowsRead];
    };
    for (const account of [stranger, owner]) {
      await registry.operations.judgeAccess(bySecret(account), []);
    }
    await registry.settleDeferred();
    const wrong = { ...stranger, secret: stranger.secret.slice(0, 60).padEnd(64, '0') };
    const forbidden = await costOf(bySecret(stranger), 'acme/app');
    const unknown = await costOf(bySecret(stranger), 'acme/none');
    const wrongSecret = await costOf(bySecret(wrong), 'acme/app');
    expect([forbidden[0], unknown[0], wrongSecret[0]]).toEqual([1, 1, 1]);
    expect(await costOf(bySecret(owner), 'bob/app')).toEqual([1, expect.any(Number)]);
    expect(forbidden[1]).toBeLessThanOrEqual(8);
  });

  it('travels with what is read meanwhile, and goes alone where nothing is', async ({ expect }) => {
    const registry = openTestRegistry();
    const name = nameOf('acme/app');
    const { id } = await aRepository(registry, name);
    const robot = await anAccount('acme+ci');
    await giveRight(robot, id, 'read');
    const { usage } = registry.meter;
    const trips = async (read: () => Promise<unknown>) => {
      const before = usage.d1RoundTrips;
      const { judgement, reading } = await registry.operations.judgeAccessWhile(
        bySecret(robot),
        name,
        read,
      );
      expect(judgement.repositories[0]?.access.role).toBe('read');
      await reading;
      return usage.d1RoundTrips - before;
    };
    await registry.settleDeferred();
    await trips(async () => 'nothing');
    await registry.settleDeferred();
    expect(await trips(async () => 'nothing')).toBe(1);
    expect(
      await trips(() => registry.registry.lookupRepository(name.namespace, name.repository)),
    ).toBe(1);
    expect(
      await trips(async () => {
        await registry.operations.resolveBlobForPush(name, `sha256:${'0'.repeat(64)}` as never);
        await registry.operations.resolveBlobForPush(name, `sha256:${'0'.repeat(64)}` as never);
      }),
    ).toBe(2);
  });

  it('is judged though what is read meanwhile fails, and that is for the caller', async ({
    expect,
  }) => {
    const registry = openTestRegistry();
    const { judgement, reading } = await registry.operations.judgeAccessWhile(
      ANONYMOUS,
      nameOf('acme/none'),
      () => Promise.reject(new Error('lost')),
    );
    expect(judgement.repositories[0]?.access.role).toBe(null);
    await expect(reading).rejects.toThrow('lost');
  });

  it('notes the use of a secret once a day', async ({ expect }) => {
    const registry = openTestRegistry();
    const account = await anAccount('ada');
    const uses: unknown[] = [];
    for (const ms of [0, 1000, 86_400_000, 1000]) {
      registry.clock.advance(ms);
      await registry.operations.judgeAccess(bySecret(account), []);
      await registry.settleDeferred();
      uses.push((await select('SELECT last_used_ms AS at FROM credential'))[0]?.['at']);
    }
    const [first, second, third, fourth] = uses;
    expect(first).toBe(second);
    expect(Number(third) - Number(first)).toBe(86_401_000);
    expect(fourth).toBe(third);
  });

  it('lets nobody in by what is no secret, or by that of somebody else', async ({ expect }) => {
    const registry = openTestRegistry();
    const [ada, bob] = [await anAccount('ada'), await anAccount('bob')];
    for (const [username, secret] of [
      ['bob', ada.secret],
      ['ada', bob.secret],
      ['ada', ''],
      ['ada', ada.secret.toLowerCase()],
      ['ada', `${ada.secret}A`],
      ['ada', "' OR 1=1 --"],
      [null, 'x'],
    ] as const) {
      const claim = { kind: 'secret', username, secret } as const;
      const { account } = await registry.operations.judgeAccess({ kind: 'claimant', claim }, []);
      expect([username, account]).toEqual([username, null]);
    }
    const claim = { kind: 'secret', username: null, secret: bob.secret } as const;
    const { account } = await registry.operations.judgeAccess({ kind: 'claimant', claim }, []);
    expect(account?.name).toBe('bob');
  });
});
