import { type SQL, sql } from 'drizzle-orm';

import type { Blob } from '../../model/datatypes.ts';
import { resizeInNamespaces, resizeInRepositories } from './quota.ts';
import { type BlobRow, blobColumns, toBlob } from './rows.ts';
import { blob, uploadedBlob } from './schema/blobs.ts';
import { r2Tombstone } from './schema/garbage.ts';
import { repository } from './schema/repositories.ts';
import { blobUpload } from './schema/uploads.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * How an upload ends: as a blob (the statements of a commit, each guarded by the holder's claim),
 * or cancelled. Either way its row goes in the batch that gives its keys to a blob or to
 * tombstones, so that no object is ever named by nothing.
 */

type Held = { uploadId: string; claimToken: string };

/** The guard of a commit: the upload is still held by this claim. */
const isHeld = (p: Parameters<Held>): SQL =>
  sql`u.uuid = ${p.uploadId} AND u.state = 'committing' AND u.claim_token = ${p.claimToken}`;

const LIVE_REPOSITORY = sql`CROSS JOIN ${repository} r ON r.id = u.repository_id AND r.state <> 3`;

/** What a commit knows of the length: null leaves it to the row, which counted the chunks. */
type Counted = { byteCount: number | null };
const byteCountOf = (p: Parameters<Counted>): SQL => sql`coalesce(${p.byteCount}, u.byte_count)`;

/** Makes the blob of the upload's bytes; an existing one stays, and may learn a size. */
export const insertBlobOfUploadStatement = defineStatement<
  Held &
    Counted & { uncompressedByteCount: number | null; uuid: string; digest: string; nowMs: number }
>(
  (p) => sql`
    INSERT INTO ${blob} (uuid, digest, size_bytes, uncompressed_size, object_key, location,
      created_ms)
    SELECT ${p.uuid}, ${p.digest}, ${byteCountOf(p)},
      iif(${p.byteCount} IS NULL, u.uncompressed_byte_count, ${p.uncompressedByteCount}),
      u.object_key, u.location, ${p.nowMs}
    FROM ${blobUpload} u ${LIVE_REPOSITORY} WHERE ${isHeld(p)}
    ON CONFLICT (digest) DO UPDATE SET uncompressed_size = excluded.uncompressed_size
    WHERE blob.uncompressed_size IS NULL AND excluded.uncompressed_size IS NOT NULL`,
);

/** Leases the blob to the upload's own repository. */
export const leaseBlobOfUploadStatement = defineStatement<
  Held & { digest: string; nowMs: number; expiresMs: number }
>(
  (p) => sql`
    INSERT INTO ${uploadedBlob} (repository_id, blob_id, uploaded_ms, expires_ms)
    SELECT u.repository_id, b.id, ${p.nowMs}, ${p.expiresMs}
    FROM ${blobUpload} u ${LIVE_REPOSITORY} CROSS JOIN ${blob} b ON b.digest = ${p.digest}
    WHERE ${isHeld(p)}
    ON CONFLICT (blob_id, repository_id)
      DO UPDATE SET expires_ms = max(uploaded_blob.expires_ms, excluded.expires_ms)`,
);

type Burial = { dueMs: number; nowMs: number };

/** Buries the upload's object if the digest has another one: two uploads of it raced. */
export const buryUnusedObjectStatement = defineStatement<Held & Burial>(
  (p) => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, not_before_ms, created_ms)
    SELECT u.object_key, 'key', ${p.dueMs}, ${p.nowMs} FROM ${blobUpload} u
    WHERE ${isHeld(p)} AND NOT EXISTS (SELECT 1 FROM ${blob} b WHERE b.object_key = u.object_key)
    ON CONFLICT DO NOTHING`,
);

/** Buries the tails of the upload. Only a claim can write one, and this commit's is the first. */
export const buryTailsStatement = defineStatement<Held & Burial>(
  (p) => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, not_before_ms, created_ms)
    SELECT 'uploads/' || u.uuid || '/', 'prefix', ${p.dueMs}, ${p.nowMs} FROM ${blobUpload} u
    WHERE ${isHeld(p)} AND u.version > 1 ON CONFLICT DO NOTHING`,
);

/** Takes the row of the upload that became a blob; it comes back to tell that it was there. */
export const deleteCommittedUploadStatement = defineStatement<Held, { uploadId: string }>(
  (p) => sql`
    DELETE FROM ${blobUpload} AS u WHERE ${isHeld(p)} RETURNING uuid AS uploadId`,
);

/** The blob, if the repository has a lease of it that ends then at the earliest. */
export const leasedBlobStatement = defineStatement<
  { digest: string; repositoryId: number; expiresMs: number },
  BlobRow,
  Blob
>(
  (p) => sql`
    SELECT ${blobColumns} FROM ${blob} b
      CROSS JOIN ${uploadedBlob} lease
        ON lease.blob_id = b.id AND lease.repository_id = ${p.repositoryId}
      CROSS JOIN ${repository} r ON r.id = lease.repository_id AND r.state <> 3
    WHERE b.digest = ${p.digest} AND lease.expires_ms >= ${p.expiresMs}`,
  toBlob,
);

type Repair = Held & { digest: string; lostKey: string };

