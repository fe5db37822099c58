import { describe, it } from 'vitest';

import { ROBOT_METADATA_LENGTH_MAX, ROBOTS_PER_NAMESPACE_MAX } from '../../../src/model/limits.ts';
import type { RobotWithSecret } from '../../../src/registry/accounts/robots.ts';
import { accountOf, logIn, namespaceOf, repositoryOf } from '../../support/accounts.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, endingOf, losing } from '../../support/lost-answers.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { codeOf, execute, select, valueOf } from '../../support/stage.ts';

const acme = namespaceOf('acme');

async function aWorld() {
  const world = openTestRegistry();
  await world.operations.createOrganization(acme);
  return world;
}

describe('a robot', () => {
  it('is made with a secret that is shown once, changed, listed, and removed', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { operations, clock, settleDeferred } = world;
    const { robot, secret } = await operations.createRobot(acme, 'ci', {
      purpose: 'pull',
      description: 'for the cluster',
      metadata: { team: ['a', 1] },
    });
    expect(robot).toEqual({
      id: robot.id,
      name: 'acme+ci',
      shortName: 'ci',
      purpose: 'pull',
      description: 'for the cluster',
      metadata: { team: ['a', 1] },
      isEnabled: true,
      createdMs: clock.nowMs(),
      lastUsedMs: null,
    });
    expect(await operations.getRobot(acme, 'ci')).toEqual(robot);
    expect(await operations.getRobot(acme, 'CI')).toBeNull();
    expect(await logIn(world, secret)).toMatchObject({ name: 'acme+ci' });
    await settleDeferred();
    expect(await operations.getRobot(acme, 'ci')).toEqual({ ...robot, lastUsedMs: clock.nowMs() });
    const changed = await operations.changeRobot(acme, 'ci', { purpose: 'push', metadata: {} });
    expect(changed).toMatchObject({
      purpose: 'push',
      description: robot.description,
      metadata: {},
    });
    expect(await operations.changeRobot(acme, 'ci', { isEnabled: false })).toMatchObject({
      isEnabled: false,
      purpose: 'push',
    });
    expect(await logIn(world, secret)).toMatchObject({ name: null });
    await operations.changeRobot(acme, 'ci', { isEnabled: true });
    expect(await logIn(world, secret)).toMatchObject({ name: 'acme+ci' });
    const { id } = await aRepository(world, repositoryOf('acme/app'));
    expect(id).toBeGreaterThan(0);
    await operations.setMember(acme, robot.name, 'creator');
    const made = await operations.ensureRepository(repositoryOf('acme/own'), {
      creatorId: robot.id,
    });
    expect(made).not.toBeNull();
    expect(await operations.deleteRobot(acme, 'ci')).toBe(true);
    expect(await operations.deleteRobot(acme, 'ci')).toBe(false);
    expect(await operations.deleteRobot(acme, '-')).toBe(false);
    expect(await logIn(world, secret)).toMatchObject({ name: null });
    for (const table of ['account', 'credential', 'namespace_member', 'repository_right']) {
      expect(await select(`SELECT * FROM ${table}`), table).toEqual([]);
    }
  });

  it('is refused by what is wrong with it', async ({ expect }) => {
    const { operations } = await aWorld();
    const refused = async (making: Promise<unknown>, code: string) =>
      expect(making).rejects.toMatchObject({ code });
    await operations.createRobot(acme, 'ci');
    await refused(operations.createRobot(acme, 'ci'), 'NameTaken');
    for (const short of ['', 'c', 'C1', 'a+b', 'a b', 'a/b', '-ci', 'c..i', 'x'.repeat(256)]) {
      await refused(operations.createRobot(acme, short), 'NameInvalid');
    }
    await refused(operations.createRobot(namespaceOf('none'), 'ci'), 'NamespaceNotFound');
    for (const content of [
      { description: 'x'.repeat(256) },
      { metadata: { x: 'x'.repeat(ROBOT_METADATA_LENGTH_MAX) } },
    ]) {
      await refused(operations.createRobot(acme, 'big', content), 'FieldInvalid');
      await refused(operations.changeRobot(acme, 'ci', content), 'FieldInvalid');
    }
    await operations.createRobot(acme, 'cat', { description: '🐈'.repeat(255) });
    for (const short of ['none', '-']) {
      await refused(operations.changeRobot(acme, short, {}), 'AccountNotFound');
      await refused(operations.regenerateRobotToken(acme, short), 'AccountNotFound');
    }
    await execute(`WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n
        WHERE i < ${ROBOTS_PER_NAMESPACE_MAX})
      INSERT INTO account (name, kind, namespace_id, created_ms)
      SELECT 'acme+r' || i, 'robot', id, 0 FROM n CROSS JOIN namespace`);
    await refused(operations.createRobot(acme, 'more'), 'LimitReached');
    await operations.createOrganization(namespaceOf('other'));
    expect(await operations.createRobot(namespaceOf('other'), 'more')).toBeDefined();
    await operations.deleteRobot(acme, 'cat');
    expect(await operations.createRobot(acme, 'more')).toBeDefined();
  });

  it('is listed by name, a page at a time, and never with a secret', async ({ expect }) => {
    const { operations } = await aWorld();
    await operations.createUser(namespaceOf('acme2'));
    const secrets: string[] = [];
    for (const short of ['b1', 'a-1', 'a.1', 'c1', 'a1']) {
      secrets.push((await operations.createRobot(acme, short)).secret);
    }
    await operations.createRobot(namespaceOf('acme2'), 'zz');
    const names: string[] = [];
    for (let cursor: string | null | undefined = null; cursor !== undefined;) {
      const page = await operations.listRobots(acme, { cursor, limit: 2 });
      expect(page.items.length).toBeLessThanOrEqual(2);
      names.push(...page.items.map(({ shortName }) => shortName));
      expect(secrets.some((one) => JSON.stringify(page).includes(one))).toBe(false);
      ({ cursor } = page);
    }
    expect(names).toEqual(['a-1', 'a.1', 'a1', 'b1', 'c1']);
    expect(await operations.listRobots(namespaceOf('none'))).toEqual({ items: [], hasMore: false });
    for (const limit of [0, 1.5]) {
      await expect(operations.listRobots(acme, { limit })).rejects.toThrow(RangeError);
    }
  });
});

