import { env } from 'cloudflare:workers';
import { beforeEach } from 'vitest';

/** Tests of code without stores; they need none. */
const PURE_RINGS = /\/test\/(?:model|image)\//;

// Every test starts from an empty registry.
beforeEach(async ({ task }) => {
  if (!PURE_RINGS.test(task.file.filepath)) {
    await Promise.all([emptyDatabase(), emptyBucket(), emptyCache()]);
  }
});

interface Table {
  readonly name: string;
  readonly sql: string;
}

/** The tables as the migrations make them. */
let migrated: readonly Table[] | undefined;

/**
 * Deletes all rows; or, if a test changed a table, all tables, and makes them anew. Either is one
 * batch, and the last table comes first, for others refer to those before it.
 */
async function emptyDatabase(): Promise<void> {
  const tables = await readTables();
  if (migrated !== undefined && JSON.stringify(tables) === JSON.stringify(migrated)) {
    await runAll([
      'PRAGMA defer_foreign_keys = on',
      ...tables.map(({ name }) => `DELETE FROM "${name}"`),
      'DELETE FROM sqlite_sequence',
    ]);
    return;
  }
  // As one batch: with a journal, as `applyD1Migrations` does it, takes twice as long.
  await runAll([
    'PRAGMA defer_foreign_keys = on',
    ...tables.map(({ name }) => `DROP TABLE "${name}"`),
    ...env.TEST_MIGRATIONS.flatMap(({ queries }) => queries),
  ]);
  migrated = await readTables();
}

async function readTables(): Promise<readonly Table[]> {
  const { results } = await env.DB.prepare(
    `SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
      AND name NOT LIKE '_cf_%' ORDER BY rowid DESC`,
  ).all<Table>();
  return results;
}

async function runAll(statements: readonly string[]): Promise<void> {
  await env.DB.batch(statements.map((statement) => env.DB.prepare(statement)));
}

async function emptyBucket(): Promise<void> {
  let page;
  do {
    page = await env.BUCKET.list();
    await env.BUCKET.delete(page.objects.map(({ key }) => key));
  } while (page.truncated);
}

async function emptyCache(): Promise<void> {
  const { keys } = await env.CACHE.list();
  await Promise.all(keys.map(({ name }) => env.CACHE.delete(name)));
}
