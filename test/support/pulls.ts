import { parseStoredManifest } from '../../src/image/parse.ts';
import { algorithmOf, computeDigest, type Digest } from '../../src/model/digest.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import type { TestRegistry } from './registry.ts';
import { nameOf } from './uploads.ts';

type Pulled = Pick<TestRegistry, 'registry' | 'operations'>;

/**
 * Pulls a manifest by digest as a client does, with its blobs, or with its children and theirs, and
 * says what of it is not there or has other bytes: nothing, if it is whole. `allowDead`: as what the
 * time machine keeps.
 */
export async function missingOf(
  world: Pulled,
  repository: RepositoryRef,
  digest: string,
  { allowDead = false } = {},
): Promise<readonly string[]> {
  const manifest = await world.registry.lookupManifestByDigest(repository, digest, {
    allowHidden: true,
    allowDead,
  });
  if (manifest === null) {
    return [`manifest ${digest}`];
  }
  const { bytes } = manifest;
  if ((await computeDigest(algorithmOf(manifest.digest), bytes)) !== digest) {
    return [`the bytes of manifest ${digest}`];
  }
  const parsed = parseStoredManifest(bytes, manifest);
  const parts =
    parsed.kind === 'image'
      ? parsed.localBlobDigests.map((blob) => missingBlob(world, repository, blob))
      : parsed.manifests.map((child) => missingOf(world, repository, child.digest, { allowDead }));
  return (await Promise.all(parts)).flat();
}

/** The same of one blob. */
export async function missingBlob(
  { operations }: Pulled,
  repository: RepositoryRef,
  digest: Digest,
): Promise<readonly string[]> {
  const blob = (await operations.resolveBlob(nameOf(repository), digest))?.blob ?? null;
  const body = blob && (await operations.openBlob(blob));
  if (body === null) {
    return [`blob ${digest}`];
  }
  const bytes = await new Response(body).bytes();
  return (await computeDigest(algorithmOf(digest), new Uint8Array(bytes))) === digest
    ? []
    : [`the bytes of blob ${digest}`];
}
