import { describe, it } from 'vitest';

import { anImage } from '../../support/content.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';

describe('two pushes to one tag', () => {
  it('both succeed one after the other, whatever the interleaving', async ({ expect }) => {
    const world = openTestRegistry();
    const count = await interleaveAll(async () => {
      const repository = await aRepository(world);
      const first = await anImage(world, repository);
      const second = await anImage(world, repository);
      const push =
        (manifest: typeof first) =>
        (
          gate: Parameters<typeof openTestRegistry>[0] extends infer O
            ? NonNullable<NonNullable<O> extends { gate?: infer G } ? G : never>
            : never,
        ) =>
          openTestRegistry({ gate }).registry.createManifestAndRetargetTag(
            repository,
            manifest,
            'latest',
            { raiseOnError: true },
          );
      return {
        racers: [push(first), push(second)],
        check: async ([one, other], schedule) => {
          expect([one.status, other.status, schedule]).toEqual([
            'fulfilled',
            'fulfilled',
            schedule,
          ]);
          expect(await findViolations()).toEqual([]);
        },
      };
    });
    expect(count).toBeGreaterThan(3);
  });
});
