import { openStore } from './objects.mjs';
import { figure, table } from './report.mjs';

/** Those that grow with what is pushed. */
const TABLES = [
  'tag',
  'manifest',
  'manifest_blob',
  'blob',
  'namespace',
  'repository',
  'repository_gc',
  'uploaded_blob',
  'audit_log',
];
/** Fewer rows do not fill pages enough to say anything. */
const ROWS_MIN = 1000;

/**
 * What rows weigh with all of their indexes, in the pages of the stopped runtime's database.
 * @param {string} state the runtime's folder
 * @returns {readonly { name: string, rows: number, bytesPerRow: number }[]}
 */
export function weighRows(state) {
  const database = openStore(state, 'd1');
  try {
    return TABLES.map((name) => {
      const rows = Number(database.prepare(`SELECT count(*) AS n FROM ${name}`).get()?.n);
      const bytes = Number(
        database
          .prepare(
            `SELECT sum(pgsize) AS bytes FROM dbstat
            WHERE aggregate = TRUE AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)`,
          )
          .get(name)?.bytes,
      );
      return { name, rows, bytesPerRow: bytes / rows };
    }).filter(({ rows }) => rows >= ROWS_MIN);
  } finally {
    database.close();
  }
}

/** @param {ReturnType<typeof weighRows>} weights */
export function describeRows(weights) {
  return table(
    ['table', 'rows', 'bytes a row, with its indexes'],
    weights.map(({ name, rows, bytesPerRow }) => [
      `\`${name}\``,
      figure(rows),
      figure(bytesPerRow),
    ]),
  );
}
