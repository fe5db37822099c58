import { pushTagged } from './content.mjs';
import { openWorld, runSql } from './fill.mjs';
import { idleTick } from './growth.mjs';
import { figure, table } from './report.mjs';

const IMAGES = 20;
const LAYERS = [1, 5, 20];
const TICKS_MAX = 20;

/**
 * What collecting an image costs whose layers nothing else has: from its tag, past the window, to
 * the last of its blobs. The objects are deleted later, a thousand by a free call.
 * @param {import('./client.mjs').Client} client
 */
export async function measureGarbage(client) {
  const results = [];
  for (const layers of LAYERS) {
    const { send } = await openWorld(client, `garbage${layers}/app`);
    const ours = `(SELECT r.id FROM repository r JOIN namespace n ON n.id = r.namespace_id
      WHERE n.name = 'garbage${layers}')`;
    for (let image = 0; image < IMAGES; image += 1) {
      await pushTagged(send, `v${image}`, { layers });
    }
    await runSql(client, [
      `UPDATE namespace SET removed_tag_expiration_s = 0 WHERE name = 'garbage${layers}'`,
      `UPDATE repository_gc SET policy_s = 0 WHERE repository_id = ${ours}`,
    ]);
    for (let image = 0; image < IMAGES; image += 1) {
      await send('DELETE', `/manifests/v${image}`, { expect: 202 });
    }
    // As if the time was over in which what was pushed is kept for its pusher.
    await runSql(client, [
      `UPDATE uploaded_blob SET expires_ms = 1 WHERE repository_id = ${ours}`,
      `UPDATE repository_gc SET earliest_lease_ms = 1 WHERE repository_id = ${ours}`,
    ]);
    results.push({ layers, ...(await collect(client)) });
  }
  return results;
}

/** @param {import('./client.mjs').Client} client */
async function collect(client) {
  const removed = async () => {
    const [rows = []] = await runSql(client, [
      `SELECT count(*) AS n FROM gc_removal WHERE kind = 'manifest'`,
    ]);
    return Number(rows[0]?.n);
  };
  const before = await removed();
  const sum = { rowsRead: 0, rowsWritten: 0, statements: 0, roundTrips: 0 };
  for (let ticks = 1; ticks <= TICKS_MAX; ticks += 1) {
    const counts = await idleTick(client, '* * * * *');
    sum.rowsRead += counts.rowsRead;
    sum.rowsWritten += counts.rowsWritten;
    sum.statements += counts.statements;
    sum.roundTrips += counts.roundTrips;
    if ((await removed()) === before + IMAGES && counts.rowsWritten <= 2) {
      return { ticks, ...sum };
    }
  }
  throw new Error(`${IMAGES} images were not collected in ${TICKS_MAX} ticks`);
}

/** @param {Awaited<ReturnType<typeof measureGarbage>>} results */
export function describeGarbage(results) {
  return table(
    ['an image of', 'statements', 'round trips', 'rows read', 'at most', 'rows written'],
    results.map(({ layers, statements, roundTrips, rowsRead, rowsWritten }) => [
      `${layers} private layer${layers === 1 ? '' : 's'}`,
      figure(statements / IMAGES, 1),
      figure(roundTrips / IMAGES, 1),
      figure(rowsRead / IMAGES),
      figure(150 + 30 * layers),
      figure(rowsWritten / IMAGES),
    ]),
  );
}
