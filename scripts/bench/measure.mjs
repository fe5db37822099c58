import { median } from './report.mjs';

/** @typedef {import('./operations.mjs').Operation} Operation */
/** @typedef {import('./fill.mjs').World} World */
/** @typedef {import('./worker/counted.ts').Counts} Counts */
/** @typedef {{ counts: Counts, wallMs: number, cpuMs: number }} Measured */

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
 * So many runs one after another: what each asked, the median of their wall-clock, and the CPU time
 * of the whole local runtime.
 * @param {Operation} operation
 * @param {World} world
 * @param {{ samples: number, process: import('./process.mjs').Watched }} options
 * @returns {Promise<Measured>}
 */
export async function measure({ prepare }, world, { samples, process }) {
  const runs = [];
  for (let sample = 0; sample < samples; sample += 1) {
    runs.push(await prepare(world));
  }
  await takeCounts(world.client);
  const durations = [];
  const beforeMs = process.cpuMs();
  for (const run of runs) {
    const startedMs = performance.now();
    await run();
    durations.push(performance.now() - startedMs);
  }
  const cpuMs = (process.cpuMs() - beforeMs) / samples;
  const sum = await takeCounts(world.client);
  const counts = /** @type {Counts} */ (
    Object.fromEntries(Object.entries(sum).map(([what, count]) => [what, count / samples]))
  );
  return { counts, wallMs: median(durations), cpuMs };
}
