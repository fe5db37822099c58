import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import type { Digest } from '../../../src/model/digest.ts';
import type { Standing } from '../../../src/registry/garbage/why.ts';
import { HOUR_MS, START_MS } from '../../support/clock.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { digestAtPlace, settle, type SmallWorld, smallWorld } from '../../support/small-worlds.ts';
import { select } from '../../support/stage.ts';

const NO_LIMITS = { statements: 1_000_000, repositories: 1000, durationMs: HOUR_MS };
const PLACES = Array.from({ length: 8 }, (_, place) => place);

/** What was said of something, and the number of the row that it is. */
interface Said {
  readonly table: 'manifest' | 'blob';
  readonly id: number;
  readonly standing: Standing;
}

/** Whatever lost its last reference is on the list of candidates, as it always is. */
const enlisted = (world: SmallWorld): SmallWorld => ({
  ...world,
  looseManifests: PLACES,
  looseBlobs: PLACES.filter((place) => place < 6),
});

/** Everything that an explanation of any repository speaks of. */
async function askAll({ operations }: Pick<ReturnType<typeof openTestRegistry>, 'operations'>) {
  const all: Said[] = [];
  const said = (table: Said['table'], id: number, standing: Standing | null) =>
    standing === null ? [] : [{ table, id, standing }];
  for (const repositoryId of [1, 2, 3]) {
    for (const place of PLACES) {
      const explain = (kind: 'a' | 'b') =>
        operations.explainDigest({ id: repositoryId }, digestAtPlace(kind, place) as Digest);
      all.push(...said('manifest', place + 1, (await explain('a')).manifest));
      all.push(...said('blob', place + 1, (await explain('b')).blob));
    }
  }
  return all;
}

/** When it goes, by what was said; null if never, undefined if nothing was said of that. */
function saidEnd({ standing }: Said): number | null | undefined {
  if (standing.state === 'removed') {
    return undefined;
  }
  const isElsewhere =
    standing.state === 'kept' && standing.reasons.some(({ kind }) => kind === 'other_repositories');
  return isElsewhere ? undefined : standing.goesAtMs;
}

describe('any explanation', () => {
  it('says to the millisecond when a run takes something, or that none does', async ({
    expect,
  }) => {
    let dated = 0;
    await fc.assert(
      fc.asyncProperty(smallWorld, async (world) => {
        await settle(enlisted(world));
        const { clock, housekeeping, operations } = openTestRegistry();
        const all = (await askAll({ operations })).map((said) => ({ ...said, end: saidEnd(said) }));
        expect(all.some(({ standing }) => standing.state === 'removed')).toBe(false);
        const ends = new Set(all.map(({ end }) => end ?? START_MS));
        for (const end of [...ends].toSorted((one, other) => one - other)) {
          for (const nowMs of [end - 1, end].filter((ms) => ms >= clock.nowMs())) {
            clock.set(nowMs);
            await housekeeping.collectGarbage(NO_LIMITS);
            for (const { table, id, end: goesAtMs } of all) {
              if (goesAtMs !== undefined) {
                const rows = await select(`SELECT id FROM ${table} WHERE id = ?`, id);
                const isKept = goesAtMs === null || nowMs < goesAtMs;
                expect([table, id, nowMs - START_MS, rows.length === 1]).toEqual([
                  table,
                  id,
                  nowMs - START_MS,
                  isKept,
                ]);
                dated += Number(goesAtMs !== null && isKept);
              }
            }
          }
        }
      }),
      { seed: 20_261_124, numRuns: 40, plugins: [fc.interruptAfterTimeLimit(8000)] },
    );
    expect(dated).toBeGreaterThan(20);
  });
});
