import { sql } from 'drizzle-orm';

import type { Blob } from '../../model/datatypes.ts';
import type { NamespaceName, RepositoryName, RepositoryPath } from '../../model/names.ts';
import { isVisibleBlob, repositoryIsLive } from './conditions.ts';
import { type BlobRow, blobColumns, toBlob } from './rows.ts';
import { blob, manifestBlob, uploadedBlob } from './schema/blobs.ts';
import { gcBlobCandidate } from './schema/garbage.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** The blob of a digest, if it can be seen from the repository. */
export const visibleBlobStatement = defineStatement<
  { repositoryId: number; digest: string },
  BlobRow,
  Blob
>(
  (p) => sql`
    SELECT ${blobColumns} FROM ${blob} b
    WHERE b.digest = ${p.digest} AND ${isVisibleBlob('b', p.repositoryId)}`,
  toBlob,
);

/** Those blobs of a JSON list of digests that can be seen from the repository. */
export const visibleBlobsStatement = defineStatement<
  { repositoryId: number; blobDigests: string },
  BlobRow,
  Blob
>(
  (p) => sql`
    SELECT ${blobColumns}
    FROM json_each(${p.blobDigests}) named CROSS JOIN ${blob} b ON b.digest = named.value
    WHERE ${isVisibleBlob('b', p.repositoryId)}`,
  toBlob,
);

/** The blobs that a manifest links, in no order. */
export const blobsOfManifestStatement = defineStatement<{ manifestId: number }, BlobRow, Blob>(
  (p) => sql`
    SELECT ${blobColumns}
    FROM ${manifestBlob} link CROSS JOIN ${blob} b ON b.id = link.blob_id
    WHERE link.manifest_id = ${p.manifestId}`,
  toBlob,
);

/** The blob of a digest wherever it is, for an upload that is about to give it a second copy. */
export const blobByDigestStatement = defineStatement<{ digest: string }, BlobRow, Blob>(
  (p) => sql`SELECT ${blobColumns} FROM ${blob} b WHERE b.digest = ${p.digest}`,
  toBlob,
);

/** Makes the row of a blob whose object is under a key of its own already. */
export const insertBlobStatement = defineStatement<{
  uuid: string;
  digest: string;
  sizeBytes: number;
  objectKey: string;
  location: string;
  nowMs: number;
}>(
  (p) => sql`
    INSERT INTO ${blob} (uuid, digest, size_bytes, object_key, location, created_ms)
    SELECT ${p.uuid}, ${p.digest}, ${p.sizeBytes}, ${p.objectKey}, ${p.location}, ${p.nowMs}
    WHERE true ON CONFLICT DO NOTHING`,
);

/**
 * Leases an existing blob to a repository; a row comes back if the lease is there afterwards. A
 * lease that is longer already is not shortened.
 */
export const leaseBlobStatement = defineStatement<
  { repositoryId: number; digest: string; nowMs: number; expiresMs: number },
  { blobId: number }
>(
  (p) => sql`
    INSERT INTO ${uploadedBlob} (repository_id, blob_id, uploaded_ms, expires_ms)
    SELECT r.id, b.id, ${p.nowMs}, ${p.expiresMs}
    FROM ${repository} r CROSS JOIN ${blob} b ON b.digest = ${p.digest}
    WHERE r.id = ${p.repositoryId} AND r.state <> 3
    ON CONFLICT (blob_id, repository_id)
      DO UPDATE SET expires_ms = max(uploaded_blob.expires_ms, excluded.expires_ms)
    RETURNING blob_id AS blobId`,
);

/**
 * Renews the lease of a blob that a pusher asked about, if it can be seen from the repository and
 * its lease ends before `renewBeforeMs`: a write costs what a thousand reads cost.
 */
export const renewLeaseStatement = defineStatement<{
  namespace: string;
  repository: string;
  digest: string;
  nowMs: number;
  expiresMs: number;
  renewBeforeMs: number;
}>(
  (p) => sql`
    INSERT INTO ${uploadedBlob} (repository_id, blob_id, uploaded_ms, expires_ms)
    SELECT r.id, b.id, ${p.nowMs}, ${p.expiresMs}
    FROM ${namespace} n
      CROSS JOIN ${repository} r ON r.namespace_id = n.id AND r.name = ${p.repository}
      CROSS JOIN ${blob} b ON b.digest = ${p.digest}
    WHERE n.name = ${p.namespace} AND r.state <> 3
      AND NOT EXISTS (SELECT 1 FROM ${uploadedBlob} held
        WHERE held.blob_id = b.id AND held.repository_id = r.id
          AND held.expires_ms >= ${p.renewBeforeMs})
      AND ${isVisibleBlob('b', sql`r.id`)}
    ON CONFLICT (blob_id, repository_id)
      DO UPDATE SET expires_ms = max(uploaded_blob.expires_ms, excluded.expires_ms)`,
);

