import { env } from 'cloudflare:workers';
import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { HOUR_MS, MINUTE_MS, START_MS, TestClock } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import { openPolicyStage, type PolicyStage } from '../../support/policies.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';
import { seedTags, tagRows, type TagSeed } from '../../support/tags.ts';

const VERSIONS = { tagPattern: 'v.*', tagPatternMatches: true };

/** A stage whose repository has one image and no tags. */
async function aStage(settings = {}): Promise<PolicyStage> {
  const stage = await openPolicyStage({ settings });
  await stage.push('first', await stage.image());
  await stage.clearTags();
  return stage;
}

/** So many names in order. */
const names = (count: number, prefix = 'v'): readonly TagSeed[] =>
  Array.from({ length: count }, (_, at) => ({ name: `${prefix}${String(at).padStart(6, '0')}` }));

/** Another repository of the namespace, with a manifest of its own for tags to stand on. */
async function aNeighbour(stage: PolicyStage) {
  const repository = await aRepository(stage);
  await execute(
    `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
    SELECT ?, 'sha256:neighbour', 'x/y', 2, 0, '{}'`,
    repository.id,
  );
  return repository;
}

/** How often the alive visible tags of each repository were changed. */
async function generations(): Promise<readonly number[]> {
  const rows = await select('SELECT tags_generation AS n FROM repository ORDER BY id');
  return rows.map(({ n }) => Number(n));
}

