import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { parseManifest } from '../../src/image/parse.ts';
import type { ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { type Bytes, encodeUtf8 } from '../../src/model/bytes.ts';
import type { Blob } from '../../src/model/datatypes.ts';
import { computeDigest, type Digest } from '../../src/model/digest.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import type { TestRegistry } from './registry.ts';

/** Bytes that nothing else has. */
export function uniqueBytes(length = 64): Bytes {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65_536, length)));
  }
  return bytes;
}

/** The bytes as a request's body gives them. */
export function streamOf(bytes: Bytes): ReadableStream<Uint8Array> {
  const { body } = new Response(bytes);
  if (body === null) {
    throw new Error('a response has a body');
  }
  return body;
}

/** Uploads bytes into the repository by one request. */
export async function pushBlob(
  { operations }: Pick<TestRegistry, 'operations'>,
  repository: RepositoryRef,
  bytes: Bytes = uniqueBytes(),
): Promise<Blob> {
  const digest = await computeDigest('sha256', bytes);
  const blob = await operations.uploadWhole(
    { namespace: repository.namespaceName, repository: repository.name },
    { digest, body: streamOf(bytes), length: bytes.byteLength },
  );
  if (blob === null) {
    throw new Error('the blob was not stored');
  }
  return blob;
}

export interface ImageOptions {
  /** Labels of the image's config. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly layers?: number;
  readonly subject?: { readonly mediaType: string; readonly size: number; readonly digest: Digest };
}

/** An OCI image that nothing else has: its config and layers are in the repository, it is not. */
export async function anImage(
  registry: Pick<TestRegistry, 'operations'>,
  repository: RepositoryRef,
  { labels = {}, annotations, layers = 1, subject }: ImageOptions = {},
): Promise<ParsedManifest> {
  const layerBlobs: Blob[] = [];
  for (let count = 0; count < layers; count += 1) {
    layerBlobs.push(await pushBlob(registry, repository));
  }
  const config = await pushBlob(
    registry,
    repository,
    encodeUtf8(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: labels },
        rootfs: { type: 'layers', diff_ids: layerBlobs.map(({ digest }) => digest) },
        unique: crypto.randomUUID(),
      }),
    ),
  );
  return parsed(MANIFEST_MEDIA_TYPES.ociManifest, {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.ociManifest,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      size: config.compressedSize,
      digest: config.digest,
    },
    layers: layerBlobs.map(({ digest, compressedSize }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      size: compressedSize,
      digest,
    })),
    ...(subject === undefined ? {} : { subject }),
    ...(annotations === undefined ? {} : { annotations }),
  });
}

/** An OCI index of these manifests. */
export async function anIndex(
  children: readonly ParsedManifest[],
  annotations: Readonly<Record<string, string>> = { unique: crypto.randomUUID() },
): Promise<ParsedManifest> {
  return parsed(MANIFEST_MEDIA_TYPES.ociIndex, {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.ociIndex,
    manifests: children.map(({ mediaType, bytes, digest }) => ({
      mediaType,
      size: bytes.byteLength,
      digest,
    })),
    annotations,
  });
}

/** A manifest of this content, as a push would parse it. */
export async function parsed(mediaType: string, content: object): Promise<ParsedManifest> {
  return parseManifest(encodeUtf8(JSON.stringify(content)), { contentType: mediaType });
}

/** Pushes an image under a tag and gives what came of it. */
export async function pushTagged(
  registry: TestRegistry,
  repository: RepositoryRef,
  { tagName, manifest, ...options }: ImageOptions & { tagName: string; manifest?: ParsedManifest },
) {
  const image = manifest ?? (await anImage(registry, repository, options));
  const pushed = await registry.registry.createManifestAndRetargetTag(repository, image, tagName, {
    raiseOnError: true,
  });
  if (pushed === null) {
    throw new Error('the push gave nothing');
  }
  return { ...pushed, parsed: image };
}
