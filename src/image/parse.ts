import type { JsonObject } from '../model/datatypes.ts';
import { algorithmOf, computeDigest, parseDigest, type Digest } from '../model/digest.ts';
import { isRegistryError, RegistryError } from '../model/errors.ts';
import { CONFIG_BYTES_MAX, MANIFEST_BYTES_MAX } from '../model/limits.ts';
import type { ManifestInfo } from '../model/references.ts';
import { needsConfig } from './config.ts';
import { parseDockerImage, parseDockerList } from './docker.ts';
import { manifestInvalid, readJsonObject } from './json.ts';
import {
  isManifestMediaType,
  MANIFEST_MEDIA_TYPES,
  type ManifestMediaType,
} from './media-types.ts';
import { parseOciImage, parseOciIndex } from './oci.ts';
import type { ManifestSource, ParsedManifest } from './parsed-manifest.ts';

/** What clients send that do not know the type: the manifest's own `mediaType` counts then. */
const JSON_MEDIA_TYPE = 'application/json';

const PARSERS: Readonly<
  Record<ManifestMediaType, (body: JsonObject, source: ManifestSource) => ParsedManifest>
> = {
  [MANIFEST_MEDIA_TYPES.dockerManifest]: parseDockerImage,
  [MANIFEST_MEDIA_TYPES.dockerList]: parseDockerList,
  [MANIFEST_MEDIA_TYPES.ociManifest]: parseOciImage,
  [MANIFEST_MEDIA_TYPES.ociIndex]: parseOciIndex,
};

/** How a manifest arrived. */
export interface ManifestPush {
  /** The Content-Type header, parameters and all; null: there was none. */
  readonly contentType: string | null;
  /** The digest it was pushed by, as it was written; null: it was pushed by tag. */
  readonly reference?: string | null;
}

/**
 * A pushed manifest, read and checked as far as that needs nothing but its bytes: whether its
 * blobs, children and config exist is the registry's question (distribution-spec, "Pushing
 * Manifests"; OCI image-spec; Docker "Image Manifest V2, Schema 2").
 *
 * Errors, in this order: `ManifestTypeUnsupported`, `ManifestTooLarge`, `DigestMismatch`,
 * `ManifestInvalid`.
 */
export async function parseManifest(
  bytes: Uint8Array<ArrayBuffer>,
  { contentType, reference = null }: ManifestPush,
): Promise<ParsedManifest> {
  const announced = announcedMediaType(contentType);
  if (bytes.byteLength > MANIFEST_BYTES_MAX) {
    throw new RegistryError('ManifestTooLarge', { maxBytes: MANIFEST_BYTES_MAX });
  }
  const mediaType = announced ?? ownMediaType(bytes);
  const digest = await verifiedDigest(bytes, reference);
  const parsed = parseBody({ mediaType, digest, bytes });
  if (parsed.kind === 'image' && needsConfig(parsed) && parsed.config.size > CONFIG_BYTES_MAX) {
    throw manifestInvalid('config.size', `is more than ${CONFIG_BYTES_MAX} bytes`);
  }
  return parsed;
}

/**
 * A manifest that was stored, read again; the row's type and digest are trusted.
 * `ManifestTypeUnsupported` and `ManifestInvalid` where the row does not fit the bytes.
 */
export function parseStoredManifest(
  bytes: Uint8Array<ArrayBuffer>,
  { mediaType, digest }: Pick<ManifestInfo, 'mediaType' | 'digest'>,
): ParsedManifest {
  if (!isManifestMediaType(mediaType)) {
    throw new RegistryError('ManifestTypeUnsupported', { mediaType });
  }
  return parseBody({ mediaType, digest, bytes });
}

function parseBody(source: ManifestSource): ParsedManifest {
  return PARSERS[source.mediaType](readJsonObject(source.bytes, 'manifest'), source);
}

/** The type that the header names, or null if it leaves it to the body. */
function announcedMediaType(contentType: string | null): ManifestMediaType | null {
  const mediaType = (contentType ?? '').replace(/;.*$/s, '').trim().toLowerCase();
  if (mediaType === '' || mediaType === JSON_MEDIA_TYPE) {
    return null;
  }
  if (!isManifestMediaType(mediaType)) {
    throw new RegistryError('ManifestTypeUnsupported', { mediaType });
  }
  return mediaType;
}

/** The type that the body names. The body is read twice only in this rare case. */
function ownMediaType(bytes: Uint8Array): ManifestMediaType {
  const mediaType = readableBody(bytes)?.mediaType;
  if (typeof mediaType !== 'string' || !isManifestMediaType(mediaType)) {
    throw new RegistryError('ManifestTypeUnsupported', { mediaType: JSON_MEDIA_TYPE });
  }
  return mediaType;
}

function readableBody(bytes: Uint8Array): JsonObject | null {
  try {
    return readJsonObject(bytes, 'manifest');
  } catch (error) {
    if (isRegistryError(error)) {
      return null;
    }
    throw error;
  }
}

async function verifiedDigest(
  bytes: Uint8Array<ArrayBuffer>,
  reference: string | null,
): Promise<Digest> {
  if (reference === null) {
    return computeDigest('sha256', bytes);
  }
  const expected = parseDigest(reference);
  const actual = expected && (await computeDigest(algorithmOf(expected), bytes));
  if (actual === null || actual !== expected) {
    throw new RegistryError('DigestMismatch', { expected: reference, actual });
  }
  return actual;
}
