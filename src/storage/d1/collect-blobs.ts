import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';
import { collectableWindow } from './conditions.ts';
import { blob, manifestBlob, uploadedBlob } from './schema/blobs.ts';
import { gcBlobCandidate, gcRemoval, r2Tombstone } from './schema/garbage.ts';
import { repository } from './schema/repositories.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The steps of garbage collection that remove leases, and blobs that nothing holds any more. The
 * bytes go to a tombstone in the batch that takes the row.
 */

type Now = { nowMs: number };
type EndedLeases = Now & { repositoryId: number; limit: number };

/** Whether a lease may go: it is over. There is no window, but nothing where nothing is collected. */
export const isEndedLease = (
  p: { repositoryId: Placeholder | SQL; nowMs: Placeholder | SQL },
  alias: string,
): SQL => sql`${sql.raw(alias)}.expires_ms <= ${p.nowMs}
      AND EXISTS (${collectableWindow(p.repositoryId)})`;

const endedLeases = (p: Parameters<EndedLeases>): SQL => sql`
    SELECT lease.blob_id AS blob_id FROM ${uploadedBlob} lease INDEXED BY uploaded_blob_expiry
    WHERE lease.repository_id = ${p.repositoryId} AND ${isEndedLease(p, 'lease')}
    ORDER BY lease.expires_ms, lease.blob_id LIMIT ${p.limit}`;

/** Enqueues the blobs of leases that are about to go. */
export const enqueueBlobsOfLeases = (leases: SQL): SQL => sql`
    INSERT INTO ${gcBlobCandidate} (blob_id)
    SELECT ended.blob_id FROM (${leases}) ended WHERE true ON CONFLICT DO NOTHING`;
export const enqueueBlobsOfEndedLeasesStatement = defineStatement<EndedLeases>((p) =>
  enqueueBlobsOfLeases(endedLeases(p)),
);

/** Makes cached answers about the repository's blobs stale, if a lease is about to go. */
export const raiseContentEpochOnEndedLeasesStatement = defineStatement<EndedLeases>(
  (p) => sql`
    UPDATE ${repository} SET content_epoch = content_epoch + 1
    WHERE id = ${p.repositoryId} AND EXISTS (${endedLeases(p)})`,
);

/** Removes the leases; stands last. */
export const deleteLeases = (p: Parameters<{ repositoryId: number }>, leases: SQL): SQL => sql`
    DELETE FROM ${uploadedBlob} WHERE repository_id = ${p.repositoryId}
      AND blob_id IN (SELECT ended.blob_id FROM (${leases}) ended)
    RETURNING blob_id AS blobId`;
export const deleteEndedLeasesStatement = defineStatement<EndedLeases, { blobId: number }>((p) =>
  deleteLeases(p, endedLeases(p)),
);

/** The lowest ids of the blobs that may be garbage. */
export const blobCandidatesStatement = defineStatement<{ limit: number }, { blobId: number }>(
  (p) => sql`
    SELECT blob_id AS blobId FROM ${gcBlobCandidate}
    WHERE blob_id > 0 ORDER BY blob_id LIMIT ${p.limit}`,
);

type Burial = Now & { dueMs: number };
type BlobIds = { blobIds: string };

/** No manifest links the blob and nobody leases it, in any repository; and it is not the shared one. */
export const isUnheld = (alias: string): SQL => sql`
      ${sql.raw(alias)}.digest <> ${sql.raw(`'${EMPTY_BLOB_DIGEST}'`)}
      AND NOT EXISTS (SELECT 1 FROM ${manifestBlob} link WHERE link.blob_id = ${sql.raw(alias)}.id)
      AND NOT EXISTS (SELECT 1 FROM ${uploadedBlob} lease
        WHERE lease.blob_id = ${sql.raw(alias)}.id)`;

/** Those of a JSON list of blobs that nothing holds. */
const garbageBlobs = (p: Parameters<BlobIds>): SQL => sql`
    SELECT garbage.id FROM ${blob} garbage
    WHERE garbage.id IN (SELECT value FROM json_each(${p.blobIds})) AND ${isUnheld('garbage')}`;

/** Buries the objects of blobs that are about to go. */
export const buryBlobsStatement = defineStatement<BlobIds & Burial>(
  (p) => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, not_before_ms, created_ms)
    SELECT b.object_key, 'key', ${p.dueMs}, ${p.nowMs} FROM ${blob} b
    WHERE b.id IN (${garbageBlobs(p)})
    ON CONFLICT DO NOTHING`,
);

/** Writes down which blobs are about to go. */
export const recordGarbageBlobsStatement = defineStatement<BlobIds & Now>(
  (p) => sql`
    INSERT INTO ${gcRemoval} (removed_ms, kind, reason, digest, size_bytes)
    SELECT ${p.nowMs}, 'blob', 'unreferenced', b.digest, b.size_bytes
    FROM ${blob} b WHERE b.id IN (${garbageBlobs(p)})`,
);

/** Removes the blobs. */
export const deleteGarbageBlobsStatement = defineStatement<
  BlobIds,
  { blobId: number; digest: string; sizeBytes: number }
>(
  (p) => sql`
    DELETE FROM ${blob} WHERE id IN (${garbageBlobs(p)})
    RETURNING id AS blobId, digest AS digest, size_bytes AS sizeBytes`,
);

/** Takes the candidates off the list; those that went with their blobs are off it already. */
export const dequeueBlobsStatement = defineStatement<BlobIds>(
  (p) => sql`
    DELETE FROM ${gcBlobCandidate}
    WHERE blob_id IN (SELECT value FROM json_each(${p.blobIds}))`,
);
