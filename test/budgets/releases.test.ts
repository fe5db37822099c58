import { describe, it } from 'vitest';

import { RELEASE_MOVES_MAX } from '../../src/model/limits.ts';
import { pushTagged } from '../support/content.ts';
import { costOf, fillTags, openWorlds, type World } from '../support/costs.ts';
import { moveOf, RELEASER } from '../support/releases.ts';

/** The names that are moved exist already, so that each ends a generation as well. */
async function aRelease({ registry, repository }: World, count: number) {
  const { manifest } = await pushTagged(registry, repository, { tagName: 'released' });
  const moves = Array.from({ length: count }, (_, n) =>
    moveOf(repository, `move-${n}`, manifest.digest),
  );
  await registry.operations.createRelease(moves, RELEASER);
  return moves;
}

describe('a release', () => {
  it('costs two round trips, and rows by its moves, however many tags there are', async ({
    expect,
  }) => {
    const [small, large] = await openWorlds(2);
    if (small === undefined || large === undefined) {
      throw new Error('there are no worlds');
    }
    await fillTags(small, 100);
    await fillTags(large, 10_000);
    for (const count of [1, RELEASE_MOVES_MAX]) {
      const costs = [];
      for (const world of [small, large]) {
        costs.push(
          await costOf(async () => {
            const moves = await aRelease(world, count);
            return ({ operations }) => operations.createRelease(moves, RELEASER);
          }, world),
          await costOf(async () => {
            const moves = await aRelease(world, count);
            const made = await world.registry.operations.createRelease(moves, RELEASER);
            return ({ operations }) => operations.undoRelease(made, RELEASER);
          }, world),
        );
      }
      const [release, undo, ...others] = costs;
      expect(others.map((cost) => [cost.d1RoundTrips, cost.d1RowsWritten])).toEqual(
        [release, undo].map((cost) => [cost?.d1RoundTrips, cost?.d1RowsWritten]),
      );
      for (const cost of costs) {
        expect(cost.d1RoundTrips).toBe(2);
        expect(cost.d1RowsRead).toBeLessThanOrEqual(32 + 46 * count);
        expect(cost.d1RowsWritten).toBeLessThanOrEqual(8 + 11 * count);
        // Three attempts fit what D1 takes of an invocation.
        expect(3 * cost.d1Statements).toBeLessThan(600);
      }
    }
  });
});
