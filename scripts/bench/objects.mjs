import { readdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The runtime's last process may be at its end, not over it. */
const LOCKED_MS_MAX = 20_000;

/**
 * Opens one of the stopped runtime's stores.
 * @param {string} state the runtime's folder
 * @param {'d1' | 'r2'} store
 */
export function openStore(state, store) {
  const kind = store === 'd1' ? 'D1DatabaseObject' : 'R2BucketObject';
  const directory = path.join(state, 'v3', store, `miniflare-${kind}`);
  const file = readdirSync(directory).find(
    (name) => name.endsWith('.sqlite') && !name.startsWith('metadata'),
  );
  return new DatabaseSync(path.join(directory, file ?? ''), { timeout: LOCKED_MS_MAX });
}

const OWNED = `SELECT object_key AS key FROM blob UNION ALL SELECT bytes_key FROM manifest
  WHERE bytes_key IS NOT NULL UNION ALL SELECT object_key FROM blob_upload
  UNION ALL SELECT tail_key FROM blob_upload WHERE tail_key IS NOT NULL
  UNION ALL SELECT object_key FROM r2_tombstone WHERE kind <> 'prefix'`;
const OWNED_PREFIXES = `SELECT object_key AS key FROM r2_tombstone WHERE kind = 'prefix'
  UNION ALL SELECT 'uploads/' || uuid || '/' FROM blob_upload`;

/**
 * @param {DatabaseSync} store
 * @param {string} sql
 */
const keysOf = (store, sql) =>
  store
    .prepare(sql)
    .all()
    .map(({ key }) => String(key));

/**
 * @param {string} state the stopped runtime's folder
 * @returns {readonly string[]} the keys of objects that no row names
 */
export function findUnowned(state) {
  const database = openStore(state, 'd1');
  const bucket = openStore(state, 'r2');
  try {
    const owned = new Set(keysOf(database, OWNED));
    const prefixes = keysOf(database, OWNED_PREFIXES);
    return keysOf(bucket, 'SELECT key FROM _mf_objects').filter(
      (key) => !owned.has(key) && !prefixes.some((prefix) => key.startsWith(prefix)),
    );
  } finally {
    database.close();
    bucket.close();
  }
}
