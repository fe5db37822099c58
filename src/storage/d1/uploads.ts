import { type SQL, sql } from 'drizzle-orm';

import type { BlobUpload, JsonObject } from '../../model/datatypes.ts';
import type { RepositoryNameValues } from './repositories.ts';
import { r2Tombstone } from './schema/garbage.ts';
import { namespace, repository } from './schema/repositories.ts';
import { blobUpload, blobUploadPart } from './schema/uploads.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** An upload's row: the caller's snapshot, and where its bytes are. */
export interface StoredUpload {
  readonly snapshot: BlobUpload;
  readonly objectKey: string;
  /** The open R2 multipart upload of `objectKey`, once a first part was full. */
  readonly r2UploadId: string | null;
  readonly partSize: number;
  readonly partCount: number;
  /** The last bytes received, fewer than a part, and the key they lie under. */
  readonly tailKey: string | null;
  readonly tailSize: number;
}

interface UploadRow {
  uploadId: string;
  repositoryId: number;
  location: string;
  objectKey: string;
  r2UploadId: string | null;
  partSize: number;
  partCount: number;
  tailKey: string | null;
  tailSize: number;
  byteCount: number;
  uncompressedByteCount: number | null;
  chunkCount: number;
  shaState: string;
  storageMetadata: string;
  state: string;
  version: number;
  claimToken: string | null;
}

const columns = (prefix: string): SQL =>
  sql.raw(
    [
      'uuid AS uploadId',
      'repository_id AS repositoryId',
      'location AS location',
      'object_key AS objectKey',
      'r2_upload_id AS r2UploadId',
      'part_size AS partSize',
      'part_count AS partCount',
      'tail_key AS tailKey',
      'tail_size AS tailSize',
      'byte_count AS byteCount',
      'uncompressed_byte_count AS uncompressedByteCount',
      'chunk_count AS chunkCount',
      'sha_state AS shaState',
      'storage_metadata AS storageMetadata',
      'state AS state',
      'version AS version',
      'claim_token AS claimToken',
    ]
      .map((column) => `${prefix}${column}`)
      .join(', '),
  );

function toStoredUpload(row: UploadRow): StoredUpload {
  return {
    snapshot: {
      uploadId: row.uploadId,
      repositoryId: row.repositoryId,
      byteCount: row.byteCount,
      uncompressedByteCount: row.uncompressedByteCount,
      chunkCount: row.chunkCount,
      shaState: row.shaState,
      locationName: row.location,
      storageMetadata: JSON.parse(row.storageMetadata) as JsonObject,
      version: row.version,
      state: row.state as BlobUpload['state'],
    },
    objectKey: row.objectKey,
    r2UploadId: row.r2UploadId,
    partSize: row.partSize,
    partCount: row.partCount,
    tailKey: row.tailKey,
    tailSize: row.tailSize,
  };
}

/** For the holder alone: whoever has the claim's token may act under the claim. */
function toHeldUpload(row: UploadRow): StoredUpload {
  const stored = toStoredUpload(row);
  const { claimToken } = row;
  return claimToken === null ? stored : { ...stored, snapshot: { ...stored.snapshot, claimToken } };
}

/** The repository that a request names; an upload is reached through its own one only. */
const repositoryId = (p: { namespace: unknown; repository: unknown }): SQL => sql`(
      SELECT r.id FROM ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id
      WHERE n.name = ${p.namespace} AND r.name = ${p.repository} AND r.state <> 3)`;

export type NewUploadValues = {
  uploadId: string;
  objectKey: string;
  location: string;
  partSize: number;
  shaState: string;
  storageMetadata: string;
  state: 'open' | 'committing';
  claimToken: string | null;
  claimUntilMs: number | null;
  nowMs: number;
};

/** A row that is born claimed counts that claim in its version like any other. */
const insertFrom = (p: Parameters<NewUploadValues>, repositories: SQL): SQL => sql`
    INSERT INTO ${blobUpload} (uuid, repository_id, location, object_key, part_size, sha_state,
      storage_metadata, state, version, claim_token, claim_until_ms, created_ms, updated_ms)
    SELECT ${p.uploadId}, r.id, ${p.location}, ${p.objectKey}, ${p.partSize}, ${p.shaState},
      ${p.storageMetadata}, ${p.state}, ${p.claimToken} IS NOT NULL, ${p.claimToken},
      ${p.claimUntilMs}, ${p.nowMs}, ${p.nowMs}
    FROM ${repositories}`;

