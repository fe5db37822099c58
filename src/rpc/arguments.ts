import * as z from 'zod';

import { SCHEMA1_MEDIA_TYPE } from '../image/media-types.ts';
import { parseManifest } from '../image/parse.ts';
import type { ManifestForm, ParsedManifest } from '../image/parsed-manifest.ts';
import { parseSchema1 } from '../image/schema1.ts';
import type { Bytes } from '../model/bytes.ts';
import { algorithmOf, computeDigest } from '../model/digest.ts';
import { RegistryError } from '../model/errors.ts';
import {
  CALL_SECONDS_MAX,
  MANIFEST_BYTES_MAX,
  MOST_RECENT_REPOSITORIES_MAX,
} from '../model/limits.ts';
import type { RegistryDataInterface } from '../registry/interface.ts';
import {
  blob,
  blobUpload,
  digest,
  jsonObject,
  labelSource,
  legacyImage,
  manifestInfo,
  repositoryRef,
  tag,
} from './references.ts';

const text = z.string();
const count = z.int().nonnegative();
const atLeastOne = z.int().positive();
const flag = z.boolean().exactOptional();
const seconds = count.max(CALL_SECONDS_MAX);

/** Options are an object or nothing, and have no names but these. */
const optional = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape).optional();
const raiseOnError = optional({ raiseOnError: flag });
const includePlacements = optional({ includePlacements: flag });
const forPush = optional({ forPush: flag });

const bytes = z.instanceof(Uint8Array).transform(ownBytes);
const manifestBytes = z.object({ bytes, mediaType: text, digest: digest.exactOptional() });
const manifest = manifestBytes.transform(readManifest);
const manifestForm = manifestBytes.transform(readManifestForm);

const label = z.strictObject({
  key: text,
  value: text,
  source: labelSource,
  mediaType: text.nullish(),
});
/** A list where the interface has a callback that adds. */
const labels = z.array(label).transform(addAll);

/**
 * What each method takes. A row makes of what came from another Worker the very parameters that the
 * interface has, or refuses it; the type has a row for each of its methods, and does not compile
 * with one more or less.
 */
