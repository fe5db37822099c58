import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

declare global {
  interface ImportMeta {
    glob(pattern: string, options: { eager: true }): Record<string, Record<string, unknown>>;
  }
}

type Define = (values: Record<string, number>) => {
  readonly sql: string;
  readonly values: readonly number[];
};

const EXPORTS = Object.values(
  import.meta.glob('../../../src/storage/d1/*.ts', { eager: true }),
).flatMap((module) => Object.entries(module));

/** Those of a concept that several kinds of rows share, by the export's name and their own. */
const SHARED = EXPORTS.filter(([name]) => name.endsWith('Statements')).flatMap(([name, group]) =>
  Object.entries(group as object).map(([key, define]) => [`${name}.${key}Statement`, define]),
);

/** Every statement that the storage layer exports. */
const STATEMENTS = [...EXPORTS, ...SHARED]
  .filter((entry): entry is [string, Define] => entry[0].endsWith('Statement'))
  .filter(([name]) => name !== 'defineStatement')
  .toSorted(([one], [other]) => one.localeCompare(other));

/** Plans do not look at the values; a number is also a limit, and a list as JSON. */
const ANY_VALUES = new Proxy<Record<string, number>>({}, { get: () => 1 });

/** What a plan reads from end to end, other than lists that the caller gave. */
async function scansOf(sql: string, values: readonly number[]): Promise<readonly string[]> {
  const plan = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .bind(...values)
    .all<{ detail: string }>();
  const tables = await env.DB.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all<{
    name: string;
  }>();
  const names = tables.results.map(({ name }) => name).join('|');
  // A subquery or a CTE that is scanned was collected by a plan that is in the list itself.
  const isTable = (alias: string): boolean =>
    new RegExp(String.raw`"?\b(${names})\b"?\s+(AS\s+)?"?${alias}\b`, 'i').test(sql) ||
    names.split('|').includes(alias);
  return plan.results
    .map(({ detail }) => detail)
    .filter((detail) => detail.startsWith('SCAN ') && !detail.includes(' VIRTUAL TABLE '))
    .filter((detail) => isTable(detail.split(' ')[1] ?? ''));
}

describe('query plans', () => {
  it('of no statement read a table from end to end', async ({ expect }) => {
    const scans: Record<string, readonly string[]> = {};
    for (const [name, define] of STATEMENTS) {
      const { sql, values } = define(ANY_VALUES);
      const found = await scansOf(sql, values);
      if (found.length > 0) {
        scans[name] = found;
      }
    }
    expect(scans).toEqual({});
    expect(STATEMENTS.length).toBeGreaterThan(80);
    expect(STATEMENTS.map(([name]) => name)).toContain('namespaceSweepStatements.pageStatement');
  });

  it('would show one that does', async ({ expect }) => {
    expect(await scansOf('SELECT 1 FROM blob WHERE size_bytes = 1', [])).toEqual(['SCAN blob']);
    expect(await scansOf('SELECT count(*) FROM blob', [])).toHaveLength(1);
    expect(await scansOf("SELECT value FROM json_each('[]')", [])).toEqual([]);
  });
});

describe('the statements', () => {
  it('keep to what D1 takes: 100 parameters and 100 kB', ({ expect }) => {
    for (const [name, define] of STATEMENTS) {
      const { sql, values } = define(ANY_VALUES);
      expect(values.length, name).toBeLessThanOrEqual(100);
      expect(sql.length, name).toBeLessThan(100_000);
    }
  });

  it('never ignore more than the conflict they mean', ({ expect }) => {
    for (const [name, define] of STATEMENTS) {
      expect(define(ANY_VALUES).sql, name).not.toMatch(/\bOR (IGNORE|REPLACE)\b/i);
    }
  });

  it('give every column that they return a name of its own', async ({ expect }) => {
    for (const [name, define] of STATEMENTS) {
      const { sql, values } = define(ANY_VALUES);
      if (/^(WITH|SELECT)/i.test(sql)) {
        const names = (
          await env.DB.prepare(sql)
            .bind(...values)
            .raw({ columnNames: true })
        )[0];
        expect(new Set(names).size, name).toBe(names.length);
      }
    }
  });
});
