import { describe, it } from 'vitest';

import type { IssuedCredential, User } from '../../../src/model/accounts.ts';
import { logIn, namespaceOf, repositoryOf } from '../../support/accounts.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, endingOf, losing } from '../../support/lost-answers.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { codeOf, select, valueOf } from '../../support/stage.ts';

type Created = { readonly user: User } & IssuedCredential;

const ada = namespaceOf('ada');
const counts = async () =>
  (
    await select(`SELECT (SELECT count(*) FROM namespace) AS namespaces,
      (SELECT count(*) FROM account) AS accounts, (SELECT count(*) FROM credential) AS credentials`)
  )[0];
const ONE = { namespaces: 1, accounts: 1, credentials: 1 };

describe('createUser', () => {
  it('makes a person, a namespace of theirs and a token that they log in with', async ({
    expect,
  }) => {
    const registry = openTestRegistry({ settings: { removedTagExpirationSec: 60 } });
    const { operations, clock } = registry;
    const { user, credential, secret } = await operations.createUser(ada);
    expect(user).toMatchObject({ name: 'ada', isEnabled: true, createdMs: clock.nowMs() });
    expect(credential).toMatchObject({ title: 'first token', expiresMs: null, lastUsedMs: null });
    expect(secret).toMatch(/^[A-Z0-9]{64}$/);
    expect(await operations.getUser(ada)).toEqual(user);
    expect(await operations.getUser(namespaceOf('bob'))).toBeNull();
    expect(await operations.getNamespace(ada)).toEqual({
      id: user.namespaceId,
      name: 'ada',
      kind: 'user',
      isEnabled: true,
      memberRole: 'none',
      windowSec: 60,
      heldByPullDays: 0,
      regionMode: 'off',
    });
    expect(await operations.listAppTokens(user)).toEqual([credential]);
    const made = await operations.ensureRepository(repositoryOf('ada/app'), {
      creatorId: user.id,
    });
    expect(made?.namespaceId).toBe(user.namespaceId);
    expect(await logIn(registry, secret, 'ada/app')).toEqual({ name: 'ada', role: 'admin' });
    expect(JSON.stringify(await select('SELECT * FROM credential'))).not.toContain(secret);
    expect(await findViolations()).toEqual([]);
  });

  it('refuses names that are taken, reserved or too short, and writes nothing', async ({
    expect,
  }) => {
    const registry = openTestRegistry();
    const { operations } = registry;
    await operations.createUser(ada);
    await operations.createOrganization(namespaceOf('acme'));
    await aRepository(registry, repositoryOf('pushed/app'));
    const before = await counts();
    for (const [name, code] of [
      ['ada', 'NameTaken'],
      ['acme', 'NameTaken'],
      ['pushed', 'NameTaken'],
      ['admin', 'NameReserved'],
      ['library', 'NameReserved'],
      ['a', 'NameInvalid'],
    ] as const) {
      const creating = operations.createUser(namespaceOf(name));
      await expect(creating, name).rejects.toMatchObject({ code, detail: { name } });
    }
    expect(await counts()).toEqual(before);
  });

  it('is survived by lost answers: the secret that is shown is the one that works', async ({
    expect,
  }) => {
    for (const fates of allFates(3)) {
      const what = fates.join('; ');
      const name = namespaceOf(`ada-${fates.map((fate) => fate.length).join('-')}`);
      const { gate, losses } = losing(fates);
      const world = openTestRegistry({ gate });
      const ending = await endingOf<Created>(world.operations.createUser(name), losses);
      if ('given' in ending) {
        const after = openTestRegistry();
        expect(await logIn(after, ending.given.secret), what).toMatchObject({ name });
        const tokens = await after.operations.listAppTokens(ending.given.user);
        expect(
          tokens.map(({ uuid }) => uuid),
          what,
        ).toEqual([ending.given.credential.uuid]);
      } else {
        expect(fates.includes('answered'), what).toBe(false);
      }
    }
    expect(await findViolations()).toEqual([]);
    const lost = losing(['lost before']);
    const taken = openTestRegistry({ gate: lost.gate }).operations;
    const other = await openTestRegistry().operations.createUser(namespaceOf('bob'));
    const creating = taken.createUser(namespaceOf('bob'));
    await expect(creating).rejects.toMatchObject({ code: 'NameTaken' });
    expect(await logIn(openTestRegistry(), other.secret)).toMatchObject({ name: 'bob' });
  });

  it('lets one of two have the name, person or organization', async ({ expect }) => {
    let names = 0;
    for (const rival of ['createUser', 'createOrganization'] as const) {
      await interleaveAll<unknown, unknown>(async () => {
        names += 1;
        const name = namespaceOf(`name-${names}`);
        return {
          racers: [
            (gate) => openTestRegistry({ gate }).operations.createUser(name),
            (gate) => openTestRegistry({ gate }).operations[rival](name),
          ],
          check: async (outcomes, schedule) => {
            const codes = outcomes.map(codeOf);
            expect(codes, schedule).toEqual(expect.arrayContaining(['NameTaken', null]));
            const rows = await select('SELECT kind FROM namespace WHERE name = ?', name);
            const isUser = rival === 'createUser' || codes[0] === null;
            expect(rows, schedule).toEqual([{ kind: isUser ? 'user' : 'organization' }]);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    }
  });
});

describe('a person', () => {
  it('does not log in while their namespace is closed, nor do their robots', async ({ expect }) => {
    const registry = openTestRegistry();
    const { operations } = registry;
    const { user, secret } = await operations.createUser(ada);
    const robot = await operations.createRobot(ada, 'ci');
    const acme = await operations.createOrganization(namespaceOf('acme'));
    await operations.setMember(acme.name, user.name, 'creator');
    const who = async () =>
      Promise.all([secret, robot.secret].map(async (one) => (await logIn(registry, one)).name));
    expect(await who()).toEqual(['ada', 'ada+ci']);
    expect(await operations.changeNamespace(ada, { isEnabled: false })).toMatchObject({
      isEnabled: false,
    });
    expect(await who()).toEqual([null, null]);
    expect(await operations.getUser(ada)).toMatchObject({ isEnabled: false });
    const creating = { creatorId: user.id };
    expect(await operations.ensureRepository(repositoryOf('acme/app'), creating)).toBeNull();
    const token = operations.createAppToken(user, { title: 'new', expiresMs: null });
    await expect(token).rejects.toMatchObject({ code: 'AccountNotFound' });
    await operations.changeNamespace(ada, { isEnabled: true });
    expect(await who()).toEqual(['ada', 'ada+ci']);
    await operations.changeNamespace(acme.name, { isEnabled: false });
    expect(await operations.ensureRepository(repositoryOf('acme/app'), creating)).toBeNull();
    await operations.changeNamespace(acme.name, { isEnabled: true });
    expect(await operations.ensureRepository(repositoryOf('acme/app'), creating)).not.toBeNull();
    expect(await counts()).toEqual({ namespaces: 2, accounts: 2, credentials: 2 });
  });

  it('is gone with their namespace at once, and their name is free', async ({ expect }) => {
    const registry = openTestRegistry();
    const { operations } = registry;
    const old = await operations.createUser(ada);
    const oldRobot = await operations.createRobot(ada, 'ci');
    expect(await operations.markNamespaceForDeletion(ada)).toBe(true);
    expect(await operations.getUser(ada)).toBeNull();
    expect(await operations.getRobot(ada, 'ci')).toBeNull();
    for (const secret of [old.secret, oldRobot.secret]) {
      expect(await logIn(registry, secret)).toEqual({ name: null, role: null });
    }
    const anew = await operations.createUser(ada);
    const robot = await operations.createRobot(ada, 'ci');
    expect(anew.user.id).not.toBe(old.user.id);
    expect(await logIn(registry, anew.secret)).toMatchObject({ name: 'ada' });
    expect(await logIn(registry, robot.secret)).toMatchObject({ name: 'ada+ci' });
    for (const secret of [old.secret, oldRobot.secret]) {
      expect(await logIn(registry, secret)).toEqual({ name: null, role: null });
    }
    expect(await findViolations()).toEqual([]);
  });
});

describe('the deletion of a namespace', () => {
  it('ends every secret of it, also of a robot that is being made', async ({ expect }) => {
    let people = 0;
    const codes = new Set<string | null>();
    const schedules = await interleaveAll(async () => {
      people += 1;
      const name = namespaceOf(`person-${people}`);
      const { user, secret } = await openTestRegistry().operations.createUser(name);
      return {
        racers: [
          (gate) => openTestRegistry({ gate }).operations.markNamespaceForDeletion(name),
          (gate) => openTestRegistry({ gate }).operations.createRobot(name, 'ci'),
        ],
        check: async ([marked, made], schedule) => {
          const after = openTestRegistry();
          expect(valueOf(marked), schedule).toBe(true);
          codes.add(codeOf(made));
          const robot = made.status === 'fulfilled' ? made.value.secret : 'A'.repeat(64);
          for (const one of [secret, robot]) {
            expect(await logIn(after, one), schedule).toEqual({ name: null, role: null });
          }
          const anew = await after.operations.createUser(name);
          expect(anew.user.id, schedule).not.toBe(user.id);
          await after.operations.createRobot(name, 'ci');
        },
      };
    });
    expect(schedules).toBeGreaterThan(1);
    expect(codes).toEqual(new Set([null, 'NamespaceNotFound']));
    expect(await findViolations()).toEqual([]);
  });
});

describe('what making a person costs', () => {
  it('is one round trip', async ({ expect }) => {
    const { operations, meter } = openTestRegistry();
    await operations.createUser(ada);
    expect(meter.usage.d1RoundTrips).toBe(1);
    expect(meter.usage.d1RowsWritten).toBe(13);
    expect(await counts()).toEqual(ONE);
  });
});
