import { sql } from 'drizzle-orm';

import { r2Tombstone } from './schema/garbage.ts';
import { manifest } from './schema/manifests.ts';
import { defineStatement } from './statement.ts';

/**
 * Buries a key before its object is written, so that a crash in between leaves nothing that no row
 * names. `withdrawTombstoneStatement` takes it back in the batch that gives the object an owner.
 */
export const buryAheadStatement = defineStatement<{
  objectKey: string;
  dueMs: number;
  nowMs: number;
}>(
  (p) => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, not_before_ms, created_ms)
    VALUES (${p.objectKey}, 'key', ${p.dueMs}, ${p.nowMs})`,
);

/** Takes the tombstone of a manifest's body back, if the manifest's row carries the key by now. */
export const withdrawTombstoneStatement = defineStatement<{
  repositoryId: number;
  digest: string;
  bytesKey: string;
}>(
  (p) => sql`
    DELETE FROM ${r2Tombstone} WHERE object_key = ${p.bytesKey} AND kind = 'key' AND EXISTS (
      SELECT 1 FROM ${manifest} m WHERE m.repository_id = ${p.repositoryId}
        AND m.digest = ${p.digest} AND m.bytes_key = ${p.bytesKey})`,
);
