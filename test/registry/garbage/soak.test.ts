import { describe, it } from 'vitest';

import { findViolations } from '../../support/invariants.ts';
import { Random } from '../../support/random.ts';
import { step } from './soak-changes.ts';
import { forgetRemovals, leftovers, SoakWorld } from './soak-world.ts';

/** 20,000 take an hour or two; with another seed they are another history. */
const STEPS = 100;
const SEED = 20_261_124;
const STEPS_PER_PULL = 10;
const STEPS_PER_LOOK_AT_ALL = 50;

const runs = [
  { what: 'over stores that work', r2Fails: false },
  { what: 'while R2 fails one call in ten, and clients try again', r2Fails: true },
];

describe('pushes, deletes and collection in random order, by clocks that differ', () => {
  it.for(runs)(
    'keep what they promised, and leave nothing, $what',
    { timeout: 120_000 + STEPS * 2000 },
    async ({ r2Fails }, { expect }) => {
      const world = new SoakWorld(new Random(SEED), { r2Fails });
      await world.open();
      for (let count = 1; count <= STEPS; count += 1) {
        const what = `step ${count}: ${await step(world)}`;
        expect(await world.violatedRows(), what).toEqual([]);
        if (count % STEPS_PER_PULL === 0) {
          expect(await world.violatedPulls(), what).toEqual([]);
        }
        if (count % STEPS_PER_LOOK_AT_ALL === 0) {
          expect(await findViolations(), what).toEqual([]);
          await forgetRemovals();
        }
      }
      await world.empty();
      expect(await leftovers()).toEqual([]);
    },
  );
});