export const ARGUMENTS: {
  readonly [Name in keyof RegistryDataInterface]: z.ZodType<
    Parameters<RegistryDataInterface[Name]>
  >;
} = {
  lookupRepository: z.tuple([
    text,
    text,
    optional({ raiseOnError: flag, kind: z.enum(['image', 'application']).exactOptional() }),
  ]),
  isExistingDisabledNamespace: z.tuple([text, forPush]),
  isNamespaceEnabled: z.tuple([text, forPush]),

  findMatchingTag: z.tuple([repositoryRef, z.array(text).min(1)]),
  getMostRecentTag: z.tuple([repositoryRef]),
  getRepoTag: z.tuple([repositoryRef, text, raiseOnError]),
  hasExpiredTag: z.tuple([repositoryRef, text]),
  lookupActiveRepositoryTags: z.tuple([repositoryRef, text.nullable(), atLeastOne]),
  listAllActiveRepositoryTags: z.tuple([repositoryRef]),
  listRepositoryTagHistory: z.tuple([
    repositoryRef,
    optional({
      page: atLeastOne.exactOptional(),
      size: atLeastOne.exactOptional(),
      specificTagName: text.exactOptional(),
      activeTagsOnly: flag,
      sinceMs: z.int().exactOptional(),
      filterTagName: text.exactOptional(),
      cursor: text.exactOptional(),
    }),
  ]),
  getMostRecentTagLifetimeStart: z.tuple([
    z.array(repositoryRef).max(MOST_RECENT_REPOSITORIES_MAX),
  ]),
  tagNamesForManifest: z.tuple([manifestInfo, count.nullable()]),

  retargetTag: z.tuple([
    repositoryRef,
    text,
    z.union([legacyImage, manifestInfo]),
    optional({ isReversion: flag }),
  ]),
  deleteTag: z.tuple([repositoryRef, text]),
  deleteTagsForManifest: z.tuple([manifestInfo]),
  changeRepositoryTagExpiration: z.tuple([tag, z.date().nullable()]),
  changeTagImmutability: z.tuple([tag, z.boolean()]),
  setTagsExpirationForManifest: z.tuple([manifestInfo, seconds]),
  removeTagFromTimemachine: z.tuple([
    repositoryRef,
    text,
    manifestInfo,
    optional({ includeSubmanifests: flag, isAlive: flag }),
  ]),

  getManifestForTag: z.tuple([tag]),
  lookupManifestByDigest: z.tuple([
    repositoryRef,
    text,
    optional({ raiseOnError: flag, allowDead: flag, allowHidden: flag, requireAvailable: flag }),
  ]),
  getSchema1ParsedManifest: z.tuple([manifestInfo, text, text, text, raiseOnError]),
  convertManifest: z.tuple([manifestInfo, text, text, text, z.set(text)]),
  createManifestAndRetargetTag: z.tuple([repositoryRef, manifest, text, raiseOnError]),
  createManifestWithTempTag: z.tuple([repositoryRef, manifest, seconds.min(1), raiseOnError]),

  getManifestLocalBlobs: z.tuple([manifestInfo, includePlacements]),
  listManifestLayers: z.tuple([manifestInfo, includePlacements]),
  listParsedManifestLayers: z.tuple([repositoryRef, manifestForm, includePlacements]),

  getTagLegacyImageId: z.tuple([repositoryRef, text]),
  getLegacyTagsMap: z.tuple([repositoryRef]),
  getLegacyImage: z.tuple([repositoryRef, text, optional({ includeBlob: flag })]),

  getRepoBlobByDigest: z.tuple([repositoryRef, text, includePlacements]),
  mountBlobIntoRepository: z.tuple([blob, repositoryRef, seconds]),

  createBlobUpload: z.tuple([repositoryRef, text, text, jsonObject]),
  lookupBlobUpload: z.tuple([repositoryRef, text]),
  updateBlobUpload: z.tuple([
    blobUpload,
    z.object({
      uncompressedByteCount: count.nullable(),
      storageMetadata: jsonObject,
      byteCount: count,
      chunkCount: count,
      shaState: text,
    }),
  ]),
  deleteBlobUpload: z.tuple([blobUpload]),
  commitBlobUpload: z.tuple([blobUpload, text, seconds]),

  createManifestLabel: z.tuple([manifestInfo, text, text, labelSource, text.nullish()]),
  batchCreateManifestLabels: z.tuple([manifestInfo, labels]),
  listManifestLabels: z.tuple([manifestInfo, text.nullish()]),
  getManifestLabel: z.tuple([manifestInfo, text]),
  deleteManifestLabel: z.tuple([manifestInfo, text]),

  resetSecurityStatus: z.tuple([z.union([legacyImage, manifestInfo])]),
  findManifestsForSecNotification: z.tuple([text]),
  lookupSecscanNotificationSeverities: z.tuple([repositoryRef]),

  findRepositoryWithGarbage: z.tuple([count]),

  lookupCachedActiveRepositoryTags: z.tuple([repositoryRef, text.nullable(), atLeastOne]),
  getCachedRepoBlob: z.tuple([text, text, text]),
  getCachedNamespaceRegionBlacklist: z.tuple([text]),
};

/** The names of the interface's methods. */
export const METHOD_NAMES = Object.keys(ARGUMENTS) as (keyof RegistryDataInterface)[];

/** The bytes in a buffer of their own. */
function ownBytes(given: Uint8Array): Bytes {
  return given.buffer instanceof ArrayBuffer ? (given as Bytes) : new Uint8Array(given);
}

type Arrived = z.output<typeof manifestBytes>;

/** Errors: ManifestTypeUnsupported, ManifestTooLarge, DigestMismatch, ManifestInvalid. */
function readManifest(arrived: Arrived): Promise<ParsedManifest> {
  const { mediaType: contentType, digest: reference = null } = arrived;
  return parseManifest(arrived.bytes, { contentType, reference });
}

/** The same, for schema 1 as well. */
async function readManifestForm(arrived: Arrived): Promise<ManifestForm> {
  if (arrived.mediaType !== SCHEMA1_MEDIA_TYPE) {
    return readManifest(arrived);
  }
  if (arrived.bytes.byteLength > MANIFEST_BYTES_MAX) {
    throw new RegistryError('ManifestTooLarge', { maxBytes: MANIFEST_BYTES_MAX });
  }
  const expected = arrived.digest;
  const algorithm = expected === undefined ? 'sha256' : algorithmOf(expected);
  const actual = await computeDigest(algorithm, arrived.bytes);
  if (expected !== undefined && actual !== expected) {
    throw new RegistryError('DigestMismatch', { expected, actual });
  }
  return parseSchema1(arrived.bytes, actual);
}

type Collect = Parameters<RegistryDataInterface['batchCreateManifestLabels']>[1];

function addAll(given: readonly z.output<typeof label>[]): Collect {
  return (add) => {
    for (const { key, value, source, mediaType } of given) {
      add(key, value, source, mediaType);
    }
  };
}
