import {
  DOCKER_CONFIG_MEDIA_TYPE,
  DOCKER_LAYER_MEDIA_TYPES,
  MANIFEST_MEDIA_TYPES,
  OCI_CONFIG_MEDIA_TYPE,
} from '../../src/image/media-types.ts';
import { parseManifest } from '../../src/image/parse.ts';
import type { ParsedImage, ParsedIndex } from '../../src/image/parsed-manifest.ts';
import { isRegistryError, type AnyRegistryError } from '../../src/model/errors.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A well-formed sha256 digest, a different one for each number. */
export function sha256(number: number): string {
  return `sha256:${number.toString(16).padStart(64, '0')}`;
}

/** Bytes of a text, or of the JSON of anything else. */
export function bytesOf(value: unknown): Uint8Array<ArrayBuffer> {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return new Uint8Array(new TextEncoder().encode(text));
}

/** A valid descriptor with the given fields replaced; `undefined` leaves one out. */
export function descriptor(number: number, fields: Fields = {}): Fields {
  return {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    size: 100,
    digest: sha256(number),
    ...fields,
  };
}

export function dockerLayer(number: number, fields: Fields = {}): Fields {
  return descriptor(number, { mediaType: DOCKER_LAYER_MEDIA_TYPES.local, ...fields });
}

/** A minimal valid body of each type, with the given fields replaced. */
export const bodies = {
  dockerManifest: (fields: Fields = {}): Fields => ({
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.dockerManifest,
    config: descriptor(1, { mediaType: DOCKER_CONFIG_MEDIA_TYPE }),
    layers: [dockerLayer(2)],
    ...fields,
  }),
  dockerList: (fields: Fields = {}): Fields => ({
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.dockerList,
    manifests: [dockerChild(3)],
    ...fields,
  }),
  ociManifest: (fields: Fields = {}): Fields => ({
    schemaVersion: 2,
    config: descriptor(1, { mediaType: OCI_CONFIG_MEDIA_TYPE }),
    layers: [descriptor(2)],
    ...fields,
  }),
  ociIndex: (fields: Fields = {}): Fields => ({
    schemaVersion: 2,
    manifests: [descriptor(3, { mediaType: MANIFEST_MEDIA_TYPES.ociManifest })],
    ...fields,
  }),
};
export type BodyType = keyof typeof bodies;

export function dockerChild(number: number, fields: Fields = {}): Fields {
  return descriptor(number, {
    mediaType: MANIFEST_MEDIA_TYPES.dockerManifest,
    platform: { architecture: 'amd64', os: 'linux' },
    ...fields,
  });
}

export async function parseImage(type: BodyType, body: unknown): Promise<ParsedImage> {
  const parsed = await parseManifest(bytesOf(body), { contentType: MANIFEST_MEDIA_TYPES[type] });
  if (parsed.kind !== 'image') {
    throw new TypeError(`${type} gave no image`);
  }
  return parsed;
}

export async function parseIndex(type: BodyType, body: unknown): Promise<ParsedIndex> {
  const parsed = await parseManifest(bytesOf(body), { contentType: MANIFEST_MEDIA_TYPES[type] });
  if (parsed.kind !== 'index') {
    throw new TypeError(`${type} gave no index`);
  }
  return parsed;
}

/** The refusal that the call ends with; anything else that is thrown passes through. */
export async function refusalOf(call: () => unknown): Promise<AnyRegistryError | null> {
  try {
    await call();
    return null;
  } catch (error) {
    if (isRegistryError(error)) {
      return error;
    }
    throw error;
  }
}

/** The reason why a body is `ManifestInvalid`; null if it is taken, or refused otherwise. */
export async function invalidReason(type: BodyType, body: unknown): Promise<string | null> {
  return reasonOf(() => parseManifest(bytesOf(body), { contentType: MANIFEST_MEDIA_TYPES[type] }));
}

export async function reasonOf(call: () => unknown): Promise<string | null> {
  const refusal = await refusalOf(call);
  return refusal?.code === 'ManifestInvalid' ? refusal.detail.reason : null;
}
