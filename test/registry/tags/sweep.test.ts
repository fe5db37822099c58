import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import type { TagName } from '../../../src/model/names.ts';
import { MINUTE_MS, START_MS, TestClock } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { change, execute, openStage, select, valueOf } from '../../support/stage.ts';
import { seedTags, tagRows, type TagSeed } from '../../support/tags.ts';

/** A stage with an image, one that refers to it, an index of it, and no tags that last. */
async function aStage() {
  const stage = await openStage();
  const image = await stage.image();
  const referrer = await stage.image({ subject: image });
  const index = await anIndex([image]);
  const manifests = [image, referrer, index];
  for (const manifest of manifests) {
    await stage.push('first', manifest);
  }
  /** Forgets all tags, and puts these beside all the code under test. */
  async function seed(tags: readonly TagSeed[]): Promise<void> {
    await execute('DELETE FROM tag');
    await execute('UPDATE repository SET tags_generation = tags_generation + 1');
    await seedTags(stage.repository, tags);
  }
  return { ...stage, subject: image, manifests, seed };
}

type Stage = Awaited<ReturnType<typeof aStage>>;

const aTag = (name: string, endMs: number | null): TagSeed => ({
  name,
  startMs: START_MS - 10 * MINUTE_MS,
  endMs,
  hidden: name.startsWith('$'),
});

/** Whether a sweep at the start takes it. */
const isOver = ({ isCurrent = true, endMs = null }: TagSeed): boolean =>
  isCurrent && endMs !== null && endMs < START_MS - MINUTE_MS;

describe('the sweep of ended tags', () => {
  it('takes those whose end is more than a minute past, hidden or not, and only their slot', async ({
    expect,
  }) => {
    const stage = await aStage();
    await stage.seed([
      aTag('long', START_MS - 5 * MINUTE_MS),
      aTag('just', START_MS - MINUTE_MS - 1),
      aTag('$temp-1', START_MS - MINUTE_MS - 1),
      aTag('grace', START_MS - MINUTE_MS),
      aTag('future', START_MS + 1),
      aTag('never', null),
    ]);
    const before = await tagRows();
    const generation = await stage.generation();
    expect(await stage.housekeeping.sweepEndedTags()).toBe(3);
    expect(await tagRows()).toEqual(
      before.map((row, at) => (at < 3 ? { ...row, is_current: 0 } : row)),
    );
    expect(await stage.generation()).toBe(generation);
    expect(await stage.housekeeping.sweepEndedTags()).toBe(0);
  });

  it('takes the first to end, up to its limit, and 500 without one', async ({ expect }) => {
    const stage = await aStage();
    const ended = Array.from({ length: 510 }, (_, at) =>
      aTag(`t${at}`, START_MS - 2 * MINUTE_MS - at),
    );
    await stage.seed(ended);
    expect(await stage.housekeeping.sweepEndedTags({ limit: 2 })).toBe(2);
    const swept = await select('SELECT name FROM tag WHERE is_current = 0 ORDER BY id');
    expect(swept.map(({ name }) => name)).toEqual(['t508', 't509']);
    expect(await stage.housekeeping.sweepEndedTags()).toBe(500);
    expect(await stage.housekeeping.sweepEndedTags()).toBe(8);
  });

  it('reads what it takes, whatever the number of tags', async ({ expect }) => {
    const stage = await aStage();
    const rowsRead = async (alive: number) => {
      await stage.seed([
        ...Array.from({ length: alive }, (_, at) =>
          aTag(`a${at}`, at % 2 === 0 ? null : START_MS + at),
        ),
        ...Array.from({ length: 20 }, (_, at) => aTag(`e${at}`, START_MS - 2 * MINUTE_MS)),
      ]);
      const { housekeeping, meter } = openTestRegistry();
      await housekeeping.sweepEndedTags({ limit: 5 });
      const { d1RowsRead, d1Statements } = meter.usage;
      return { d1RowsRead, d1Statements };
    };
    const few = await rowsRead(10);
    expect(few.d1Statements).toBe(1);
    expect(few.d1RowsRead).toBeLessThanOrEqual(5 * 6);
    expect(await rowsRead(3000)).toEqual(few);
  });
});