/** Before a blob whose object was lost takes the upload's: buries the lost key. */
export const buryLostObjectStatement = defineStatement<Repair & Burial>(
  (p) => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, not_before_ms, created_ms)
    SELECT b.object_key, 'key', ${p.dueMs}, ${p.nowMs} FROM ${blob} b
    WHERE b.digest = ${p.digest} AND b.object_key = ${p.lostKey}
      AND EXISTS (SELECT 1 FROM ${blobUpload} u WHERE ${isHeld(p)})
    ON CONFLICT DO NOTHING`,
);

/** The blob as it is about to be repaired: only one that was recorded wrongly gets another size. */
const resizedBlob = (p: Parameters<Repair & Counted>): SQL => sql`
      SELECT b.id AS blob_id, ${byteCountOf(p)} - b.size_bytes AS added_bytes
      FROM ${blob} b CROSS JOIN ${blobUpload} u
      WHERE b.digest = ${p.digest} AND b.object_key = ${p.lostKey} AND ${isHeld(p)}`;

/** Before a repair: what quotas go by has the blob's new size. */
export const resizeRepairedInRepositoriesStatement = defineStatement<Repair & Counted>((p) =>
  resizeInRepositories(resizedBlob(p)),
);
export const resizeRepairedInNamespacesStatement = defineStatement<Repair & Counted>((p) =>
  resizeInNamespaces(resizedBlob(p)),
);

/** Gives a blob whose object was lost the upload's object. */
export const repairBlobStatement = defineStatement<Repair & Counted>(
  (p) => sql`
    UPDATE ${blob} SET
      object_key = (SELECT u.object_key FROM ${blobUpload} u WHERE ${isHeld(p)}),
      size_bytes = (SELECT ${byteCountOf(p)} FROM ${blobUpload} u WHERE ${isHeld(p)})
    WHERE digest = ${p.digest} AND object_key = ${p.lostKey}
      AND EXISTS (SELECT 1 FROM ${blobUpload} u WHERE ${isHeld(p)})`,
);

/** Which upload is cancelled: whoever holds it, or only under this claim. */
type Cancelled = { uploadId: string; onlyClaim: string | null };
const isCancelled = (p: Parameters<Cancelled>): SQL =>
  sql`u.uuid = ${p.uploadId} AND (${p.onlyClaim} IS NULL OR u.claim_token = ${p.onlyClaim})`;

/** Buries everything that uploads may have in R2: their multiparts, their objects, their tails. */
const buryUploads = (p: Parameters<Burial>, isEnding: SQL): SQL => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, r2_upload_id, not_before_ms, created_ms)
    SELECT u.object_key, 'mpu', u.r2_upload_id, ${p.dueMs}, ${p.nowMs} FROM ${blobUpload} u
    WHERE ${isEnding} AND u.r2_upload_id IS NOT NULL
    UNION ALL
    SELECT u.object_key, 'key', NULL, ${p.dueMs}, ${p.nowMs} FROM ${blobUpload} u
    WHERE ${isEnding}
    UNION ALL
    SELECT 'uploads/' || u.uuid || '/', 'prefix', NULL, ${p.dueMs}, ${p.nowMs}
    FROM ${blobUpload} u WHERE ${isEnding}
    ON CONFLICT DO NOTHING`;

/** Buries what a cancelled upload has in R2; stands before the statement that takes its row. */
export const buryCancelledUploadStatement = defineStatement<Cancelled & Burial>((p) =>
  buryUploads(p, isCancelled(p)),
);

/** Takes the row of a cancelled upload; it comes back to tell that it was there. */
export const deleteCancelledUploadStatement = defineStatement<Cancelled, { uploadId: string }>(
  (p) => sql`DELETE FROM ${blobUpload} AS u WHERE ${isCancelled(p)} RETURNING uuid AS uploadId`,
);

/**
 * Which uploads are stale: untouched since `idleSinceMs`, or begun before `begunBeforeMs` however
 * busy, and held by nobody. The two times stand in an OR of two indexes.
 */
type Stale = { idleSinceMs: number; begunBeforeMs: number; nowMs: number };
const isStale = (p: Parameters<Stale>): SQL =>
  sql`(u.updated_ms <= ${p.idleSinceMs} OR u.created_ms <= ${p.begunBeforeMs})
      AND (u.claim_until_ms IS NULL OR u.claim_until_ms < ${p.nowMs})`;

/** Some stale uploads. */
export const staleUploadsStatement = defineStatement<
  Stale & { limit: number },
  { uploadId: string }
>(
  (p) => sql`
    SELECT u.uuid AS uploadId FROM ${blobUpload} u WHERE ${isStale(p)} LIMIT ${p.limit}`,
);

/** Those of a JSON list of uploads that are stale still. */
const isListedAndStale = (p: Parameters<Stale & { uploadIds: string }>): SQL =>
  sql`u.uuid IN (SELECT value FROM json_each(${p.uploadIds})) AND ${isStale(p)}`;

/** Buries what stale uploads have in R2; stands before the statement that takes their rows. */
export const buryStaleUploadsStatement = defineStatement<Stale & Burial & { uploadIds: string }>(
  (p) => buryUploads(p, isListedAndStale(p)),
);

/** Takes the rows of stale uploads; they come back to tell which were taken. */
export const deleteStaleUploadsStatement = defineStatement<
  Stale & { uploadIds: string },
  { uploadId: string }
>(
  (p) => sql`
    DELETE FROM ${blobUpload} AS u WHERE ${isListedAndStale(p)} RETURNING uuid AS uploadId`,
);

/** Those of a JSON list of repositories by id. */
const isInListed = (p: Parameters<{ repositoryIds: string }>): SQL =>
  sql`u.repository_id IN (SELECT value FROM json_each(${p.repositoryIds}))`;

/** Buries what the uploads of repositories have in R2; stands before the statement below. */
export const buryUploadsOfRepositoriesStatement = defineStatement<
  Burial & { repositoryIds: string }
>((p) => buryUploads(p, isInListed(p)));

/** Takes the rows of all uploads of repositories. */
export const deleteUploadsOfRepositoriesStatement = defineStatement<{ repositoryIds: string }>(
  (p) => sql`DELETE FROM ${blobUpload} AS u WHERE ${isInListed(p)}`,
);
