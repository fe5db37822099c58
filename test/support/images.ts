import { env } from 'cloudflare:workers';

import {
  DOCKER_CONFIG_MEDIA_TYPE,
  DOCKER_LAYER_MEDIA_TYPES,
  MANIFEST_MEDIA_TYPES,
  OCI_CONFIG_MEDIA_TYPE,
} from '../../src/image/media-types.ts';
import type { ParsedImage, ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { encodeUtf8 } from '../../src/model/bytes.ts';
import type { Manifest } from '../../src/model/datatypes.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { parsed, uniqueBytes } from './content.ts';
import { aRepository, openTestRegistry, type TestRegistryOptions } from './registry.ts';
import { descriptorOf, type StagedBlob, storeBlob } from './stage.ts';

/** An empty repository that images are pushed into, without a tag that one could name. */
export async function openImageStage(options: TestRegistryOptions = {}) {
  const world = openTestRegistry(options);
  const repository = await aRepository(world);
  return {
    ...world,
    repository,
    push: async (manifest: ParsedManifest): Promise<Manifest> => {
      const stored = await world.registry.createManifestWithTempTag(repository, manifest, 60, {
        raiseOnError: true,
      });
      if (stored === null) {
        throw new Error('the manifest was not stored');
      }
      return stored;
    },
  };
}

export interface ImagePlan {
  readonly format?: 'oci' | 'docker';
  /** How many layers it has; all are stored but the remote ones. */
  readonly layers?: number;
  /** The steps of its config, or none. */
  readonly history?: readonly object[];
  /** Further fields of its config. */
  readonly config?: object;
  /** Which of the layers are fetched from elsewhere. */
  readonly remote?: readonly number[];
  /** The config's type, for artifacts; the blob is stored all the same. */
  readonly configMediaType?: string;
}

const URL = 'https://elsewhere.test/layer';

const LAYER_TYPES = {
  oci: {
    local: 'application/vnd.oci.image.layer.v1.tar+gzip',
    remote: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    config: OCI_CONFIG_MEDIA_TYPE,
    manifest: MANIFEST_MEDIA_TYPES.ociManifest,
  },
  docker: {
    local: DOCKER_LAYER_MEDIA_TYPES.local,
    remote: DOCKER_LAYER_MEDIA_TYPES.foreign,
    config: DOCKER_CONFIG_MEDIA_TYPE,
    manifest: MANIFEST_MEDIA_TYPES.dockerManifest,
  },
} as const;

/** An image whose blobs are in the repository; it is not pushed. */
export async function planImage(
  repository: RepositoryRef,
  { format = 'oci', layers = 1, history, config = {}, remote = [], ...plan }: ImagePlan = {},
): Promise<ParsedImage> {
  const types = LAYER_TYPES[format];
  const descriptors: object[] = [];
  for (let index = 0; index < layers; index += 1) {
    const isRemote = remote.includes(index);
    const bytes = uniqueBytes(64 + index);
    const { digest, size } = isRemote
      ? { digest: `sha256:${'f'.repeat(64)}`, size: 4711 }
      : await storeBlob(repository, bytes);
    descriptors.push({
      mediaType: isRemote ? types.remote : types.local,
      size,
      digest,
      ...(isRemote ? { urls: [URL] } : {}),
    });
  }
  const stored = await storeBlob(
    repository,
    encodeUtf8(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        ...config,
        ...(history === undefined ? {} : { history }),
        rootfs: { type: 'layers', diff_ids: descriptors.map((_, index) => `diff ${index}`) },
        unique: crypto.randomUUID(),
      }),
    ),
  );
  return imageOf(types.manifest, {
    config: { mediaType: plan.configMediaType ?? types.config, ...stored },
    layers: descriptors,
  });
}

/** An image manifest with this content. */
export async function imageOf(
  mediaType: string,
  content: { readonly config: object; readonly layers: readonly object[] },
): Promise<ParsedImage> {
  const image = await parsed(mediaType, { schemaVersion: 2, mediaType, ...content });
  if (image.kind !== 'image') {
    throw new Error('a list was made');
  }
  return image;
}

/** An OCI index of these children, each with its platform or none. */
export async function anIndexOf(
  children: readonly (readonly [ParsedManifest, object?])[],
): Promise<ParsedManifest> {
  return parsed(MANIFEST_MEDIA_TYPES.ociIndex, {
    schemaVersion: 2,
    manifests: children.map(([child, platform]) => ({
      ...descriptorOf(child),
      ...(platform === undefined ? {} : { platform }),
    })),
    annotations: { unique: crypto.randomUUID() },
  });
}

/**
 * Has the repository see blobs of these digests and sizes, whose bytes nobody reads: the layers of
 * real images are too large to be here.
 */
export async function pretendBlobs(
  repository: RepositoryRef,
  blobs: readonly StagedBlob[],
): Promise<void> {
  await env.DB.batch(
    blobs.flatMap(({ digest, size }) => [
      env.DB.prepare(
        `INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
        VALUES (?1, ?2, ?3, 'blobs/' || ?1, 'r2', 0) ON CONFLICT DO NOTHING`,
      ).bind(crypto.randomUUID(), digest, size),
      env.DB.prepare(
        `INSERT INTO uploaded_blob (repository_id, blob_id, uploaded_ms, expires_ms)
        SELECT ?, id, 0, 1 FROM blob WHERE digest = ? ON CONFLICT DO NOTHING`,
      ).bind(repository.id, digest),
    ]),
  );
}
