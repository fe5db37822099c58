import type { Bytes } from './bytes.ts';
import type { Digest } from './digest.ts';
import type { TagName } from './names.ts';
import type { ManifestInfo } from './references.ts';
import type { EpochMs, EpochSeconds } from './time.ts';

/** A manifest with the exact bytes that were pushed. */
export interface Manifest extends ManifestInfo {
  readonly bytes: Bytes;
}

/** One generation of a tag's name: it points to one manifest for one interval of time. */
export interface Tag {
  readonly id: number;
  readonly repositoryId: number;
  readonly name: TagName;
  readonly manifestDigest: Digest;
  readonly manifest: ManifestInfo;
  /** Whether it was made by a restore from the time machine. */
  readonly reversion: boolean;
  readonly immutable: boolean;
  readonly lifetimeStartMs: EpochMs;
  /** The millisecond at which it is over; null: it never ends by itself. */
  readonly lifetimeEndMs: EpochMs | null;
  readonly lifetimeStartTs: EpochSeconds;
  readonly lifetimeEndTs: EpochSeconds | null;
  /** The release that began it; null: it was tagged alone. */
  readonly releaseUuid: string | null;
}

export interface ShallowTag {
  readonly id: number;
  readonly name: TagName;
}

/** One page of a list. `cursor` is opaque, and there where a method offers paging by it. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly hasMore: boolean;
  readonly cursor?: string;
}

/** Immutable bytes named by digest; one for the whole registry, visible where it is linked. */
export interface Blob {
  readonly uuid: string;
  readonly digest: Digest;
  readonly compressedSize: number;
  readonly uncompressedSize: number | null;
  /** The R2 key of the bytes: opaque, and never used for other bytes. */
  readonly objectKey: string;
  /** Where the bytes are kept, only if asked for. */
  readonly placements?: readonly string[];
}

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** Bytes on their way in. A snapshot: `version` says which state of the row it is. */
export interface BlobUpload {
  readonly uploadId: string;
  readonly repositoryId: number;
  readonly byteCount: number;
  readonly uncompressedByteCount: number | null;
  readonly chunkCount: number;
  /** The running SHA-256 over the first `byteCount` bytes, serialized. */
  readonly shaState: string;
  readonly locationName: string;
  readonly storageMetadata: JsonObject;
  readonly version: number;
  readonly state: 'open' | 'writing' | 'committing';
  /** There only on a snapshot whose holder claimed the upload. */
  readonly claimToken?: string;
}

export type LabelSource = 'manifest' | 'api' | 'internal';

export interface Label {
  readonly uuid: string;
  readonly key: string;
  readonly value: string;
  readonly sourceType: LabelSource;
  readonly mediaType: string;
}

/** One step of an image's history, and the layer it made. */
export interface ManifestImageLayer {
  readonly layerId: string;
  readonly compressedSize: number | null;
  readonly isRemote: boolean;
  readonly urls: readonly string[] | null;
  readonly command: string | null;
  readonly blobDigest: string;
  readonly created: string | null;
  readonly author: string | null;
  readonly comment: string | null;
}

export interface ManifestLayer {
  readonly layerInfo: ManifestImageLayer;
  /** Null for remote layers, and only for them. */
  readonly blob: Blob | null;
}

/** The Docker v1 view of one layer of a manifest, computed when asked for. */
export interface LegacyImage {
  readonly dockerImageId: string;
  readonly created: string | null;
  readonly comment: string | null;
  readonly command: string | null;
  readonly imageSize: number | null;
  readonly aggregateSize: number;
  readonly blobDigest: string;
  readonly blob: Blob | null;
  readonly v1MetadataString: string;
  readonly layerIndex: number;
  readonly manifest: ManifestInfo;
  readonly ancestorIds: readonly string[];
  readonly parentImageId: string | null;
}
