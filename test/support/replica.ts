import { env } from 'cloudflare:workers';

import type { Bindings } from './gate.ts';

/** What pulls, pages and rights are read from, each table after those that it refers to. */
const TABLES = [
  'namespace',
  'account',
  'credential',
  'namespace_member',
  'repository',
  'repository_right',
  'repository_gc',
  'manifest',
  'manifest_child',
  'gc_manifest_candidate',
  'blob',
  'manifest_blob',
  'uploaded_blob',
  'gc_blob_candidate',
  'tag',
  'manifest_label',
] as const;

interface Copy {
  readonly rows: ReadonlyMap<string, readonly Readonly<Record<string, unknown>>[]>;
  /** Where the primary stood. Of two bookmarks the later one is the greater text. */
  readonly bookmark: string;
}

/**
 * A replica that stands still: it answers from the copy that was made last. Who brings a bookmark
 * from after that has to wait until it catches up, and so gets what the primary has.
 */
export interface LaggingReplica {
  /** The bindings with this replica as the nearest one; the primary stays what it is. */
  readonly bindings: Bindings;
  /** Makes the replica catch up with the primary. */
  catchUp(): Promise<void>;
  /** How many reads it answered. */
  reads(): number;
}

/**
 * A replica of the real database that lags. Each of its reads is one transaction of the database
 * that puts the old rows in, reads, and puts the present rows back, so what it answers is what an
 * old copy would. Nothing else may run meanwhile.
 */
export async function openLaggingReplica(): Promise<LaggingReplica> {
  let old = await copyTables();
  let reads = 0;

  async function readOld(statements: readonly D1PreparedStatement[]): Promise<D1Result[]> {
    reads += 1;
    const before = restore(old);
    const results = await env.DB.batch([
      env.DB.prepare('PRAGMA defer_foreign_keys = on'),
      ...before,
      ...statements,
      ...restore(await copyTables()),
    ]);
    const first = 1 + before.length;
    return results.slice(first, first + statements.length);
  }

  /** What stands behind the statements that this replica prepared. */
  const targets = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

  function statementOf(statement: D1PreparedStatement): D1PreparedStatement {
    const proxy = new Proxy(statement, {
      get(target, name) {
        if (name === 'bind') {
          return (...values: unknown[]) => statementOf(target.bind(...values));
        }
        if (name === 'all') {
          return async () => (await readOld([target]))[0];
        }
        throw new Error(`the replica does not know ${String(name)}`);
      },
    });
    targets.set(proxy, statement);
    return proxy;
  }

  const DB = new Proxy(env.DB, {
    get(target, name) {
      if (name !== 'withSession') {
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      }
      return (constraint: string) => {
        const session = target.withSession(constraint);
        const isBookmark = constraint !== 'first-unconstrained';
        return constraint === 'first-primary' || (isBookmark && constraint > old.bookmark)
          ? session
          : {
              prepare: (sql: string) => statementOf(env.DB.prepare(sql)),
              batch: (statements: readonly D1PreparedStatement[]) =>
                readOld(statements.map((proxy) => targets.get(proxy) ?? proxy)),
              getBookmark: () => session.getBookmark(),
            };
      };
    },
  });

  return {
    bindings: { DB, BUCKET: env.BUCKET, CACHE: env.CACHE },
    async catchUp() {
      old = await copyTables();
    },
    reads: () => reads,
  };
}

async function copyTables(): Promise<Copy> {
  const session = env.DB.withSession('first-primary');
  const results = await session.batch<Record<string, unknown>>(
    TABLES.map((table) => session.prepare(`SELECT * FROM ${table}`)),
  );
  return {
    rows: new Map(TABLES.map((table, at) => [table, results[at]?.results ?? []])),
    bookmark: session.getBookmark() ?? '',
  };
}

/** The statements that make the tables what the copy has. */
function restore(copy: Copy): readonly D1PreparedStatement[] {
  return [
    ...TABLES.toReversed().map((table) => env.DB.prepare(`DELETE FROM ${table}`)),
    ...TABLES.flatMap((table) =>
      (copy.rows.get(table) ?? []).map((row) => {
        const columns = Object.keys(row);
        const places = columns.map(() => '?').join(', ');
        return env.DB.prepare(
          `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})`,
        ).bind(...Object.values(row));
      }),
    ),
  ];
}