describe('the sweep of a policy', () => {
  it('goes through all pages, and takes three statements for each', async ({ expect }) => {
    const stage = await aStage();
    await seedTags(stage.repository, [...names(1100, 'u'), ...names(1100, 'v')]);
    const { operations, meter } = openTestRegistry();
    const swept = await operations.createImmutabilityPolicy(stage.repositoryScope, VERSIONS);
    const { d1Statements, d1RowsRead } = meter.usage;
    expect(swept).toMatchObject({ lockedTags: 1100, cursor: null });
    expect(await stage.lockedNames()).toEqual(names(1100, 'v').map(({ name }) => name));
    const pages = Math.ceil(2200 / 500);
    expect(d1Statements).toBeLessThanOrEqual(3 * pages + 3);
    // Each tag once as it is read, those to lock by their names twice more, and the lists.
    expect(d1RowsRead).toBeLessThan(2200 + 1100 * 14 + 100);
  });

  it('of a namespace goes through its repositories, and through no other', async ({ expect }) => {
    const stage = await aStage();
    const neighbours = [await aNeighbour(stage), await aNeighbour(stage), await aNeighbour(stage)];
    for (const repository of [stage.repository, ...neighbours]) {
      await seedTags(repository, names(400));
    }
    await execute('UPDATE repository SET state = 3 WHERE id = ?', neighbours[1]?.id);
    await execute("INSERT INTO namespace (name) VALUES ('elsewhere')");
    await execute(
      "UPDATE repository SET namespace_id = (SELECT id FROM namespace WHERE name = 'elsewhere') WHERE id = ?",
      neighbours[2]?.id,
    );
    const { operations, meter } = openTestRegistry();
    const swept = await operations.createImmutabilityPolicy(stage.namespaceScope, VERSIONS);
    expect(swept).toMatchObject({ lockedTags: 800, cursor: null });
    const locked = await select(
      'SELECT repository_id AS id, sum(immutable) AS n FROM tag GROUP BY repository_id',
    );
    expect(locked.map(({ id, n }) => [id, n])).toEqual([
      [stage.repository.id, 400],
      ...neighbours.map(({ id }, at) => [id, at === 0 ? 400 : 0]),
    ]);
    // Two pages, the second of which begins in the middle of a repository.
    expect(meter.usage.d1Statements).toBeLessThanOrEqual(3 * 2 + 3);
  });

  it('of a page in a large namespace reads that page, and sorts nothing', async ({ expect }) => {
    const stage = await aStage();
    for (let count = 0; count < 4; count += 1) {
      await seedTags(await aNeighbour(stage), names(1000));
    }
    let reads = 0;
    const gate: Gate = async (_call, run) => {
      reads += 1;
      if (reads === 3) {
        throw new Error('one page is enough');
      }
      return run();
    };
    const { meter, operations } = openTestRegistry({ gate });
    const creating = operations.createImmutabilityPolicy(stage.namespaceScope, VERSIONS);
    await expect(creating).rejects.toThrow('one page is enough');
    expect(meter.usage.d1RowsRead).toBeLessThan(500 + 60);
  });

  it('stops where an invocation must, and says where to go on', async ({ expect }) => {
    const stage = await aStage();
    const { repositoryScope: scope } = stage;
    await env.DB.prepare(
      `WITH RECURSIVE at(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM at WHERE n < 125000)
      INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
      SELECT ?1, printf('u%06d', n), (SELECT id FROM manifest), 0, 1 FROM at`,
    )
      .bind(stage.repository.id)
      .run();
    await seedTags(stage.repository, names(2));
    const { operations, meter } = openTestRegistry();
    const swept = await operations.createImmutabilityPolicy(scope, VERSIONS);
    expect(swept).toMatchObject({ lockedTags: 0, cursor: expect.any(String) });
    expect(meter.usage.d1Statements).toBeLessThan(1000);
    // The policy is in force meanwhile.
    const { tag } = await stage.push('v000001', await stage.image());
    expect(tag.immutable).toBe(true);
    const [policy] = await operations.listImmutabilityPolicies(scope);
    const rest = await operations.sweepImmutabilityPolicy(
      scope,
      String(policy?.uuid),
      swept?.cursor ?? null,
    );
    expect(rest).toEqual({ policy, lockedTags: 1, cursor: null });
    const locked = await select('SELECT name FROM tag WHERE immutable = 1 ORDER BY name');
    expect(locked.map(({ name }) => name)).toEqual(['v000000', 'v000001']);
  });

  it('begins at the start for a cursor that is none', async ({ expect }) => {
    const stage = await aStage();
    const { operations, repositoryScope: scope } = stage;
    const { policy } = await stage.addPolicy('v.*');
    await seedTags(stage.repository, names(2));
    const swept = await operations.sweepImmutabilityPolicy(scope, policy.uuid, 'nonsense');
    expect(swept).toEqual({ policy, lockedTags: 2, cursor: null });
  });

  it('I5: does not let a tag live again that died while earlier pages were swept', async ({
    expect,
  }) => {
    const stage = await aStage();
    await seedTags(stage.repository, [
      ...names(600, 'u'),
      { name: 'v1', endMs: stage.clock.nowMs() + MINUTE_MS },
    ]);
    const before = await tagRows();
    // Every answer takes a while.
    const gate: Gate = async (_call, run) => {
      const answer = await run();
      stage.clock.advance(MINUTE_MS / 3);
      return answer;
    };
    const { repositoryScope: scope } = stage;
    const swept = await stage.policiesBehind(gate).createImmutabilityPolicy(scope, VERSIONS);
    expect(swept).toMatchObject({ lockedTags: 0 });
    expect(await tagRows()).toEqual(before);
  });

  it('I14, I15: shows a tag whose end it took to a reader for whom it was over', async ({
    expect,
  }) => {
    const stage = await aStage();
    await seedTags(stage.repository, [{ name: 'v1', endMs: START_MS + MINUTE_MS }]);
    const ahead = new TestClock();
    ahead.advance(MINUTE_MS);
    const reader = openTestRegistry({ clock: ahead });
    const listed = async () => {
      const { registry } = reader;
      const page = await registry.lookupCachedActiveRepositoryTags(stage.repository, null, 9);
      await reader.settleDeferred();
      return page.items.map(({ name }) => String(name));
    };
    expect(await listed()).toEqual([]);
    await stage.addPolicy('v.*');
    expect(await listed()).toEqual(['v1']);
  });

  it('I14: is no change of the alive tags where it takes no ends', async ({ expect }) => {
    for (const { settings, endMs } of [
      { settings: {}, endMs: null },
      { settings: { immutableTagsCanExpire: true }, endMs: START_MS + HOUR_MS },
    ]) {
      const stage = await aStage(settings);
      await seedTags(stage.repository, [{ name: 'v1', endMs }]);
      const before = await stage.generation();
      expect(await stage.addPolicy('v.*')).toMatchObject({ lockedTags: 1 });
      expect(await stage.generation()).toBe(before);
    }
  });

  it('I14: is one of those repositories only that lose an end', async ({ expect }) => {
    const stage = await aStage();
    const neighbour = await aNeighbour(stage);
    await seedTags(stage.repository, [{ name: 'v1', endMs: START_MS + HOUR_MS }, { name: 'v2' }]);
    await seedTags(neighbour, [{ name: 'v1' }, { name: 'x', endMs: START_MS + HOUR_MS }]);
    const [own = 0, other = 0] = await generations();
    await stage.addPolicy('v.*', { scope: stage.namespaceScope });
    expect(await generations()).toEqual([own + 1, other]);
  });
});

