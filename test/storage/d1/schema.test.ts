import { env } from 'cloudflare:workers';
import { is } from 'drizzle-orm';
import { getTableConfig, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { describe, it } from 'vitest';

declare global {
  interface ImportMeta {
    glob(pattern: string, options: { eager: true }): Record<string, Record<string, unknown>>;
  }
}

const MIRRORS = Object.values(
  import.meta.glob('../../../src/storage/d1/schema/*.ts', { eager: true }),
)
  .flatMap((module) => Object.values(module))
  .filter((exported) => is(exported, SQLiteTable))
  .map((table) => getTableConfig(table));

interface Column {
  readonly name: string;
  readonly type: string;
  readonly isNotNull: boolean;
  readonly default: string | null;
  readonly isKey: boolean;
}

async function rowsOf<Row>(sql: string): Promise<readonly Row[]> {
  return (await env.DB.prepare(sql).all<Row>()).results;
}

async function tableNames(): Promise<readonly string[]> {
  const rows = await rowsOf<{ name: string }>(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
      AND name NOT LIKE '_cf_%' AND name <> 'd1_migrations' ORDER BY name`,
  );
  return rows.map(({ name }) => name);
}

async function migratedColumns(table: string): Promise<readonly Column[]> {
  const rows = await rowsOf<{
    name: string;
    type: string;
    notnull: number;
    dflt_value: string | null;
    pk: number;
  }>(`SELECT * FROM pragma_table_info('${table}')`);
  return rows.map((row) => ({
    name: row.name,
    type: row.type.toLowerCase(),
    // A key is never null, whether or not SQLite says so.
    isNotNull: row.notnull === 1 || row.pk > 0,
    default: row.dflt_value,
    isKey: row.pk > 0,
  }));
}

function mirroredColumns({ columns, primaryKeys }: ReturnType<typeof getTableConfig>): Column[] {
  const keys = new Set(primaryKeys.flatMap((key) => key.columns.map(({ name }) => name)));
  return columns.map((column) => ({
    name: column.name,
    type: column.getSQLType(),
    isNotNull: column.notNull || column.primary || keys.has(column.name),
    default: defaultOf(column.default),
    isKey: column.primary || keys.has(column.name),
  }));
}

function defaultOf(value: unknown): string | null {
  return value === undefined
    ? null
    : typeof value === 'string'
      ? `'${value}'`
      : JSON.stringify(value);
}

describe('the mirror of the schema', () => {
  it('has every table of the migrations, and no other', async ({ expect }) => {
    expect(MIRRORS.map(({ name }) => name).toSorted()).toEqual(await tableNames());
  });

  it('has every column of every table, in order, with its type and default', async ({ expect }) => {
    for (const mirror of MIRRORS) {
      expect({ [mirror.name]: mirroredColumns(mirror) }).toEqual({
        [mirror.name]: await migratedColumns(mirror.name),
      });
    }
  });

  it('I-ID: counts ids up in the tables in which the migrations do', async ({ expect }) => {
    const counted = await rowsOf<{ name: string }>(
      `SELECT name FROM sqlite_schema WHERE sql LIKE '%AUTOINCREMENT%'
        AND name <> 'd1_migrations' ORDER BY name`,
    );
    const mirrored = MIRRORS.filter(({ columns }) =>
      columns.some((column) => 'autoIncrement' in column && column.autoIncrement === true),
    );
    expect(mirrored.map(({ name }) => name).toSorted()).toEqual(counted.map(({ name }) => name));
    expect(counted.map(({ name }) => name)).toEqual(expect.arrayContaining(['blob', 'manifest']));
  });
});

describe('the schema', () => {
  it('is strict in every table', async ({ expect }) => {
    const lax = await rowsOf(
      `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0
        AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND name <> 'd1_migrations'`,
    );
    expect(lax).toEqual([]);
  });

  it('finds what refers to a row by an index, for every foreign key', async ({ expect }) => {
    for (const table of await tableNames()) {
      const keys = await rowsOf<{ from: string; table: string }>(
        `SELECT "from", "table" FROM pragma_foreign_key_list('${table}')`,
      );
      for (const { from, table: referenced } of keys) {
        const plan = await rowsOf<{ detail: string }>(
          `EXPLAIN QUERY PLAN SELECT 1 FROM ${table} WHERE ${from} = 1`,
        );
        const details = plan.map(({ detail }) => detail).join('; ');
        expect(details, `${table}.${from} refers to ${referenced}`).toMatch(/^SEARCH/);
      }
    }
  });

  it('I-FK: takes along only what a row owns', async ({ expect }) => {
    const cascades: string[] = [];
    for (const table of await tableNames()) {
      const keys = await rowsOf<{ from: string; table: string; on_delete: string }>(
        `SELECT "from", "table", on_delete FROM pragma_foreign_key_list('${table}')`,
      );
      cascades.push(
        ...keys
          .filter(({ on_delete: action }) => action === 'CASCADE')
          .map(({ from }) => `${table}.${from}`),
      );
    }
    for (const reference of [
      'tag.manifest_id',
      'manifest_child.child_manifest_id',
      'manifest_blob.blob_id',
      'uploaded_blob.blob_id',
    ]) {
      expect(cascades).not.toContain(reference);
    }
    expect(cascades).toContain('manifest_blob.manifest_id');
  });
});
