import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { isIndexMediaType } from '../../image/media-types.ts';
import { type Bytes, encodeUtf8 } from '../../model/bytes.ts';
import type { Blob, Manifest, Tag } from '../../model/datatypes.ts';
import type { Digest } from '../../model/digest.ts';
import type { NamespaceName, RepositoryPath, TagName } from '../../model/names.ts';
import type {
  ManifestInfo,
  RepositoryKind,
  RepositoryRef,
  RepositoryState,
} from '../../model/references.ts';
import type { RegionMode } from '../../model/regions.ts';
import { type EpochMs, toEpochSeconds } from '../../model/time.ts';

/**
 * What is selected of a table, under aliases that are unique over all tables, and how the columns
 * become the model's types. Values were checked when they were written; here they are only named.
 */

/** Of `repository r` joined with `namespace n`. */
export const repositoryColumns: SQL = sql.raw(`
  r.id AS repositoryId, r.namespace_id AS namespaceId, n.name AS namespaceName,
  r.name AS repositoryName, r.kind AS repositoryKind, r.visibility AS visibility,
  r.state AS repositoryState, n.enabled AS namespaceEnabled,
  n.region_mode AS regionMode, n.held_by_pull_days AS heldByPullDays`);

export interface RepositoryRow {
  repositoryId: number;
  namespaceId: number;
  namespaceName: string;
  repositoryName: string;
  repositoryKind: string;
  visibility: string;
  repositoryState: number;
  namespaceEnabled: number;
  regionMode: string;
  heldByPullDays: number;
}

export function toRepositoryRef(row: RepositoryRow): RepositoryRef {
  return {
    id: row.repositoryId,
    namespaceId: row.namespaceId,
    namespaceName: row.namespaceName as NamespaceName,
    name: row.repositoryName as RepositoryPath,
    kind: row.repositoryKind as RepositoryKind,
    isPublic: row.visibility === 'public',
    state: row.repositoryState as RepositoryState,
    isNamespaceEnabled: row.namespaceEnabled === 1,
    regionMode: row.regionMode as RegionMode,
    heldByPullDays: row.heldByPullDays,
  };
}

/** Of `manifest m`, all but the body. */
export const manifestColumns: SQL = sql.raw(`
  m.id AS manifestId, m.repository_id AS manifestRepositoryId, m.digest AS manifestDigest,
  m.media_type AS mediaType, m.size_bytes AS manifestSizeBytes,
  m.config_media_type AS configMediaType, m.layers_compressed_size AS layersCompressedSize,
  m.subject_digest AS subjectDigest, m.artifact_type AS artifactType,
  m.created_ms AS manifestCreatedMs`);

export interface ManifestRow {
  manifestId: number;
  manifestRepositoryId: number;
  manifestDigest: string;
  mediaType: string;
  manifestSizeBytes: number;
  configMediaType: string | null;
  layersCompressedSize: number | null;
  subjectDigest: string | null;
  artifactType: string | null;
  manifestCreatedMs: number;
}

export function toManifestInfo(row: ManifestRow): ManifestInfo {
  return {
    id: row.manifestId,
    repositoryId: row.manifestRepositoryId,
    digest: row.manifestDigest as Digest,
    mediaType: row.mediaType,
    isManifestList: isIndexMediaType(row.mediaType),
    sizeBytes: row.manifestSizeBytes,
    configMediaType: row.configMediaType,
    layersCompressedSize: row.layersCompressedSize,
    subjectDigest: row.subjectDigest,
    artifactType: row.artifactType,
    createdMs: row.manifestCreatedMs as EpochMs,
  };
}

/** Where a manifest's body is: in the row, or under a key in R2. */
export const manifestBodyColumns: SQL = sql.raw('m.bytes_key AS bytesKey, m.bytes AS bytesText');

/** The same only if asked for: a body is the larger part of its row by far. */
export const manifestBodyColumnsIf = (asked: Placeholder): SQL => sql`
  CASE WHEN ${asked} THEN m.bytes_key END AS bytesKey,
  CASE WHEN ${asked} THEN m.bytes END AS bytesText`;

export interface ManifestBodyRow {
  bytesKey: string | null;
  bytesText: string | null;
}

/** A manifest's body as the row has it; exactly one of the two is there. */
export type StoredBody =
  | { readonly kind: 'inline'; readonly bytes: Bytes }
  | { readonly kind: 'object'; readonly key: string };

function toStoredBody({ bytesKey, bytesText }: ManifestBodyRow): StoredBody {
  return bytesKey === null
    ? { kind: 'inline', bytes: encodeUtf8(bytesText ?? '') }
    : { kind: 'object', key: bytesKey };
}

/** A manifest as stored: its row, and where its body is. */
export interface StoredManifest {
  readonly info: ManifestInfo;
  readonly body: StoredBody;
}

export function toStoredManifest(row: ManifestRow & ManifestBodyRow): StoredManifest {
  return { info: toManifestInfo(row), body: toStoredBody(row) };
}

/** Puts the two together once the bytes are at hand. */
export function withBytes(info: ManifestInfo, bytes: Bytes): Manifest {
  return { ...info, bytes };
}

/** Of `tag t`; its manifest's columns are selected beside them. */
export const tagColumns: SQL = sql.raw(`
  t.id AS tagId, t.repository_id AS tagRepositoryId, t.name AS tagName, t.reversion AS reversion,
  t.immutable AS immutable, t.lifetime_start_ms AS lifetimeStartMs,
  t.lifetime_end_ms AS lifetimeEndMs, t.release_uuid AS releaseUuid`);

export interface TagRow extends ManifestRow {
  tagId: number;
  tagRepositoryId: number;
  tagName: string;
  reversion: number;
  immutable: number;
  lifetimeStartMs: number;
  lifetimeEndMs: number | null;
  releaseUuid: string | null;
}

export function toTag(row: TagRow): Tag {
  const lifetimeStartMs = row.lifetimeStartMs as EpochMs;
  const lifetimeEndMs = row.lifetimeEndMs as EpochMs | null;
  return {
    id: row.tagId,
    repositoryId: row.tagRepositoryId,
    name: row.tagName as TagName,
    manifestDigest: row.manifestDigest as Digest,
    manifest: toManifestInfo(row),
    reversion: row.reversion === 1,
    immutable: row.immutable === 1,
    lifetimeStartMs,
    lifetimeEndMs,
    lifetimeStartTs: toEpochSeconds(lifetimeStartMs),
    lifetimeEndTs: lifetimeEndMs === null ? null : toEpochSeconds(lifetimeEndMs),
    releaseUuid: row.releaseUuid,
  };
}

/** Of `blob b`. */
export const blobColumns: SQL = sql.raw(`
  b.uuid AS blobUuid, b.digest AS blobDigest, b.size_bytes AS blobSizeBytes,
  b.uncompressed_size AS uncompressedSize, b.object_key AS objectKey, b.location AS location`);

export interface BlobRow {
  blobUuid: string;
  blobDigest: string;
  blobSizeBytes: number;
  uncompressedSize: number | null;
  objectKey: string;
  location: string;
}

/** The blob with its placements; a caller that was not asked for them leaves them out. */
export function toBlob(row: BlobRow): Blob & { readonly placements: readonly string[] } {
  return {
    uuid: row.blobUuid,
    digest: row.blobDigest as Digest,
    compressedSize: row.blobSizeBytes,
    uncompressedSize: row.uncompressedSize,
    objectKey: row.objectKey,
    placements: [row.location],
  };
}