/** Patterns that both engines read alike. */
const pattern = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('a', 'b', '1', '-', String.raw`\.`, '.', '[ab]', '[^a]', '[0-9]', '^', '$'),
    fc.tuple(tie('tree'), tie('tree')).map(([one, other]) => one + other),
    fc.tuple(tie('tree'), tie('tree')).map(([one, other]) => `(${one}|${other})`),
    fc
      .tuple(tie('tree'), fc.constantFrom('*', '+', '?', '{1,2}'))
      .map(([tree, times]) => `(?:${tree})${times}`),
  ),
})).tree;

const END_MS = START_MS + HOUR_MS;
const FLAGS: readonly Omit<TagSeed, 'name'>[] = [
  {},
  { endMs: END_MS },
  { endMs: START_MS },
  { endMs: START_MS - 1, isCurrent: false },
  { hidden: true },
  { immutable: true },
];
const seed: fc.Arbitrary<TagSeed> = fc
  .tuple(fc.stringMatching(/^[ab1][ab1.-]{0,4}$/), fc.constantFrom(...FLAGS))
  .map(([name, flags]) => ({ name, ...flags }));

describe('any policy', () => {
  it('locks every alive visible tag that it should, and touches no other row', async ({
    expect,
  }) => {
    const stages = [await aStage(), await aStage({ immutableTagsCanExpire: true })];
    const seeds = fc.uniqueArray(seed, {
      minLength: 5,
      maxLength: 20,
      selector: ({ name }) => name,
    });
    let locked = 0;
    await fc.assert(
      fc.asyncProperty(
        pattern,
        seeds,
        fc.record({ matches: fc.boolean(), kind: fc.constantFrom('repository', 'namespace') }),
        fc.nat(1),
        async (tagPattern, tags, { matches, kind }, at) => {
          const stage = stages[at];
          if (stage === undefined) {
            throw new Error(`no stage ${at}`);
          }
          await stage.clearTags();
          await seedTags(stage.repository, tags);
          const before = await tagRows();
          const scope = kind === 'repository' ? stage.repositoryScope : stage.namespaceScope;
          const { lockedTags } = await stage.addPolicy(tagPattern, { matches, scope });
          const oracle = new RegExp(`^(?:${tagPattern})$`);
          const toLock = before.filter(
            (row) =>
              row['is_current'] === 1 &&
              row['hidden'] === 0 &&
              row['immutable'] === 0 &&
              (row['lifetime_end_ms'] === null || Number(row['lifetime_end_ms']) > START_MS) &&
              oracle.test(String(row['name'])) === matches,
          );
          locked += toLock.length;
          expect(lockedTags).toBe(toLock.length);
          expect(await tagRows()).toEqual(
            before.map((row) =>
              toLock.includes(row)
                ? {
                    ...row,
                    immutable: 1,
                    lifetime_end_ms: at === 1 ? (row['lifetime_end_ms'] ?? null) : null,
                  }
                : row,
            ),
          );
        },
      ),
      { seed: 20_261_124, numRuns: 60, plugins: [fc.interruptAfterTimeLimit(15_000)] },
    );
    expect(locked).toBeGreaterThan(50);
  });
});
