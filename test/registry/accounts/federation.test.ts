import { describe, it } from 'vitest';

import type { AccountName } from '../../../src/model/accounts.ts';
import type { TrustRule } from '../../../src/model/federation.ts';
import { anAccount } from '../../support/accounts.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openTestRegistry, type TestRegistryOptions } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';

const GITHUB = 'https://token.actions.githubusercontent.com';
const GITLAB = 'https://gitlab.com';
const settings = { oidcIssuers: [GITHUB, GITLAB] };
const open = (options: TestRegistryOptions = {}) => openTestRegistry({ settings, ...options });

const MAIN: TrustRule = { issuer: GITHUB, subject: 'repo:acme/app:ref:refs/heads/main' };
const TAGS: TrustRule = { issuer: GITHUB, subject: 'repo:acme/app:ref:refs/tags/v*' };
const PROJECT: TrustRule = { issuer: GITLAB, subject: 'project_path:acme/app:*' };

const nameOf = (text: string) => text as AccountName;

const storedRules = () =>
  select('SELECT account_id, issuer, subject FROM robot_federation ORDER BY issuer, subject');

describe('the trust rules of a robot', () => {
  it('are those that it was given last, by issuer and subject', async ({ expect }) => {
    const { operations, meter } = open();
    const robot = await anAccount('acme+ci');
    const other = await anAccount('acme+other');
    expect(await operations.listTrustRules(robot.id)).toEqual([]);
    await operations.replaceTrustRules(other.id, [MAIN]);

    const replaced = await operations.replaceTrustRules(robot.id, [TAGS, PROJECT, MAIN, TAGS]);
    expect(replaced).toEqual([PROJECT, MAIN, TAGS]);
    expect(await operations.listTrustRules(robot.id)).toEqual([PROJECT, MAIN, TAGS]);
    const before = meter.usage.d1RowsWritten;
    expect(await operations.replaceTrustRules(robot.id, [MAIN, PROJECT])).toEqual([PROJECT, MAIN]);
    // Only the one that went: what stays is not written again.
    expect(meter.usage.d1RowsWritten - before).toBe(1);
    expect(await operations.replaceTrustRules(robot.id, [])).toEqual([]);
    expect(await operations.listTrustRules(other.id)).toEqual([MAIN]);
  });

  it('are no one else’s than a robot’s, and go with it', async ({ expect }) => {
    const { operations } = open();
    const robot = await anAccount('acme+ci');
    const person = await anAccount('ada');
    for (const id of [person.id, robot.id + 1000]) {
      expect(await operations.replaceTrustRules(id, [MAIN])).toBeNull();
    }
    await operations.replaceTrustRules(robot.id, [MAIN]);
    expect(await storedRules()).toHaveLength(1);
    await execute('DELETE FROM account WHERE id = ?', robot.id);
    expect(await storedRules()).toEqual([]);
  });

  it('are refused, all of them, if one is bad', async ({ expect }) => {
    const { operations } = open();
    const robot = await anAccount('acme+ci');
    await operations.replaceTrustRules(robot.id, [MAIN]);
    const many = Array.from({ length: 51 }, (_, n) => ({ ...MAIN, subject: `repo:acme/${n}` }));
    const bad: readonly (readonly [string, readonly TrustRule[]])[] = [
      ['this registry takes no tokens of the issuer', [{ ...MAIN, issuer: `${GITHUB}/` }]],
      ['this registry takes no tokens of the issuer', [{ ...MAIN, issuer: 'https://evil.test' }]],
      ['would trust strangers', [PROJECT, { ...MAIN, subject: '*' }]],
      ['1 to 255 characters', [{ ...MAIN, subject: '' }]],
      ['at most 50', many],
    ];
    for (const [message, rules] of bad) {
      await expect(operations.replaceTrustRules(robot.id, rules)).rejects.toMatchObject({
        code: 'InvalidTrustRule',
        message: expect.stringContaining(message) as unknown,
      });
    }
    expect(await operations.listTrustRules(robot.id)).toEqual([MAIN]);
    expect(await operations.replaceTrustRules(robot.id, many.slice(1))).toHaveLength(50);
  });

  it('are one of two lists that are given at the same time', async ({ expect }) => {
    const robot = await anAccount('acme+ci');
    await interleaveAll(async () => ({
      racers: [
        (gate) => open({ gate }).operations.replaceTrustRules(robot.id, [MAIN, TAGS]),
        (gate) => open({ gate }).operations.replaceTrustRules(robot.id, [PROJECT]),
      ],
      check: async () => {
        const subjects = (await storedRules()).map(({ subject }) => subject);
        expect([[MAIN.subject, TAGS.subject], [PROJECT.subject]]).toContainEqual(subjects);
      },
    }));
  });

  it('are given, or not at all, whatever answers are lost', async ({ expect }) => {
    const robot = await anAccount('acme+ci');
    for (const fates of allFates(2)) {
      await open().operations.replaceTrustRules(robot.id, [TAGS]);
      const { operations } = open({ gate: losing(fates).gate });
      expect(await operations.replaceTrustRules(robot.id, [MAIN])).toEqual([MAIN]);
      expect(await open().operations.listTrustRules(robot.id)).toEqual([MAIN]);
    }
  });
});

describe('findTrust', () => {
  const token = { issuer: GITHUB, subject: MAIN.subject };

  it('gives the robot that trusts the issuer with the subject, in one statement', async ({
    expect,
  }) => {
    const { operations, meter } = open();
    const robot = await anAccount('acme+ci');
    await operations.replaceTrustRules(robot.id, [PROJECT, TAGS, MAIN]);
    await operations.replaceTrustRules((await anAccount('other+ci')).id, [PROJECT]);
    const found = { robotId: robot.id };
    const cases = [
      ['acme+ci', token, found],
      ['acme+ci', { ...token, subject: 'repo:acme/app:ref:refs/tags/v1' }, found],
      ['acme+ci', { issuer: GITLAB, subject: 'project_path:acme/app:ref_type:tag:ref:1' }, found],
      ['acme+ci', { ...token, subject: 'repo:acme/app:ref:refs/heads/other' }, null],
      // What one issuer is trusted with, the other is not.
      ['acme+ci', { issuer: GITLAB, subject: MAIN.subject }, null],
      ['acme+ci', { issuer: 'https://evil.test', subject: MAIN.subject }, null],
      ['other+ci', token, null],
      ['acme+unknown', token, null],
      ['unknown+ci', token, null],
    ] as const;
    for (const [name, claims, expected] of cases) {
      const { d1RoundTrips, d1Statements } = meter.usage;
      expect([name, claims, await operations.findTrust(nameOf(name), claims)]).toEqual([
        name,
        claims,
        expected,
      ]);
      expect(meter.usage.d1RoundTrips - d1RoundTrips).toBe(1);
      expect(meter.usage.d1Statements - d1Statements).toBe(1);
    }
  });

  it('gives none that may not log in', async ({ expect }) => {
    const { operations } = open();
    const robot = await anAccount('acme+ci');
    await operations.replaceTrustRules(robot.id, [MAIN]);
    const find = () => operations.findTrust(nameOf('acme+ci'), token);
    expect(await find()).not.toBeNull();
    await execute("UPDATE namespace SET enabled = 0 WHERE name = 'acme'");
    expect(await find()).toBeNull();
    await execute("UPDATE namespace SET enabled = 1 WHERE name = 'acme'");
    await execute('UPDATE account SET enabled = 0 WHERE id = ?', robot.id);
    expect(await find()).toBeNull();
  });
});
