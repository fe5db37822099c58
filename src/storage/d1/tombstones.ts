import { sql } from 'drizzle-orm';

import { r2Tombstone } from './schema/garbage.ts';
import { manifest } from './schema/manifests.ts';
import { defineStatement } from './statement.ts';

/** What is buried: one object, an open multipart upload of one, or all objects under a prefix. */
export type TombstoneKind = 'key' | 'mpu' | 'prefix';

export interface Tombstone {
  readonly objectKey: string;
  readonly kind: TombstoneKind;
  /** Only of a multipart upload: its id in R2. */
  readonly r2UploadId: string | null;
}

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

/**
 * Takes up the tombstones that are due: each comes back once its next attempt is set, so that a
 * drain which dies needs no further write, and two drains do not meet. A multipart upload comes
 * before its key even where the limit cuts between the two.
 */
export const takeDueTombstonesStatement = defineStatement<
  { nowMs: number; limit: number; backOffMs: number; backOffMsMax: number; doublingsMax: number },
  Tombstone
>(
  (p) => sql`
    UPDATE ${r2Tombstone} SET attempts = attempts + 1, not_before_ms = ${p.nowMs}
      + min(${p.backOffMs} << min(attempts, ${p.doublingsMax}), ${p.backOffMsMax})
    WHERE (object_key, kind) IN (
      SELECT due.object_key, due.kind FROM ${r2Tombstone} due INDEXED BY r2_tombstone_due
      WHERE due.not_before_ms <= ${p.nowMs}
      ORDER BY due.not_before_ms, due.object_key, due.kind DESC LIMIT ${p.limit})
    RETURNING object_key AS objectKey, kind AS kind, r2_upload_id AS r2UploadId`,
);

/** Removes the tombstones of a JSON list of `{objectKey, kind}` once R2 has confirmed. */
export const removeTombstonesStatement = defineStatement<{ tombstones: string }>(
  (p) => sql`
    DELETE FROM ${r2Tombstone} WHERE (object_key, kind) IN (
      SELECT given.value ->> 'objectKey', given.value ->> 'kind'
      FROM json_each(${p.tombstones}) given)`,
);