/** A manifest that holds a blob, and until when tags that ended hold the manifest. */
export interface BlobHolder {
  readonly manifestDigest: string;
  /** Null: a tag without an end, an index or a referrer holds it; 0: nothing does. */
  readonly heldUntilMs: number | null;
}

/** A manifest of the repository that links the blob, if there is one. */
export const blobHolderStatement = defineStatement<
  { repositoryId: number; digest: string },
  BlobHolder
>(
  (p) => sql`
    SELECT m.digest AS manifestDigest,
      CASE WHEN EXISTS (SELECT 1 FROM ${manifestChild} parent
          WHERE parent.child_manifest_id = m.id)
        OR EXISTS (SELECT 1 FROM ${manifest} referrer
          WHERE referrer.repository_id = m.repository_id AND referrer.subject_digest = m.digest)
        OR EXISTS (SELECT 1 FROM ${tag} open
          WHERE open.manifest_id = m.id AND open.lifetime_end_ms IS NULL)
      THEN NULL
      ELSE coalesce((SELECT max(t.lifetime_end_ms) + 1000 * n.removed_tag_expiration_s
        FROM ${tag} t CROSS JOIN ${repository} r ON r.id = m.repository_id
          CROSS JOIN ${namespace} n ON n.id = r.namespace_id
        WHERE t.manifest_id = m.id), 0) END AS heldUntilMs
    FROM ${blob} b CROSS JOIN ${manifestBlob} link
        ON link.blob_id = b.id AND link.repository_id = ${p.repositoryId}
      CROSS JOIN ${manifest} m ON m.id = link.manifest_id
    WHERE b.digest = ${p.digest} LIMIT 1`,
);

type Unlink = { repositoryId: number; digest: string };

/** The blob is leased to the repository and linked to none of its manifests. */
const unlinkable = (p: Parameters<Unlink>) => sql`
    SELECT b.id AS id FROM ${blob} b
      CROSS JOIN ${uploadedBlob} lease
        ON lease.blob_id = b.id AND lease.repository_id = ${p.repositoryId}
    WHERE b.digest = ${p.digest} AND NOT EXISTS (SELECT 1 FROM ${manifestBlob} link
      WHERE link.blob_id = b.id AND link.repository_id = ${p.repositoryId})
      AND ${repositoryIsLive(p.repositoryId)}`;

/** Puts a blob that is about to lose its lease on the list of what may be garbage. */
export const enqueueUnlinkedBlobStatement = defineStatement<Unlink>(
  (p) => sql`
    INSERT INTO ${gcBlobCandidate} (blob_id) ${unlinkable(p)} ON CONFLICT DO NOTHING`,
);

/** Makes cached answers about the repository's blobs stale, if the blob is about to go. */
export const raiseContentEpochOnUnlinkStatement = defineStatement<Unlink>(
  (p) => sql`
    UPDATE ${repository} SET content_epoch = content_epoch + 1
    WHERE id = ${p.repositoryId} AND EXISTS (${unlinkable(p)})`,
);

/** Takes the lease of a blob that no manifest of the repository links. */
export const deleteLeaseStatement = defineStatement<Unlink, { blobId: number }>(
  (p) => sql`
    DELETE FROM ${uploadedBlob}
    WHERE repository_id = ${p.repositoryId} AND blob_id IN (${unlinkable(p)})
    RETURNING blob_id AS blobId`,
);

/**
 * Repositories that a blob can be seen from, by lease or by link, each once. Links are stepped
 * through repository by repository: a base layer may have thousands in one.
 */
export const blobSourcesStatement = defineStatement<
  { digest: string; limit: number },
  { namespaceName: string; repositoryName: string },
  RepositoryName
>(
  (p) => sql`
    WITH RECURSIVE known(blob_id) AS (SELECT b.id FROM ${blob} b WHERE b.digest = ${p.digest}),
      linking(repository_id) AS (
        SELECT (SELECT min(link.repository_id) FROM ${manifestBlob} link
          WHERE link.blob_id = known.blob_id) FROM known
        UNION ALL
        SELECT (SELECT min(link.repository_id) FROM ${manifestBlob} link
          WHERE link.blob_id = known.blob_id AND link.repository_id > linking.repository_id)
        FROM linking CROSS JOIN known WHERE linking.repository_id IS NOT NULL
        LIMIT ${p.limit}),
      leasing(repository_id) AS (
        SELECT lease.repository_id
        FROM known CROSS JOIN ${uploadedBlob} lease ON lease.blob_id = known.blob_id
        LIMIT ${p.limit})
    SELECT n.name AS namespaceName, r.name AS repositoryName
    FROM (SELECT repository_id FROM linking UNION SELECT repository_id FROM leasing) holder
      CROSS JOIN ${repository} r ON r.id = holder.repository_id AND r.state <> 3
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    LIMIT ${p.limit}`,
  ({ namespaceName, repositoryName }) => ({
    namespace: namespaceName as NamespaceName,
    repository: repositoryName as RepositoryPath,
  }),
);