/** Begins an upload in a repository by id; no row if that is gone or the upload's id is taken. */
export const insertUploadStatement = defineStatement<
  NewUploadValues & { repositoryId: number },
  UploadRow,
  StoredUpload
>(
  (p) => sql`
    ${insertFrom(p, sql`${repository} r`)} WHERE r.id = ${p.repositoryId} AND r.state <> 3
    ON CONFLICT DO NOTHING RETURNING ${columns('')}`,
  toStoredUpload,
);

/**
 * The same by the repository's name under an id that is new, and only where pushes are taken; with
 * `enabledOnly` only in a namespace that is enabled.
 */
export const insertUploadByNameStatement = defineStatement<
  NewUploadValues & RepositoryNameValues & { enabledOnly: number },
  UploadRow,
  StoredUpload
>(
  (p) => sql`
    ${insertFrom(p, sql`${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id`)}
    WHERE n.name = ${p.namespace} AND r.name = ${p.repository} AND r.state = 0
      AND (n.enabled = 1 OR ${p.enabledOnly} = 0)
    RETURNING ${columns('')}`,
  toHeldUpload,
);

/** The upload of an id in a repository by id. */
export const uploadStatement = defineStatement<
  { uploadId: string; repositoryId: number },
  UploadRow,
  StoredUpload
>(
  (p) => sql`
    SELECT ${columns('u.')} FROM ${blobUpload} u
    WHERE u.uuid = ${p.uploadId} AND u.repository_id = ${p.repositoryId}`,
  toStoredUpload,
);

/** The upload of an id in a repository by name. */
export const uploadByNameStatement = defineStatement<
  RepositoryNameValues & { uploadId: string },
  UploadRow,
  StoredUpload
>(
  (p) => sql`
    SELECT ${columns('u.')} FROM ${blobUpload} u
    WHERE u.uuid = ${p.uploadId} AND u.repository_id = ${repositoryId(p)}`,
  toStoredUpload,
);

type Claim = RepositoryNameValues & {
  uploadId: string;
  claimToken: string;
  claimUntilMs: number;
  nowMs: number;
};

/** The same, only if its state takes pushes. */
const writableRepositoryId = (p: { namespace: unknown; repository: unknown }): SQL => sql`(
      SELECT r.id FROM ${namespace} n CROSS JOIN ${repository} r ON r.namespace_id = n.id
      WHERE n.name = ${p.namespace} AND r.name = ${p.repository} AND r.state = 0)`;

/** Free to be claimed, or ours already because the answer to an earlier sending was lost. */
const isClaimable = (p: Parameters<Claim>): SQL => sql`(
      claim_token = ${p.claimToken} OR claim_token IS NULL OR claim_until_ms < ${p.nowMs})`;

/**
 * Claims an upload for a chunk. With an offset, only if that is the next byte; with null, wherever
 * it stands. A claim of another writer that is overdue is taken over; so is not a commit's.
 */
export const claimForChunkStatement = defineStatement<
  Claim & { offset: number | null },
  UploadRow,
  StoredUpload
>(
  (p) => sql`
    UPDATE ${blobUpload} SET state = 'writing', claim_token = ${p.claimToken},
      claim_until_ms = ${p.claimUntilMs}, updated_ms = ${p.nowMs},
      version = version + (claim_token IS NOT ${p.claimToken})
    WHERE uuid = ${p.uploadId} AND repository_id = ${writableRepositoryId(p)}
      AND (${p.offset} IS NULL OR byte_count = ${p.offset})
      AND state <> 'committing' AND ${isClaimable(p)}
    RETURNING ${columns('')}`,
  toHeldUpload,
);

type CommitClaim = Claim & { freshKey: string; untouchedOnly: number };

/**
 * The rows that a commit may claim: all, or only those that have received nothing. The look-up of
 * the repository stands last, so that it is only done for a row that passes the rest.
 */
const isCommittable = (p: Parameters<CommitClaim>): SQL => sql`uuid = ${p.uploadId}
      AND ${isClaimable(p)} AND (NOT ${p.untouchedOnly} OR byte_count = 0)
      AND repository_id = ${writableRepositoryId(p)}`;

/**
 * Whether the commit gives the upload's key up for a fresh one. A holder that was before us may
 * still have a write under way, and that must not land on a key that lives. Every claim raises
 * `version`, so an upload of version 0 had no holder; a part that is recorded binds the key.
 */
const abandonsKey = (p: Parameters<CommitClaim>): SQL =>
  sql`part_count = 0 AND version > 0 AND claim_token IS NOT ${p.claimToken}`;

/** Claims an upload for its commit; the statements for the abandoned key stand before this one. */
export const claimForCommitStatement = defineStatement<CommitClaim, UploadRow, StoredUpload>(
  (p) => sql`
    UPDATE ${blobUpload} SET state = 'committing', claim_token = ${p.claimToken},
      claim_until_ms = ${p.claimUntilMs}, updated_ms = ${p.nowMs},
      version = version + (claim_token IS NOT ${p.claimToken}),
      object_key = CASE WHEN ${abandonsKey(p)} THEN ${p.freshKey} ELSE object_key END,
      r2_upload_id = CASE WHEN ${abandonsKey(p)} THEN NULL ELSE r2_upload_id END
    WHERE ${isCommittable(p)} RETURNING ${columns('')}`,
  toHeldUpload,
);

/**
 * Buries the key that the commit's claim is about to give up, and a multipart upload of it: one
 * without parts cannot be completed and would stay open.
 */
export const buryAbandonedKeyStatement = defineStatement<CommitClaim & { dueMs: number }>(
  (p) => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, r2_upload_id, not_before_ms, created_ms)
    SELECT object_key, kind.value, CASE kind.value WHEN 'mpu' THEN r2_upload_id END, ${p.dueMs},
      ${p.nowMs}
    FROM ${blobUpload} CROSS JOIN json_each('["key","mpu"]') kind
    WHERE ${abandonsKey(p)} AND ${isCommittable(p)}
      AND (kind.value = 'key' OR r2_upload_id IS NOT NULL)
    ON CONFLICT DO NOTHING`,
);

type Held = { uploadId: string; claimToken: string };

/** The holder shows that it lives. A row comes back while the claim is still its own. */
export const extendClaimStatement = defineStatement<
  Held & { claimUntilMs: number; nowMs: number },
  { uploadId: string }
>(
  (p) => sql`
    UPDATE ${blobUpload} SET claim_until_ms = ${p.claimUntilMs}, updated_ms = ${p.nowMs}
    WHERE uuid = ${p.uploadId} AND claim_token = ${p.claimToken} RETURNING uuid AS uploadId`,
);

/** Records the multipart upload that the first full part needs. */
export const recordMultipartStatement = defineStatement<
  Held & { r2UploadId: string },
  { uploadId: string }
>(
  (p) => sql`
    UPDATE ${blobUpload} SET r2_upload_id = ${p.r2UploadId}
    WHERE uuid = ${p.uploadId} AND claim_token = ${p.claimToken} RETURNING uuid AS uploadId`,
);

/** Adds the parts of a chunk, from a JSON list of `{partNumber, etag}`; before the counts move. */
export const insertPartsStatement = defineStatement<Held & { parts: string }>(
  (p) => sql`
    INSERT INTO ${blobUploadPart} (upload_id, part_number, etag)
    SELECT u.id, given.value ->> 'partNumber', given.value ->> 'etag'
    FROM ${blobUpload} u CROSS JOIN json_each(${p.parts}) given
    WHERE u.uuid = ${p.uploadId} AND u.claim_token = ${p.claimToken}
    ON CONFLICT (upload_id, part_number) DO UPDATE SET etag = excluded.etag`,
);

/** Moves the counts over a received chunk and gives the claim up. */
export const recordChunkStatement = defineStatement<
  Held & {
    byteCount: number;
    uncompressedByteCount: number | null;
    partCount: number;
    tailKey: string | null;
    tailSize: number;
    shaState: string;
    nowMs: number;
  },
  UploadRow,
  StoredUpload
>(
  (p) => sql`
    UPDATE ${blobUpload} SET byte_count = ${p.byteCount},
      uncompressed_byte_count = ${p.uncompressedByteCount}, chunk_count = chunk_count + 1,
      part_count = ${p.partCount}, tail_key = ${p.tailKey}, tail_size = ${p.tailSize},
      sha_state = ${p.shaState}, updated_ms = ${p.nowMs},
      state = 'open', claim_token = NULL, claim_until_ms = NULL
    WHERE uuid = ${p.uploadId} AND claim_token = ${p.claimToken} RETURNING ${columns('')}`,
  toStoredUpload,
);

/** Gives a claim up with nothing received, so that a retry need not wait until it lapses. */
export const releaseClaimStatement = defineStatement<Held & { nowMs: number }>(
  (p) => sql`
    UPDATE ${blobUpload} SET state = 'open', claim_token = NULL, claim_until_ms = NULL,
      version = version + 1, updated_ms = ${p.nowMs}
    WHERE uuid = ${p.uploadId} AND claim_token = ${p.claimToken}`,
);

/**
 * Gives up a commit that failed: the next commit may take over at once. It stays a commit, for a
 * write of ours may still land on the key, and only commits draw a fresh one.
 */
export const lapseClaimStatement = defineStatement<Held & { nowMs: number }>(
  (p) => sql`
    UPDATE ${blobUpload} SET claim_until_ms = 0, updated_ms = ${p.nowMs}
    WHERE uuid = ${p.uploadId} AND claim_token = ${p.claimToken}`,
);

/** The parts that R2 has of an upload, in order. */
export const uploadPartsStatement = defineStatement<
  { uploadId: string },
  { partNumber: number; etag: string }
>(
  (p) => sql`
    SELECT part.part_number AS partNumber, part.etag AS etag
    FROM ${blobUpload} u CROSS JOIN ${blobUploadPart} part ON part.upload_id = u.id
    WHERE u.uuid = ${p.uploadId} ORDER BY part.part_number`,
);

/** Writes a caller's counts over an upload that is still the snapshot's. */
export const updateUploadStatement = defineStatement<
  {
    uploadId: string;
    version: number;
    snapshotClaim: string | null;
    byteCount: number;
    uncompressedByteCount: number | null;
    chunkCount: number;
    shaState: string;
    storageMetadata: string;
    nowMs: number;
  },
  UploadRow,
  StoredUpload
>(
  (p) => sql`
    UPDATE ${blobUpload} SET byte_count = ${p.byteCount},
      uncompressed_byte_count = ${p.uncompressedByteCount}, chunk_count = ${p.chunkCount},
      sha_state = ${p.shaState}, storage_metadata = ${p.storageMetadata},
      version = version + 1, updated_ms = ${p.nowMs}
    WHERE uuid = ${p.uploadId} AND version = ${p.version} AND claim_token IS ${p.snapshotClaim}
    RETURNING ${columns('')}`,
  toHeldUpload,
);

/** The upload of an id in any repository. */
export const uploadByIdStatement = defineStatement<{ uploadId: string }, UploadRow, StoredUpload>(
  (p) => sql`SELECT ${columns('u.')} FROM ${blobUpload} u WHERE u.uuid = ${p.uploadId}`,
  toStoredUpload,
);

/** Claims an upload for the record of its blob, if nobody holds it. */
export const claimByIdStatement = defineStatement<
  Held & { claimUntilMs: number; nowMs: number },
  { uploadId: string }
>(
  (p) => sql`
    UPDATE ${blobUpload} SET state = 'committing', claim_token = ${p.claimToken},
      claim_until_ms = ${p.claimUntilMs}, updated_ms = ${p.nowMs},
      version = version + (claim_token IS NOT ${p.claimToken})
    WHERE uuid = ${p.uploadId} AND (claim_token = ${p.claimToken}
      OR claim_token IS NULL OR claim_until_ms < ${p.nowMs})
    RETURNING uuid AS uploadId`,
);