describe('the secret of a robot', () => {
  it('is shown again after a lost answer, and no other was ever good', async ({ expect }) => {
    const { operations } = await aWorld();
    for (const fates of allFates(3)) {
      const what = fates.join('; ');
      const short = fates.map((fate) => fate.length).join('-');
      const old = await operations.createRobot(acme, `old-${short}`);
      for (const make of ['createRobot', 'regenerateRobotToken'] as const) {
        const { gate, losses } = losing(fates);
        const lossy = openTestRegistry({ gate }).operations;
        const name = make === 'createRobot' ? `new-${short}` : `old-${short}`;
        const ending = await endingOf<RobotWithSecret>(lossy[make](acme, name), losses);
        const after = openTestRegistry();
        if ('given' in ending) {
          expect(await logIn(after, ending.given.secret), what).toMatchObject({
            name: `acme+${name}`,
          });
        } else {
          expect(ending.losses, what).toBe(3);
        }
        if (make === 'regenerateRobotToken' && 'given' in ending) {
          expect(await logIn(after, old.secret), what).toMatchObject({ name: null });
        }
        await after.settleDeferred();
      }
      const { gate, losses } = losing(fates);
      const deleting = openTestRegistry({ gate }).operations.deleteRobot(acme, `old-${short}`);
      const ending = await endingOf<boolean>(deleting, losses);
      if ('given' in ending) {
        expect(ending.given, what).toBe(true);
        expect(await operations.getRobot(acme, `old-${short}`), what).toBeNull();
      }
    }
    expect(
      await select(`SELECT a.name FROM account a LEFT JOIN credential c ON c.account_id = a.id
        WHERE c.id IS NULL`),
    ).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('is the old one until the new one is there, and never both', async ({ expect }) => {
    let robots = 0;
    const { operations } = await aWorld();
    await interleaveAll(async () => {
      robots += 1;
      const short = `r-${robots}`;
      const old = await operations.createRobot(acme, short);
      return {
        racers: [
          (gate) => openTestRegistry({ gate }).operations.regenerateRobotToken(acme, short),
          (gate) => logIn(openTestRegistry({ gate }), old.secret),
        ],
        check: async ([regenerated, login], schedule) => {
          const isFirst = schedule.startsWith('B');
          expect(valueOf(login).name, schedule).toBe(isFirst ? old.robot.name : null);
          const after = openTestRegistry();
          expect(await logIn(after, old.secret), schedule).toMatchObject({ name: null });
          const { secret, robot } = valueOf(regenerated);
          expect(await logIn(after, secret), schedule).toMatchObject({ name: robot.name });
          expect(robot, schedule).toMatchObject({ id: old.robot.id });
          await after.settleDeferred();
        },
      };
    });
  });

  it('is one of two that are drawn at once', async ({ expect }) => {
    let robots = 0;
    const { operations } = await aWorld();
    for (const make of ['createRobot', 'regenerateRobotToken'] as const) {
      await interleaveAll(async () => {
        robots += 1;
        const short = `two-${robots}`;
        if (make === 'regenerateRobotToken') {
          await operations.createRobot(acme, short);
        }
        const run = (gate: Parameters<typeof openTestRegistry>[0]) =>
          openTestRegistry(gate).operations[make](acme, short);
        return {
          racers: [(gate) => run({ gate }), (gate) => run({ gate })],
          check: async (outcomes, schedule) => {
            const after = openTestRegistry();
            const names: (string | null)[] = [];
            for (const outcome of outcomes) {
              const made = outcome.status === 'fulfilled' ? outcome.value : null;
              names.push(made === null ? codeOf(outcome) : (await logIn(after, made.secret)).name);
            }
            await after.settleDeferred();
            const loser = make === 'createRobot' ? 'NameTaken' : null;
            expect(names, schedule).toEqual(
              expect.arrayContaining([loser, accountOf(`acme+${short}`)]),
            );
          },
        };
      });
    }
  });
});

describe('what robots cost', () => {
  it('is a round trip each, and few rows written', async ({ expect }) => {
    const { operations, meter } = await aWorld();
    const costOf = async (operation: () => Promise<unknown>) => {
      const { d1RoundTrips, d1RowsWritten } = meter.usage;
      await operation();
      return [meter.usage.d1RoundTrips - d1RoundTrips, meter.usage.d1RowsWritten - d1RowsWritten];
    };
    const push = { purpose: 'push' } as const;
    expect({
      create: await costOf(() => operations.createRobot(acme, 'ci')),
      regenerate: await costOf(() => operations.regenerateRobotToken(acme, 'ci')),
      change: await costOf(() => operations.changeRobot(acme, 'ci', push)),
      'change to the same': await costOf(() => operations.changeRobot(acme, 'ci', push)),
      list: await costOf(() => operations.listRobots(acme)),
      delete: await costOf(() => operations.deleteRobot(acme, 'ci')),
    }).toEqual({
      create: [1, 10],
      regenerate: [1, 3],
      change: [1, 1],
      'change to the same': [1, 0],
      list: [1, 0],
      delete: [2, 2],
    });
  });
});
