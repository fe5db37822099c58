import { pushTagged } from './content.mjs';
import { runSql } from './fill.mjs';
import { idleTick } from './growth.mjs';

/** What is taken for granted of an isolate. */
export const ISOLATE = { pullsPerSecond: 10, images: 10 };

const ROLL_UP = '*/15 * * * *';
/** It reports once a minute, and is added up every 15 minutes. */
const REPORTS = 15;
const SECONDS_PER_REPORT = 60;
/** Of a table without an index. */
const ROWS_PER_REPORT = 1;

/**
 * What counting pulls asks of the database, a pull: the isolate's reports, and adding them up.
 * @param {import('./fill.mjs').World} world
 * @returns {Promise<{ rowsRead: number, rowsWritten: number }>}
 */
export async function measurePullReports({ client, send, repository }) {
  const images = [];
  for (let image = 0; image < ISOLATE.images; image += 1) {
    const { digest } = await pushTagged(send, `pulled-${image}`);
    images.push(`'${digest}'`);
  }
  const [rows = []] = await runSql(client, [
    `SELECT t.repository_id, t.name, t.manifest_id FROM tag t JOIN manifest m ON m.id = t.manifest_id
      WHERE m.digest IN (${images.join(', ')}) AND t.is_current = 1`,
  ]);
  if (rows.length !== ISOLATE.images) {
    throw new Error(`${rows.length} tags in ${repository}, not ${ISOLATE.images}`);
  }
  const pulls = (ISOLATE.pullsPerSecond * SECONDS_PER_REPORT) / ISOLATE.images;
  const report = JSON.stringify({
    tags: rows.map((row) => [row['repository_id'], row['name'], pulls, 1]),
    manifests: rows.map((row) => [row['manifest_id'], pulls, 1]),
  });
  await idleTick(client, ROLL_UP);
  const idle = await idleTick(client, ROLL_UP);
  await runSql(
    client,
    Array.from({ length: REPORTS }, () => `INSERT INTO pull_report (pulls) VALUES ('${report}')`),
  );
  const { rowsRead, rowsWritten } = await idleTick(client, ROLL_UP);
  const all = ISOLATE.pullsPerSecond * SECONDS_PER_REPORT * REPORTS;
  return {
    rowsRead: (rowsRead - idle.rowsRead) / all,
    rowsWritten: (rowsWritten - idle.rowsWritten + REPORTS * ROWS_PER_REPORT) / all,
  };
}
