import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import type { PolicyScope } from '../../../src/model/references.ts';
import type { RetentionPolicy } from '../../../src/storage/d1/retention-policies.ts';
import { HOUR_MS, START_MS } from '../../support/clock.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import {
  begun,
  keepFor,
  keepNewest,
  openRetentionStage,
  type RetentionStage,
} from '../../support/retention.ts';
import { execute, select } from '../../support/stage.ts';
import { seedTags, type TagSeed } from '../../support/tags.ts';

const scopesOf = ({ repositoryScope, namespaceScope }: RetentionStage): readonly PolicyScope[] => [
  repositoryScope,
  namespaceScope,
];

describe('the retention policies', () => {
  it('are made, listed, changed and deleted in their scope only', async ({ expect }) => {
    const stage = await openRetentionStage();
    const { operations } = stage;
    const [own, inherited] = scopesOf(stage);
    for (const [scope, other] of [
      [own, inherited],
      [inherited, own],
    ]) {
      if (scope === undefined || other === undefined) {
        continue;
      }
      const one = await stage.keep(keepNewest(3), scope);
      const two = await stage.keep(keepFor(60, 'v.*', false), scope);
      expect(one).toEqual({ ...keepNewest(3), uuid: one.uuid, revision: 0 });
      expect(await operations.listRetentionPolicies(scope)).toEqual([one, two]);
      expect(await operations.listRetentionPolicies(other)).toEqual([]);
      expect(await operations.getRetentionPolicy(scope, two.uuid)).toEqual(two);
      expect(await operations.getRetentionPolicy(other, two.uuid)).toBeNull();
      const changed = await operations.updateRetentionPolicy(scope, one.uuid, keepFor(9));
      expect(changed).toEqual({ ...keepFor(9), uuid: one.uuid, revision: 1 });
      await expect(
        operations.updateRetentionPolicy(other, one.uuid, keepFor(9)),
      ).rejects.toMatchObject({ code: 'PolicyNotFound' });
      await expect(operations.deleteRetentionPolicy(other, one.uuid)).rejects.toMatchObject({
        code: 'PolicyNotFound',
      });
      expect(await operations.deleteRetentionPolicy(scope, one.uuid)).toEqual(changed);
      expect(await operations.deleteRetentionPolicy(scope, two.uuid)).toEqual(two);
      expect(await operations.listRetentionPolicies(scope)).toEqual([]);
    }
  });

  it('are not made for what is gone', async ({ expect }) => {
    const { operations, repositoryScope } = await openRetentionStage();
    await execute('UPDATE repository SET state = 3');
    expect(await operations.createRetentionPolicy(repositoryScope, keepFor(1))).toBeNull();
    const nowhere: PolicyScope = { kind: 'namespace', id: 999 };
    expect(await operations.createRetentionPolicy(nowhere, keepFor(1))).toBeNull();
    expect(await select('SELECT * FROM retention_task')).toEqual([]);
  });

  it.for<RetentionPolicy>([
    keepNewest(0),
    keepNewest(1.5),
    keepNewest(1_000_001),
    keepFor(0),
    keepFor(Number.NaN),
    keepFor(3_153_600_001),
    keepFor(1, ''),
    keepFor(1, '('),
    keepFor(1, 'a'.repeat(257)),
    keepFor(1, null, false),
  ])('are not %j', async (content, { expect }) => {
    const { operations, repositoryScope } = await openRetentionStage();
    const creating = operations.createRetentionPolicy(repositoryScope, content);
    await expect(creating).rejects.toMatchObject({ code: 'InvalidPolicy' });
  });

  it('are not there twice in one scope, but may differ in anything', async ({ expect }) => {
    const stage = await openRetentionStage();
    const contents = [
      keepNewest(3),
      keepNewest(4),
      keepFor(3),
      keepFor(3, 'v'),
      keepFor(3, 'v', false),
    ];
    for (const content of contents) {
      await stage.keep(content);
    }
    for (const content of contents) {
      await expect(stage.keep(content)).rejects.toMatchObject({ code: 'DuplicatePolicy' });
      await stage.keep(content, stage.namespaceScope);
    }
    const { uuid } = await stage.keep(keepFor(4));
    await expect(
      stage.operations.updateRetentionPolicy(stage.repositoryScope, uuid, keepFor(3)),
    ).rejects.toMatchObject({ code: 'DuplicatePolicy' });
  });

  it('are written once, though answers are lost', async ({ expect }) => {
    const stage = await openRetentionStage();
    const { repositoryScope: scope } = stage;
    for (const fates of allFates(2)) {
      await stage.clearRetention();
      const behind = () => stage.operationsBehind(losing(fates).gate);
      const made = await behind().createRetentionPolicy(scope, keepFor(1));
      const uuid = made?.uuid ?? '';
      expect(await behind().updateRetentionPolicy(scope, uuid, keepFor(2))).toMatchObject({
        ageMaxSec: 2,
      });
      expect(await stage.operations.listRetentionPolicies(scope)).toHaveLength(1);
      const deleting = stage.operationsBehind(losing(['answered', ...fates]).gate);
      expect(await deleting.deleteRetentionPolicy(scope, uuid)).toMatchObject({ uuid });
      expect(await stage.operations.listRetentionPolicies(scope)).toEqual([]);
    }
  });
});

