import { pushTagged } from './content.mjs';
import { openWorld, runSql } from './fill.mjs';
import { idleTick } from './growth.mjs';
import { figure, table } from './report.mjs';

const IMAGES = 20;
const LAYERS = [1, 5, 20];
const TICKS_MAX = 40;
const COLLECTION = '* * * * *';
/** What the tests hold, in rows read. */
const BUDGET = { image: 150, layer: 36, idle: 60 };

/** @typedef {import('./client.mjs').Client} Client */
/** @typedef {import('./worker/counted.ts').Counts} Counts */
/** @typedef {Pick<Counts, 'roundTrips' | 'statements' | 'rowsRead' | 'rowsWritten'>} Sum */

/**
 * What collecting an image costs whose config and layers nothing else has.
 * @param {Client} client
 */
export async function measureGarbage(client) {
  const idle = await measureIdle(client);
  const results = [];
  for (const layers of LAYERS) {
    const options = { namespace: `garbage${layers}`, repositories: 1, images: IMAGES, layers };
    const { leases, rest } = await measureCollection(client, options);
    results.push({ layers, leases: perImage(leases), rest: perImage(rest) });
  }
  return { idle, results };
}

/** @param {Client} client */
export async function measureIdle(client) {
  await idleTick(client, COLLECTION);
  return idleTick(client, COLLECTION);
}

/** @param {Sum} sum @returns {Sum} */
const perImage = ({ roundTrips, statements, rowsRead, rowsWritten }) => ({
  roundTrips: roundTrips / IMAGES,
  statements: statements / IMAGES,
  rowsRead: rowsRead / IMAGES,
  rowsWritten: rowsWritten / IMAGES,
});

/**
 * What collection asks of images that are all due at once: first for the leases of their pushes, which
 * go an hour after these, then for all else, from their tags, past the window, to the last of their
 * blobs. The objects are deleted later, a thousand by a free call.
 * @param {Client} client
 * @param {{ namespace: string, repositories: number, images: number, layers: number }} options so many
 *   images in each of the repositories
 */
export async function measureCollection(client, { namespace, repositories, images, layers }) {
  const sends = [];
  for (let repository = 0; repository < repositories; repository += 1) {
    const { send } = await openWorld(client, `${namespace}/app-${repository}`);
    sends.push(send);
    for (let image = 0; image < images; image += 1) {
      await pushTagged(send, `v${image}`, { layers });
    }
  }
  const ours = `(SELECT r.id FROM repository r JOIN namespace n ON n.id = r.namespace_id
    WHERE n.name = '${namespace}')`;
  await runSql(client, [
    `UPDATE namespace SET removed_tag_expiration_s = 0 WHERE name = '${namespace}'`,
    `UPDATE repository_gc SET policy_s = 0, earliest_lease_ms = 1 WHERE repository_id IN ${ours}`,
    `UPDATE uploaded_blob SET expires_ms = 1 WHERE repository_id IN ${ours}`,
  ]);
  const leases = await collectUntil(
    client,
    `SELECT (SELECT count(*) FROM uploaded_blob WHERE repository_id IN ${ours})
      + (SELECT count(*) FROM gc_blob_candidate) AS n`,
  );
  for (const send of sends) {
    for (let image = 0; image < images; image += 1) {
      await send('DELETE', `/manifests/v${image}`, { expect: 202 });
    }
  }
  // What is left is the image that each repository began with, which stays.
  const rest = await collectUntil(
    client,
    `SELECT (SELECT count(*) FROM manifest WHERE repository_id IN ${ours}) - ${repositories}
      + (SELECT count(*) FROM gc_blob_candidate) + (SELECT count(*) FROM gc_manifest_candidate) AS n`,
  );
  return { leases, rest };
}

/**
 * Lets collection run until nothing is left.
 * @param {Client} client
 * @param {string} sql how many are left, as `n`
 * @returns {Promise<Sum & { ticks: number }>} what the ticks asked
 */
async function collectUntil(client, sql) {
  const sum = { ticks: 0, roundTrips: 0, statements: 0, rowsRead: 0, rowsWritten: 0 };
  while (sum.ticks < TICKS_MAX) {
    const counts = await idleTick(client, COLLECTION);
    sum.ticks += 1;
    sum.roundTrips += counts.roundTrips;
    sum.statements += counts.statements;
    sum.rowsRead += counts.rowsRead;
    sum.rowsWritten += counts.rowsWritten;
    const [rows = []] = await runSql(client, [sql]);
    if (Number(rows[0]?.n) === 0) {
      return sum;
    }
  }
  throw new Error(`not all was collected in ${TICKS_MAX} ticks`);
}

/** @param {Sum} sum @returns {readonly string[]} the cells of a table, as {@link COST_HEAD} has them */
export const cellsOf = ({ statements, roundTrips, rowsRead, rowsWritten }) => [
  figure(roundTrips, 1),
  figure(statements, 1),
  figure(rowsRead),
  figure(rowsWritten),
];
export const COST_HEAD = ['round trips', 'statements', 'rows read', 'rows written'];

/** @param {Awaited<ReturnType<typeof measureGarbage>>} measured */
export function describeGarbage({ idle, results }) {
  const head = ['', ...COST_HEAD, 'rows read, budget of one alone'];
  return `${table(head, [
    ...results.flatMap(({ layers, leases, rest }) => {
      const image = `image of ${layers} private layer${layers === 1 ? '' : 's'}`;
      const budget = figure(BUDGET.image + BUDGET.layer * layers);
      return [
        [`its leases, ${image}`, ...cellsOf(leases), ''],
        [image, ...cellsOf(rest), budget],
      ];
    }),
    ['a tick that finds nothing', ...cellsOf(idle), figure(BUDGET.idle)],
  ])}

An image is its tag, its manifest, its config, its layers, and the links between them. Where more is
due than one step takes, each step reads 50 rows of what waits as well.`;
}
