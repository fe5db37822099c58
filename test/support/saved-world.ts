import { env } from 'cloudflare:workers';

import type { Row } from './snapshot.ts';

interface SavedTable {
  readonly name: string;
  readonly rows: readonly Row[];
}

/** Stores as they were at some moment, for tests that need the same world many times. */
export interface SavedWorld {
  /** Puts the stores back; an unfinished multipart upload that was aborted since stays so. */
  restore(): Promise<void>;
}

/** Keeps what the stores hold now. */
export async function saveWorld(): Promise<SavedWorld> {
  // As they were created, so that none comes before what it refers to.
  const { results } = await env.DB.prepare(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
      AND name NOT LIKE '_cf_%' AND name <> 'd1_migrations' ORDER BY rowid`,
  ).all<{ name: string }>();
  const tables: SavedTable[] = [];
  for (const { name } of results) {
    const { results: rows } = await env.DB.prepare(`SELECT * FROM ${name}`).all<Row>();
    tables.push({ name, rows });
  }
  const objects = new Map<string, { etag: string; bytes: ArrayBuffer }>();
  for (const { key, etag } of (await env.BUCKET.list()).objects) {
    const object = await env.BUCKET.get(key);
    objects.set(key, { etag, bytes: (await object?.arrayBuffer()) ?? new ArrayBuffer() });
  }
  return {
    async restore() {
      await env.DB.batch([
        env.DB.prepare('PRAGMA defer_foreign_keys = on'),
        ...tables.toReversed().map(({ name }) => env.DB.prepare(`DELETE FROM ${name}`)),
        ...tables.flatMap(insertRows),
      ]);
      const listed = (await env.BUCKET.list()).objects;
      const kept = listed.filter(({ key, etag }) => objects.get(key)?.etag === etag);
      const gone = listed.filter((object) => !kept.includes(object));
      await env.BUCKET.delete(gone.map(({ key }) => key));
      for (const [key, { bytes }] of objects) {
        if (kept.every((object) => object.key !== key)) {
          await env.BUCKET.put(key, bytes);
        }
      }
    },
  };
}

function insertRows({ name, rows }: SavedTable): readonly D1PreparedStatement[] {
  const [first] = rows;
  if (first === undefined) {
    return [];
  }
  const columns = Object.keys(first);
  const values = columns.map((_column, at) => `value ->> ${at}`);
  const list = rows.map((row) => columns.map((column) => row[column] ?? null));
  return [
    env.DB.prepare(
      `INSERT INTO ${name} (${columns.join(', ')}) SELECT ${values.join(', ')} FROM json_each(?)`,
    ).bind(JSON.stringify(list)),
  ];
}
