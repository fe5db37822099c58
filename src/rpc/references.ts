import * as z from 'zod';

import type {
  Blob,
  BlobUpload,
  JsonObject,
  LabelSource,
  LegacyImage,
  Tag,
} from '../model/datatypes.ts';
import { parseDigest } from '../model/digest.ts';
import { parseNamespaceName, parseTagName, type RepositoryPath } from '../model/names.ts';
import { type ManifestInfo, REPOSITORY_STATES, type RepositoryRef } from '../model/references.ts';
import { epochMs, type EpochSeconds } from '../model/time.ts';

/**
 * The references that callers send back, as what they are at run time: whatever comes from another
 * Worker is of no type. Fields that a reference does not have are left behind.
 */

const rowId = z.int().positive();
const count = z.int().nonnegative();
const timeMs = z.int().transform(epochMs);
const timeSec = z.int().transform((seconds) => seconds as EpochSeconds);
const repositoryPath = z.string().transform((text) => text as RepositoryPath);

export const digest = parsedBy(parseDigest, 'is neither a sha256 nor a sha512 digest');
const namespaceName = parsedBy(parseNamespaceName, 'is no namespace name');
const tagName = parsedBy(parseTagName, 'is no tag name');

/** A text that a parser of the model makes a brand of. */
function parsedBy<Parsed>(parse: (text: string) => Parsed | null, problem: string) {
  return z.string().transform((text, context) => {
    const parsed = parse(text);
    if (parsed === null) {
      context.addIssue(problem);
      return z.NEVER;
    }
    return parsed;
  });
}

export const repositoryRef: z.ZodType<RepositoryRef> = z.object({
  id: rowId,
  namespaceId: rowId,
  namespaceName,
  name: repositoryPath,
  kind: z.enum(['image', 'application']),
  isPublic: z.boolean(),
  state: z.literal(Object.values(REPOSITORY_STATES)),
  isNamespaceEnabled: z.boolean(),
  regionMode: z.enum(['off', 'observe', 'enforce']),
  heldByPullDays: count,
});

export const manifestInfo: z.ZodType<ManifestInfo> = z.object({
  id: rowId,
  repositoryId: rowId,
  digest,
  mediaType: z.string(),
  isManifestList: z.boolean(),
  sizeBytes: count,
  configMediaType: z.string().nullable(),
  layersCompressedSize: count.nullable(),
  subjectDigest: z.string().nullable(),
  artifactType: z.string().nullable(),
  createdMs: timeMs,
});

export const tag: z.ZodType<Tag> = z.object({
  id: rowId,
  repositoryId: rowId,
  name: tagName,
  manifestDigest: digest,
  manifest: manifestInfo,
  reversion: z.boolean(),
  immutable: z.boolean(),
  lifetimeStartMs: timeMs,
  lifetimeEndMs: timeMs.nullable(),
  lifetimeStartTs: timeSec,
  lifetimeEndTs: timeSec.nullable(),
  releaseUuid: z.string().nullable(),
});

export const blob: z.ZodType<Blob> = z.object({
  uuid: z.string(),
  digest,
  compressedSize: count,
  uncompressedSize: count.nullable(),
  objectKey: z.string(),
  placements: z.array(z.string()).exactOptional(),
});

export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), z.json());

export const blobUpload: z.ZodType<BlobUpload> = z.object({
  uploadId: z.string(),
  repositoryId: rowId,
  byteCount: count,
  uncompressedByteCount: count.nullable(),
  chunkCount: count,
  shaState: z.string(),
  locationName: z.string(),
  storageMetadata: jsonObject,
  version: count,
  state: z.enum(['open', 'writing', 'committing']),
  claimToken: z.string().exactOptional(),
});

export const legacyImage: z.ZodType<LegacyImage> = z.object({
  dockerImageId: z.string(),
  created: z.string().nullable(),
  comment: z.string().nullable(),
  command: z.string().nullable(),
  imageSize: count.nullable(),
  aggregateSize: count,
  blobDigest: z.string(),
  blob: blob.nullable(),
  v1MetadataString: z.string(),
  layerIndex: count,
  manifest: manifestInfo,
  ancestorIds: z.array(z.string()),
  parentImageId: z.string().nullable(),
});

export const labelSource: z.ZodType<LabelSource> = z.enum(['manifest', 'api', 'internal']);
