import { fillGenerations, fillManifests, fillNamespaces, fillTags, openWorld } from './fill.mjs';
import { countOnce, takeCounts } from './measure.mjs';
import { OPERATIONS } from './operations.mjs';
import { figure, table } from './report.mjs';

/** @typedef {import('./client.mjs').Client} Client */
/** @typedef {import('./fill.mjs').World} World */
/** @typedef {readonly { name: string, rows: readonly number[] }[]} Rows */

const SIZES = [100, 1000, 10_000, 100_000];
const SIZES_LARGE = [...SIZES, 1_000_000];

/** What a repository can have many of. */
const FILLINGS = /** @type {const} */ ([
  ['tags', fillTags],
  ['manifests', fillManifests],
  ['generations', fillGenerations],
]);

/**
 * Makes the repositories that grow; before the fence, so that its rows come after theirs.
 * @param {Client} client
 * @param {{ isLarge: boolean }} options
 */
export async function openGrowth(client, { isLarge }) {
  const sizes = isLarge ? SIZES_LARGE : SIZES;
  const worlds = [];
  for (const [kind, fill] of FILLINGS) {
    for (const size of sizes) {
      worlds.push({ kind, size, fill, world: await openWorld(client, `grow/${kind}-${size}`) });
    }
  }
  const small = await openWorld(client, 'grow/small');
  return { client, sizes, worlds, small };
}

/**
 * Fills them, and counts what each operation reads in each.
 * @param {Awaited<ReturnType<typeof openGrowth>>} growth
 */
export async function measureGrowth({ client, sizes, worlds, small }) {
  for (const { world, fill, size } of worlds) {
    await fill(world, size);
  }
  await fillTags(small, SIZES[0] ?? 0);
  const sections = [];
  for (const [kind] of FILLINGS) {
    const grown = worlds.filter((one) => one.kind === kind).map(({ world }) => world);
    sections.push({ kind, rows: await rowsReadIn(grown) });
  }
  sections.push({ kind: 'namespaces', rows: await rowsReadAmong(small, sizes) });
  return {
    sizes,
    sections,
    grew: sections.flatMap(({ kind, rows }) => whatGrew(kind, rows)),
    client,
  };
}

/**
 * @param {readonly World[]} worlds
 * @returns {Promise<Rows>}
 */
async function rowsReadIn(worlds) {
  const all = [];
  for (const operation of OPERATIONS) {
    const rows = [];
    for (const world of worlds) {
      rows.push((await countOnce(operation, world)).rowsRead);
    }
    all.push({ name: operation.name, rows });
  }
  return all;
}

/** What belongs to no repository. */
const TICKS = ['* * * * *', '*/5 * * * *', '*/10 * * * *', '*/15 * * * *', '17 * * * *'];

/**
 * The same repository among ever more namespaces, each with a repository; and ticks of cron that
 * find nothing to do.
 * @param {World} world
 * @param {readonly number[]} sizes
 * @returns {Promise<Rows>}
 */
async function rowsReadAmong(world, sizes) {
  /** @type {Map<string, number[]>} */
  const rows = new Map();
  const add = (/** @type {string} */ name, /** @type {number} */ count) =>
    rows.set(name, [...(rows.get(name) ?? []), count]);
  let after = 0;
  for (const last of sizes) {
    await fillNamespaces(world.client, { after, last });
    after = last;
    for (const cron of TICKS) {
      await idleTick(world.client, cron);
      add(`idle tick \`${cron}\``, (await idleTick(world.client, cron)).rowsRead);
    }
    for (const operation of OPERATIONS) {
      add(operation.name, (await countOnce(operation, world)).rowsRead);
    }
  }
  return [...rows].map(([name, counts]) => ({ name, rows: counts }));
}

/**
 * @param {Client} client
 * @param {string} cron
 */
export async function idleTick(client, cron) {
  await takeCounts(client);
  const path = `/cdn-cgi/handler/scheduled?cron=${encodeURIComponent(cron)}`;
  await client.send('GET', path, { expect: 200 });
  return takeCounts(client);
}

/**
 * @param {string} kind
 * @param {Rows} rows
 * @returns {readonly string[]} the operations that did not read the same everywhere
 */
function whatGrew(kind, rows) {
  return rows
    .filter((line) => new Set(line.rows).size > 1)
    .map(({ name, rows: counts }) => `${name}, by ${kind}: ${counts.join(', ')}`);
}

/** @param {Awaited<ReturnType<typeof measureGrowth>>} growth */
export function describeGrowth({ sizes, sections, grew }) {
  const verdict =
    grew.length === 0
      ? 'Every figure is the same in all columns, to the row.'
      : `Not the same in all columns:\n\n${grew.map((line) => `- ${line}`).join('\n')}`;
  return [
    verdict,
    ...sections.map(({ kind, rows }) =>
      [
        `### Rows read by number of ${kind}`,
        '',
        table(
          ['operation', ...sizes.map((size) => figure(size))],
          rows.map(({ name, rows: counts }) => [name, ...counts.map((count) => figure(count))]),
        ),
      ].join('\n'),
    ),
  ].join('\n\n');
}
