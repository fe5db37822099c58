import { fillGenerations, fillManifests, fillNamespaces, fillTags, openWorld } from './fill.mjs';
import { countOnce, takeCounts } from './measure.mjs';
import { OPERATIONS } from './operations.mjs';
import { figure, table } from './report.mjs';

/** @typedef {import('./client.mjs').Client} Client */
/** @typedef {import('./fill.mjs').World} World */
/** @typedef {import('./worker/counted.ts').Counts} Counts */
/** @typedef {readonly { name: string, counts: readonly Counts[] }[]} Grown */

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
  return { sizes, worlds, small };
}

/**
 * Fills them, and counts what each operation reads in each.
 * @param {Awaited<ReturnType<typeof openGrowth>>} growth
 */
export async function measureGrowth({ sizes, worlds, small }) {
  for (const { world, fill, size } of worlds) {
    await fill(world, size);
  }
  await fillTags(small, SIZES[0] ?? 0);
  const sections = [];
  for (const [kind] of FILLINGS) {
    const grown = worlds.filter((one) => one.kind === kind).map(({ world }) => world);
    sections.push({ kind, grown: await countsIn(grown) });
  }
  sections.push({ kind: 'namespaces', grown: await countsAmong(small, sizes) });
  return { sizes, sections };
}

/**
 * @param {readonly World[]} worlds
 * @returns {Promise<Grown>}
 */
async function countsIn(worlds) {
  const all = [];
  for (const operation of OPERATIONS) {
    const counts = [];
    for (const world of worlds) {
      counts.push(await countOnce(operation, world));
    }
    all.push({ name: operation.name, counts });
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
 * @returns {Promise<Grown>}
 */
async function countsAmong(world, sizes) {
  /** @type {Map<string, Counts[]>} */
  const grown = new Map();
  const add = (/** @type {string} */ name, /** @type {Counts} */ counts) =>
    grown.set(name, [...(grown.get(name) ?? []), counts]);
  let after = 0;
  for (const last of sizes) {
    await fillNamespaces(world.client, { after, last });
    after = last;
    for (const cron of TICKS) {
      await idleTick(world.client, cron);
      add(`idle tick \`${cron}\``, await idleTick(world.client, cron));
    }
    for (const operation of OPERATIONS) {
      add(operation.name, await countOnce(operation, world));
    }
  }
  return [...grown].map(([name, counts]) => ({ name, counts }));
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

/** @param {Counts} counts */
const isSame = (counts) => JSON.stringify(counts);

/**
 * @param {string} name
 * @param {Grown} grown
 * @returns {string} the rows that it read at all sizes, or from the smallest to the largest
 */
function cellOf(name, grown) {
  const counts = grown.find((one) => one.name === name)?.counts ?? [];
  return [...new Set(counts.map(({ rowsRead }) => figure(rowsRead)))].join(' to ');
}

/** @param {Awaited<ReturnType<typeof measureGrowth>>} growth */
export function describeGrowth({ sizes, sections }) {
  const grew = sections.flatMap(({ kind, grown }) =>
    grown
      .filter(({ counts }) => new Set(counts.map(isSame)).size > 1)
      .map(({ name, counts }) => `${name}, by ${kind}: ${counts.map(isSame).join(', ')}`),
  );
  const names = [...new Set(sections.flatMap(({ grown }) => grown.map(({ name }) => name)))];
  return [
    `Rows read, in repositories and registries of ${sizes.map((size) => figure(size)).join(', ')} each; one
figure stands for all of these sizes.`,
    table(
      ['operation', ...sections.map(({ kind }) => kind)],
      names.map((name) => [name, ...sections.map(({ grown }) => cellOf(name, grown))]),
    ),
    grew.length === 0
      ? 'Everything that is counted is the same at all sizes: round trips, statements, rows, KV and R2.'
      : `Not the same at all sizes:\n\n${grew.map((line) => `- ${line}`).join('\n')}`,
  ].join('\n\n');
}
