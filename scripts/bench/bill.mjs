import { ISOLATE } from './pull-reports.mjs';
import { dollars, figure, table } from './report.mjs';

/** @typedef {import('./worker/counted.ts').Counts} Counts */

/** Dollars per million, of August 2026. */
const PRICES = /** @type {const} */ ({
  requests: 0.3,
  cpuMs: 0.02,
  rowsRead: 0.001,
  rowsWritten: 1,
  kvReads: 0.5,
  kvWrites: 5,
  r2Reads: 0.36,
  r2Writes: 4.5,
});

/** @typedef {Record<keyof typeof PRICES, number>} Usage */

/** In dollars per million lines; Cloudflare's, November 2026. */
const WORKERS_LOGS_PRICE = 0.6;

/** The target: a pull costs at most so many times what a request to an empty Worker does. */
const TARGET = 1.1;

/**
 * @param {Counts} counts
 * @param {{ requests: number, cpuMs: number }} more
 * @returns {Usage}
 */
const usageOf = (counts, more) => ({
  ...more,
  rowsRead: counts.rowsRead,
  rowsWritten: counts.rowsWritten,
  kvReads: counts.kvReads,
  kvWrites: counts.kvWrites,
  r2Reads: counts.r2Reads,
  r2Writes: counts.r2Writes,
});

/** @param {Usage} usage @returns {number} dollars for a million of them */
const costOf = (usage) =>
  Object.entries(PRICES).reduce(
    (sum, [what, price]) => sum + price * usage[/** @type {keyof Usage} */ (what)],
    0,
  );

/** @param {readonly Usage[]} usages @returns {Usage} */
const sumOf = (usages) =>
  /** @type {Usage} */ (
    Object.fromEntries(
      Object.keys(PRICES).map((what) => [
        what,
        usages.reduce((sum, usage) => sum + usage[/** @type {keyof Usage} */ (what)], 0),
      ]),
    )
  );

/** What a push of an image is made of. */
const LAYERS = 5;

/**
 * @param {{
 *   countsOf: (operation: string) => Counts, cpuOf: (operation: string) => number,
 *   cpu: import('./cpu.mjs').Cpu, reports: { rowsRead: number, rowsWritten: number },
 * }} measured `reports` is what counting a pull comes to
 */
export function makeBill({ countsOf, cpuOf, cpu, reports }) {
  const empty = usageOf(noCounts(countsOf('GET small blob, warm')), {
    requests: 1,
    cpuMs: cpu.emptyMs,
  });
  /** @param {string} operation @param {number} cpuMs */
  const pull = (operation, cpuMs) => usageOf(countsOf(operation), { requests: 1, cpuMs });
  /** @param {string} operation @param {number} cpuMs */
  const countedPull = (operation, cpuMs) => {
    const usage = pull(operation, cpuMs);
    return {
      ...usage,
      rowsRead: usage.rowsRead + reports.rowsRead,
      rowsWritten: usage.rowsWritten + reports.rowsWritten,
    };
  };
  const blobPush = usageOf(countsOf('blob push, one body'), {
    requests: 2,
    cpuMs: cpuOf('blob push, one body'),
  });
  const manifestPush = usageOf(countsOf('manifest push, 1 layer'), {
    requests: 1,
    cpuMs: cpuOf('manifest push, 1 layer'),
  });
  const perLayer = sumOf([
    pull('manifest push, 20 layers', 0),
    scaled(pull('manifest push, 1 layer', 0), -1),
  ]);
  const token = usageOf(countsOf('token'), { requests: 1, cpuMs: cpuOf('token') });
  const image = sumOf([
    token,
    ...Array.from({ length: LAYERS + 1 }, () => blobPush),
    manifestPush,
    { ...scaled(perLayer, (LAYERS - 1) / 19), requests: 0 },
  ]);
  const lines = /** @type {const} */ ([
    ['request to an empty Worker', empty],
    ['pull by tag', countedPull('pull manifest by tag', cpu.byTagOwnMs)],
    [
      "the same with the local database's CPU and the log's",
      countedPull('pull manifest by tag', cpu.byTagAllMs),
    ],
    ['pull by digest, warm', countedPull('pull manifest by digest, warm', cpu.byDigestMs)],
    ['pull of a small blob, warm', pull('GET small blob, warm', cpu.smallBlobMs)],
    ['pull of a large blob, warm', pull('GET large blob, warm', cpu.largeBlobMs)],
  ]);
  return { empty: costOf(empty), byTag: costOf(lines[1][1]), lines, image };
}

/** @param {Usage} usage @param {number} by @returns {Usage} */
const scaled = (usage, by) =>
  /** @type {Usage} */ (
    Object.fromEntries(Object.entries(usage).map(([what, amount]) => [what, amount * by]))
  );

/** @param {Counts} counts @returns {Counts} */
const noCounts = (counts) =>
  /** @type {Counts} */ (Object.fromEntries(Object.keys(counts).map((what) => [what, 0])));

/** @param {Usage} usage */
const cellsOf = (usage) => [
  figure(usage.cpuMs, 2),
  figure(usage.rowsRead, 1),
  figure(usage.rowsWritten, 4),
  figure(usage.kvReads + usage.kvWrites, 1),
  figure(usage.r2Reads + usage.r2Writes, 1),
];

/** @param {ReturnType<typeof makeBill>} bill */
export function describeBill({ empty, byTag, lines, image }) {
  const ratio = byTag / empty;
  return [
    table(
      [
        'a million of',
        'CPU ms each',
        'rows read',
        'rows written',
        'KV',
        'R2',
        'dollars',
        'to an empty Worker',
      ],
      lines.map(([name, usage]) => [
        name,
        ...cellsOf(usage),
        dollars(costOf(usage)),
        (costOf(usage) / empty).toFixed(3),
      ]),
    ),
    `A million pulls by tag cost ${ratio.toFixed(3)} times a million requests to an empty Worker; the target is ${TARGET}, and it is ${ratio <= TARGET ? 'met' : 'missed'}.`,
    `A thousand pushes of an image with ${LAYERS} new layers, a token and ${image.requests} requests each, cost ${dollars(costOf(image) / 1000)}: ${figure(image.rowsWritten)} rows written each (${dollars((image.rowsWritten * PRICES.rowsWritten) / 1000)}), ${figure(image.r2Writes)} R2 writes (${dollars((image.r2Writes * PRICES.r2Writes) / 1000)}), ${figure(image.requests)} requests (${dollars((image.requests * PRICES.requests) / 1000)}), and ${figure(image.cpuMs)} ms of CPU, the local stores' included (${dollars((image.cpuMs * PRICES.cpuMs) / 1000)}).`,
    `Prices of August 2026, in dollars per million: ${Object.entries(PRICES)
      .map(([what, price]) => `${what} ${price}`)
      .join(
        ', ',
      )}. Included allowances and what is stored are not counted. CPU time is this machine's. Of pulls by digest and of blobs it includes the local cache's and bucket's, and of pushes all local stores', so these are upper bounds. Workers Logs, which keep a line of each request, are billed beside this at ${WORKERS_LOGS_PRICE} a million above 20 million a month; \`head_sampling_rate\` in \`wrangler.toml\` says how many are kept. Counting pulls is in the bill of manifests as of isolates that answer ${ISOLATE.pullsPerSecond} pulls a second of ${ISOLATE.images} images.`,
  ].join('\n\n');
}