const FLAGS: readonly Omit<TagSeed, 'name'>[] = [
  {},
  {},
  { endMs: START_MS + HOUR_MS },
  { endMs: START_MS },
  { hidden: true },
  { immutable: true },
];
const seed: fc.Arbitrary<TagSeed> = fc
  .tuple(fc.stringMatching(/^[ab][ab1]{0,3}$/), fc.nat(4), fc.constantFrom(...FLAGS))
  .map(([name, minutesAgo, flags]) => begun(name, minutesAgo, flags));

const policy: fc.Arbitrary<RetentionPolicy> = fc
  .tuple(
    fc.integer({ min: 1, max: 5 }),
    fc.constantFrom(null, 'a.*', '.*1', 'b'),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([value, pattern, matches, byNumber]) =>
    byNumber
      ? keepNewest(value, pattern, matches || pattern === null)
      : keepFor(value * 60, pattern, matches || pattern === null),
  );

/** The same said once more, by whole lists: the names that should end. */
function naive(
  tags: readonly TagSeed[],
  policies: readonly RetentionPolicy[],
  enforced: boolean,
): readonly string[] {
  const alive = tags.filter(
    ({ endMs = null, hidden = false, immutable = false }) =>
      (endMs === null || endMs > START_MS) && !hidden && !(immutable && enforced),
  );
  const ended = policies.flatMap((each) => {
    const own = alive.filter(
      ({ name }) =>
        each.tagPattern === null ||
        new RegExp(`^(?:${each.tagPattern})$`).test(name) === each.tagPatternMatches,
    );
    return each.method === 'creation_date'
      ? own.filter(({ startMs = 0 }) => START_MS - startMs > each.ageMaxSec * 1000)
      : own
          .toSorted(
            (one, other) =>
              (other.startMs ?? 0) - (one.startMs ?? 0) || (one.name < other.name ? -1 : 1),
          )
          .slice(each.tagsMax);
  });
  return [...new Set(ended.map(({ name }) => name))].toSorted();
}

describe('any retention policies over any tags', () => {
  it('end what a naive reading says, as the plan did; a second run ends nothing', async ({
    expect,
  }) => {
    const stages = [
      await openRetentionStage(),
      await openRetentionStage({ settings: { immutableTags: false } }),
    ];
    const seeds = fc.uniqueArray(seed, {
      minLength: 6,
      maxLength: 15,
      selector: ({ name }) => name,
    });
    const contents = fc.array(fc.tuple(policy, fc.nat(1)), { minLength: 1, maxLength: 3 });
    let total = 0;
    await fc.assert(
      fc.asyncProperty(seeds, contents, fc.nat(1), async (tags, policies, at) => {
        const stage = stages[at];
        if (stage === undefined) {
          return;
        }
        await stage.clearRetention();
        stage.clock.set(START_MS);
        await seedTags(stage.repository, tags);
        for (const [content, scopeAt] of policies) {
          await stage.operations
            .createRetentionPolicy(scopesOf(stage)[scopeAt] ?? stage.repositoryScope, content)
            .catch((error: unknown) => {
              expect(error).toMatchObject({ code: 'DuplicatePolicy' });
            });
        }
        const before = await stage.names();
        const expected = naive(
          tags,
          policies.map(([content]) => content),
          at === 0,
        );
        expect([...(await stage.doomed())].toSorted()).toEqual(expected);
        expect(await stage.housekeeping.applyRetention()).toMatchObject({
          ended: expected.length,
          isFinished: true,
        });
        expect(await stage.names()).toEqual(before.filter((name) => !expected.includes(name)));
        expect(await stage.doomed()).toEqual([]);
        total += expected.length;
      }),
      {
        seed: 20_261_124,
        numRuns: 30,
        plugins: [fc.interruptAfterTimeLimit(15_000)],
      },
    );
    expect(total).toBeGreaterThan(10);
  });
});
