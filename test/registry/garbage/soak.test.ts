import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { Random } from '../../support/random.ts';
import { SoakTurns } from './soak-turns.ts';
import { SoakWorld } from './soak-world.ts';

const STEPS = Number(env.SOAK_STEPS);

const runs = [
  { what: 'over stores that work', r2Fails: false },
  { what: 'while R2 fails one call in ten, and clients try again', r2Fails: true },
];

describe('pushes, deletes and collection in random order, by clocks that differ', () => {
  it.for(runs)(
    'keep what they promised after each step, and leave nothing, $what',
    { timeout: 120_000 + STEPS * 2000 },
    async ({ r2Fails }, { annotate, expect }) => {
      const world = new SoakWorld(new Random(Number(env.SOAK_SEED)), { r2Fails });
      await world.open();
      const soak = new SoakTurns(world);
      const beganMs = performance.now();
      while (soak.figures.steps < STEPS) {
        expect(await soak.take()).toEqual([]);
      }
      const seconds = Math.round((performance.now() - beganMs) / 1000);
      await annotate(JSON.stringify({ seconds, ...soak.figures }));
      expect(soak.figures.manifestsPulled).toBeGreaterThan(0);
      expect(await world.empty()).toEqual([]);
    },
  );
});
