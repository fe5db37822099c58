import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import type { ParsedImage } from '../../src/image/parsed-manifest.ts';
import type { Digest } from '../../src/model/digest.ts';
import { EMPTY_BLOB_DIGEST } from '../../src/model/empty-blob.ts';
import { parseRepositoryName } from '../../src/model/names.ts';
import type { QuotaLimits } from '../../src/model/quota.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { imageOf, pretendBlobs } from './images.ts';
import { aRepository, type TestRegistry } from './registry.ts';
import type { StagedBlob } from './stage.ts';

/** Limits of so many bytes: refused above all of them, warned of above half. */
export function limitsOf(limitBytes: number, limits: Partial<QuotaLimits> = {}): QuotaLimits {
  return { limitBytes, warningPercent: 50, rejectPercent: 100, ...limits };
}

/** A blob of this size that nobody reads; the same for the same name. */
export function aBlobOf(size: number, name: number): StagedBlob {
  return { digest: `sha256:${name.toString(16).padStart(64, '0')}` as Digest, size };
}

/** A repository by its whole name. */
export async function repositoryNamed(
  registry: Pick<TestRegistry, 'operations'>,
  text: string,
): Promise<RepositoryRef> {
  const name = parseRepositoryName(text);
  if (name === null) {
    throw new Error(`'${text}' is no repository's name`);
  }
  return aRepository(registry, name);
}

/** An artifact of these blobs; the first stands as its config. */
export async function artifactOf(
  [config, ...layers]: readonly StagedBlob[],
  { padding = 0 }: { padding?: number } = {},
): Promise<ParsedImage> {
  const data = crypto.randomUUID() + ' '.repeat(padding);
  return imageOf(MANIFEST_MEDIA_TYPES.ociManifest, {
    config: { mediaType: 'application/vnd.example.config', ...config, data },
    layers: layers.map((layer) => ({ mediaType: 'application/octet-stream', ...layer })),
  });
}

/** The same where the repository can see the blobs. */
export async function anArtifact(
  repository: RepositoryRef,
  blobs: readonly StagedBlob[],
): Promise<ParsedImage> {
  // The empty layer is made by the push that names it.
  await pretendBlobs(
    repository,
    blobs.filter(({ digest }) => digest !== EMPTY_BLOB_DIGEST),
  );
  return artifactOf(blobs);
}

/** Pushes an artifact of these blobs under a tag. */
export async function pushArtifact(
  { registry }: Pick<TestRegistry, 'registry'>,
  repository: RepositoryRef,
  { tagName, blobs }: { tagName: string; blobs: readonly StagedBlob[] },
): Promise<ParsedImage> {
  const image = await anArtifact(repository, blobs);
  await registry.createManifestAndRetargetTag(repository, image, tagName, { raiseOnError: true });
  return image;
}
