import {
  GARBAGE_REPOSITORIES_PER_RUN_MAX,
  GARBAGE_STATEMENTS_PER_RUN_MAX,
} from '../../src/model/limits.ts';
import { openClient } from './client.mjs';
import { COST_HEAD, cellsOf, measureCollection, measureIdle } from './garbage.mjs';
import { figure, table } from './report.mjs';
import { startRuntime } from './runtime.mjs';
import { DUE, MINUTES_PER_DAY, simulate } from './simulation.ts';

/** @typedef {import('./simulation.ts').Cost} Cost */
/** @typedef {import('./simulation.ts').Costs} Costs */

const REPOSITORIES = 1_000_000;
const LAYERS = 5;
const PUSHES_PER_DAY = [1000, 4000, 7000, 10_000, 100_000];
const DAYS = 3;
const SEED = 20_261_128;
/** How many images the costs are measured by: all in one repository, and each in one of its own. */
const IMAGES = 20;
const LIMITS = {
  statements: GARBAGE_STATEMENTS_PER_RUN_MAX,
  repositories: GARBAGE_REPOSITORIES_PER_RUN_MAX,
};

/**
 * Measures what collection costs, and prints what it comes to in a large registry, minute by minute:
 * the table of `docs/scale.md`.
 */
export async function runSimulation() {
  const costs = await measureCosts();
  const lines = PUSHES_PER_DAY.map((pushesPerDay) => {
    const scenario = { repositories: REPOSITORIES, pushesPerDay, days: DAYS };
    const outcome = simulate(scenario, { costs, limits: LIMITS, random: randomOf(SEED) });
    const { asked, idlePart, fullPart, medianDelayMin, longestDelayMin, left } = outcome;
    return [
      figure(pushesPerDay),
      figure(asked.statements / (DAYS * MINUTES_PER_DAY)),
      figure(asked.rowsRead / DAYS),
      figure(asked.rowsWritten / DAYS),
      `${figure(100 * idlePart)} %`,
      `${figure(100 * fullPart)} %`,
      `${figure(medianDelayMin)}, ${figure(longestDelayMin)}`,
      figure(left / DAYS),
    ];
  });
  const head = [
    'pushes a day',
    'statements a tick',
    'rows read a day',
    'rows written a day',
    'idle ticks',
    'ticks that leave some',
    'minutes late: median, most',
    'left behind a day',
  ];
  process.stdout.write(`${describeCosts(costs)}\n\n${table(head, lines)}\n`);
}

/** @returns {Promise<Costs>} */
async function measureCosts() {
  const runtime = await startRuntime();
  try {
    const client = openClient(runtime.origin, { authorization: runtime.authorization });
    const tick = await measureIdle(client);
    const together = await measureCollection(client, {
      namespace: 'together',
      repositories: 1,
      images: IMAGES,
      layers: LAYERS,
    });
    const apart = await measureCollection(client, {
      namespace: 'apart',
      repositories: IMAGES,
      images: 1,
      layers: LAYERS,
    });
    client.close();
    const leases = split(together.leases, apart.leases, tick);
    const image = split(together.rest, apart.rest, tick);
    return {
      tick,
      visit: { leases: leases.visit, image: image.visit },
      each: { leases: leases.each, image: image.each },
    };
  } finally {
    await runtime.stop();
  }
}

/** @typedef {Cost & { ticks: number }} Ticked */

/**
 * What a visit costs, and each image: so many images took one visit, and as many visits.
 * @param {Ticked} together
 * @param {Ticked} apart
 * @param {Cost} tick
 * @returns {{ visit: Cost, each: Cost }}
 */
function split(together, apart, tick) {
  const [one, many] = [together, apart].map(({ ticks, ...cost }) => combine(cost, tick, -ticks));
  const visit = scaled(combine(many ?? tick, one ?? tick, -1), 1 / (IMAGES - 1));
  return { visit, each: scaled(combine(one ?? tick, visit, -1), 1 / IMAGES) };
}

/** @param {Cost} one @param {Cost} other @param {number} times @returns {Cost} */
const combine = (one, other, times) => ({
  roundTrips: one.roundTrips + other.roundTrips * times,
  statements: one.statements + other.statements * times,
  rowsRead: one.rowsRead + other.rowsRead * times,
  rowsWritten: one.rowsWritten + other.rowsWritten * times,
});

/** @param {Cost} cost @param {number} by @returns {Cost} */
const scaled = (cost, by) =>
  combine({ roundTrips: 0, statements: 0, rowsRead: 0, rowsWritten: 0 }, cost, by);

/** @param {Costs} costs */
function describeCosts({ tick, visit, each }) {
  return table(
    ['', ...COST_HEAD],
    [
      ['a tick', ...cellsOf(tick)],
      ...DUE.flatMap((what) => [
        [`a visit for ${what === 'image' ? 'images' : what}`, ...cellsOf(visit[what])],
        [what === 'image' ? 'an image' : 'its leases', ...cellsOf(each[what])],
      ]),
    ],
  );
}

/**
 * Numbers from 0 to 1 that are the same each time: a linear congruence, of which the upper bits count.
 * @param {number} seed
 */
function randomOf(seed) {
  let state = BigInt(seed);
  return () => {
    state =
      (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & 0xffff_ffff_ffff_ffffn;
    return Number(state >> 11n) / 2 ** 53;
  };
}
