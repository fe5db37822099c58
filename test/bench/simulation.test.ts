import { describe, it } from 'vitest';

import { type Cost, type Costs, type Limits, simulate } from '../../scripts/bench/simulation.ts';
import { Random } from '../support/random.ts';

const cost = (statements: number): Cost => ({
  roundTrips: 1,
  statements,
  rowsRead: 10 * statements,
  rowsWritten: statements,
});
const COSTS: Costs = {
  tick: cost(3),
  visit: { leases: cost(2), image: cost(4) },
  each: { leases: cost(1), image: cost(5) },
};
const LIMITS: Limits = { statements: 300, repositories: 20 };
const DAY_MINUTES = 1440;

const run = (
  pushesPerDay: number,
  { limits = LIMITS, repositories = 1_000_000, days = 1 } = {},
) => {
  const random = new Random(7);
  return simulate(
    { repositories, pushesPerDay, days },
    { costs: COSTS, limits, random: () => random.fraction() },
  );
};

describe('the simulation of collection', () => {
  it('asks what the ticks ask when nobody pushes', ({ expect }) => {
    expect(run(0)).toEqual({
      asked: {
        roundTrips: DAY_MINUTES,
        statements: 3 * DAY_MINUTES,
        rowsRead: 30 * DAY_MINUTES,
        rowsWritten: 3 * DAY_MINUTES,
      },
      idlePart: 1,
      fullPart: 0,
      medianDelayMin: 0,
      longestDelayMin: 0,
      left: 0,
    });
  });

  it('asks two visits and two things of each push, which are far apart', ({ expect }) => {
    const { asked, idlePart, fullPart, left } = run(144);
    expect(asked.statements).toBe(3 * DAY_MINUTES + 144 * (2 + 1 + 4 + 5));
    expect(asked.rowsRead).toBe(10 * asked.statements);
    expect(asked.roundTrips).toBe(DAY_MINUTES + 144 * 4);
    expect(idlePart).toBeCloseTo(0.9, 5);
    expect([fullPart, left]).toEqual([0, 0]);
  });

  it('visits a repository once for all that came due there together', ({ expect }) => {
    const { asked } = run(5 * DAY_MINUTES, { repositories: 1 });
    expect(asked.statements).toBe(DAY_MINUTES * (3 + 2 + 5 * 1 + 4 + 5 * 5));
  });

  it('leaves what is above the limit of repositories, and takes it later', ({ expect }) => {
    const limits = { ...LIMITS, repositories: 2 };
    // Two visits a tick: one for the leases of a push, one for the image that it ended.
    const enough = run(DAY_MINUTES, { limits });
    const tooMany = run(2 * DAY_MINUTES, { limits });
    expect(enough.left).toBe(0);
    // Four things came due a tick; two visits took one each, or more where a repository had several.
    expect(tooMany.left).toBeLessThanOrEqual(2 * DAY_MINUTES);
    expect(tooMany.left).toBeGreaterThan(1.9 * DAY_MINUTES);
    expect(tooMany.fullPart).toBe(1);
    expect(tooMany.longestDelayMin).toBeGreaterThan(enough.longestDelayMin);
  });

  it('never asks more statements of a tick than a run may use', ({ expect }) => {
    const { asked, left } = run(100 * DAY_MINUTES, { repositories: 3, days: 0.05 });
    expect(asked.statements).toBeLessThanOrEqual(0.05 * DAY_MINUTES * LIMITS.statements);
    // What a tick can take of one thing in one repository, at least.
    expect(asked.statements).toBeGreaterThan(0.9 * 0.05 * DAY_MINUTES * LIMITS.statements);
    expect(left).toBeGreaterThan(0);
  });
});
