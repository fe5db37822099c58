import { median, percentile } from './report.mjs';

/** @typedef {import('./operations.mjs').Operation} Operation */
/** @typedef {import('./fill.mjs').World} World */
/** @typedef {import('./worker/counted.ts').Counts} Counts */
/**
 * `counts` are those of a run in the middle, `least` and `most` those of any.
 * @typedef {{ counts: Counts, least: Counts, most: Counts, wallMs: number, cpuMs: number }} Measured
 */

/** How often an operation is run. */
export const SAMPLES = 15;

/**
 * What the stores were asked since the last time.
 * @param {import('./client.mjs').Client} client
 * @returns {Promise<Counts>}
 */
export async function takeCounts({ send }) {
  const { body } = await send('POST', '/bench/counts', { expect: 200 });
  return JSON.parse(body.toString());
}

/**
 * What an operation asks of the stores, once.
 * @param {Operation} operation
 * @param {World} world
 */
export async function countOnce({ prepare }, world) {
  const run = await prepare(world);
  await takeCounts(world.client);
  await run();
  return takeCounts(world.client);
}

/**
 * So many runs one after another: what each asked, also behind its answer, and the medians of what
 * they took of time and of the whole local runtime's CPU.
 * @param {Operation} operation
 * @param {World} world
 * @param {{ process: import('./process.mjs').Watched }} options
 * @returns {Promise<Measured>}
 */
export async function measure({ prepare }, world, { process }) {
  const wall = [];
  const cpu = [];
  const counted = [];
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const run = await prepare(world);
    // This waits for what goes on behind answers, so each run has its own.
    await takeCounts(world.client);
    const beforeMs = process.cpuMs();
    const startedMs = performance.now();
    await run();
    wall.push(performance.now() - startedMs);
    counted.push(await takeCounts(world.client));
    cpu.push(process.cpuMs() - beforeMs);
  }
  /** @param {number} part */
  const countsAt = (part) =>
    /** @type {Counts} */ (
      Object.fromEntries(
        Object.keys(counted[0] ?? {}).map((what) => [
          what,
          percentile(
            counted.map((counts) => counts[/** @type {keyof Counts} */ (what)]),
            part,
          ),
        ]),
      )
    );
  return {
    counts: countsAt(0.5),
    least: countsAt(0),
    most: countsAt(1),
    wallMs: median(wall),
    cpuMs: median(cpu),
  };
}