describe('the sweep of an ended tag', () => {
  it('I1: while its name is pushed leaves the name to the push, and the end as it was', async ({
    expect,
  }) => {
    const stage = await aStage();
    const image = await stage.image();
    const endMs = START_MS - 2 * MINUTE_MS;
    await interleaveAll(async () => {
      await stage.seed([aTag('v1', endMs)]);
      return {
        racers: [
          (gate) => openTestRegistry({ gate }).housekeeping.sweepEndedTags(),
          (gate) => stage.push('v1', image, gate),
        ],
        check: async ([, pushed], schedule) => {
          const { tag } = valueOf(pushed);
          expect(tag.lifetimeStartMs).toBe(START_MS);
          const [old, fresh] = await stage.generations('v1');
          expect(old, schedule).toMatchObject({ is_current: 0, lifetime_end_ms: endMs });
          expect(fresh, schedule).toMatchObject({ id: tag.id, is_current: 1 });
        },
      };
    });
    await stage.housekeeping.sweepEndedTags();
    expect(await stage.names()).toEqual(['v1']);
  });

  it.for([
    { now: 'a millisecond before its end', afterEndMs: -1, isAlive: true },
    { now: 'at its end', afterEndMs: 0, isAlive: false },
    { now: 'a millisecond after its end', afterEndMs: 1, isAlive: false },
  ])(
    'I20: while its end is cleared $now, by a clock a minute behind, decides nothing',
    async ({ afterEndMs, isAlive }, { expect }) => {
      const stage = await aStage();
      const endMs = START_MS - afterEndMs;
      const clock = new TestClock();
      clock.advance(MINUTE_MS);
      await interleaveAll(async () => {
        await stage.seed([aTag('v1', endMs)]);
        return {
          racers: [
            (gate) => openTestRegistry({ gate, clock }).housekeeping.sweepEndedTags(),
            change(`UPDATE tag SET lifetime_end_ms = NULL WHERE is_current = 1 AND hidden = 0
              AND lifetime_end_ms = ${endMs} AND lifetime_end_ms > ${START_MS} RETURNING id`),
          ],
          check: async ([, cleared], schedule) => {
            expect(valueOf(cleared)[0]?.length, schedule).toBe(Number(isAlive));
            expect(await stage.names(), schedule).toEqual(isAlive ? ['v1'] : []);
          },
        };
      });
    },
  );
});

const MOMENTS_MS = [-2 * MINUTE_MS, -MINUTE_MS - 1, -MINUTE_MS, 1 - MINUTE_MS, -1, 0, 1, MINUTE_MS];

const NAMES = ['a', 'b', 'c'].map((name) => name as TagName);

/** The generations of one name, the last of which may be current. */
const history = (name: string, digests: readonly string[]): fc.Arbitrary<readonly TagSeed[]> =>
  fc
    .tuple(
      fc.array(fc.record({ digest: fc.constantFrom(...digests), ms: fc.nat(3) }), {
        minLength: 1,
        maxLength: 3,
      }),
      fc.option(fc.constantFrom(...MOMENTS_MS)),
      fc.nat(3).map((each) => each > 0),
    )
    .map(([lives, lastEnd, lastIsCurrent]) => {
      let atMs = START_MS - 10 * MINUTE_MS;
      return lives.map(({ digest, ms }, at) => {
        const startMs = atMs;
        atMs += ms;
        const isCurrent = lastIsCurrent && at === lives.length - 1;
        const naturalEnd = lastEnd === null ? null : START_MS + lastEnd;
        const endMs = isCurrent ? naturalEnd : atMs;
        return { ...aTag(name, endMs), digest, startMs, isCurrent };
      });
    });

/** What every method that reads tags or depends on them answers to a reader with this clock. */
async function answersOf({ repository, manifests, subject }: Stage, clock: TestClock) {
  const { registry, operations, settleDeferred } = openTestRegistry({ clock });
  const name = { namespace: repository.namespaceName, repository: repository.name };
  const ofName = async (tagName: TagName) => {
    const tag = await registry.getRepoTag(repository, tagName);
    return {
      tag,
      manifest: tag === null ? null : await registry.getManifestForTag(tag),
      hasExpired: await registry.hasExpiredTag(repository, tagName),
      resolved: await operations.resolveTag(name, tagName, { withBytes: true }),
    };
  };
  const lookUps = (digest: ParsedManifest['digest']) => [
    registry.lookupManifestByDigest(repository, digest),
    registry.lookupManifestByDigest(repository, digest, { allowHidden: true }),
    operations.resolveManifest(name, digest, { withBytes: false }),
  ];
  const answers = {
    names: await Promise.all(NAMES.map((tagName) => ofName(tagName))),
    page: await registry.lookupActiveRepositoryTags(repository, null, 3),
    byDigest: await Promise.all(manifests.flatMap(({ digest }) => lookUps(digest))),
    referrers: await operations.listReferrers(name, subject.digest),
    cached: await registry.lookupCachedActiveRepositoryTags(repository, null, 3),
    cachedByName: await operations.resolveTagPage(name, 'a', 3),
  };
  await settleDeferred();
  return answers;
}

describe('any history of tags', () => {
  it('I20: gives the same answers after a sweep, by clocks up to a minute behind', async ({
    expect,
  }) => {
    const stage = await aStage();
    const digests = stage.manifests.map(({ digest }) => digest);
    const histories = fc
      .tuple(...[...NAMES, '$temp-1', '$temp-2'].map((name) => history(name, digests)))
      .map((each) => each.flat());
    let swept = 0;
    const lags = fc.constantFrom(0, 1, MINUTE_MS - 1, MINUTE_MS);
    await fc.assert(
      fc.asyncProperty(histories, lags, async (tags, lagMs) => {
        await stage.seed(tags);
        const clock = new TestClock();
        clock.advance(-lagMs);
        const before = await answersOf(stage, clock);
        const expected = tags.filter(isOver).length;
        swept += expected;
        expect(await stage.housekeeping.sweepEndedTags()).toBe(expected);
        // A page that is kept would answer for the tables.
        await execute('UPDATE repository SET tags_generation = tags_generation + 1');
        expect(await answersOf(stage, clock)).toEqual(before);
      }),
      { seed: 20_261_124, numRuns: 10, plugins: [fc.interruptAfterTimeLimit(15_000)] },
    );
    expect(swept).toBeGreaterThan(3);
  });
});
