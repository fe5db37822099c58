import { needsConfig } from '../image/config.ts';
import { imageLayers } from '../image/layers.ts';
import type { ManifestForm, ParsedImage, ParsedSchema1 } from '../image/parsed-manifest.ts';
import { schema1Layers } from '../image/schema1.ts';
import type { Blob, ManifestImageLayer, ManifestLayer } from '../model/datatypes.ts';
import { EMPTY_BLOB_DIGEST } from '../model/empty-blob.ts';
import { RegistryError, type RegistryErrorCode } from '../model/errors.ts';
import { blobsOfManifestStatement, visibleBlobsStatement } from '../storage/d1/blobs.ts';
import { asAskedFor, ensureEmptyBlob } from './blobs.ts';
import type { RegistryDeps } from './deps.ts';
import type { IncludePlacements, LayerReads } from './interface.ts';
import { readConfig } from './manifests/config.ts';
import { manifestOf, readManifest, readStored } from './manifests/load.ts';
import { nullUnless } from './null-unless.ts';

/** The refusals by which the layers of a stored manifest cannot be told. */
const UNTOLD: ReadonlySet<RegistryErrorCode> = new Set<RegistryErrorCode>([
  'ManifestInvalid',
  'ManifestTypeUnsupported',
  'NotAnImageManifest',
]);

/** Tells what manifests are made of. */
export function createLayerReads(deps: RegistryDeps): LayerReads {
  const { database } = deps;
  return {
    async getManifestLocalBlobs(manifest, options = {}) {
      const [[stored], blobs] = await database.batchAnywhere(
        [manifestOf(manifest), blobsOfManifestStatement({ manifestId: manifest.id })],
        ([found]) => found.length > 0,
      );
      if (stored === undefined) {
        return null;
      }
      const byDigest = new Map(blobs.map((blob) => [blob.digest, asAskedFor(blob, options)]));
      // The links decide which blobs there are, the body only in which order.
      const parsed = await nullUnless(false, UNTOLD, () => readStored(stored, deps));
      const order = parsed?.kind === 'image' ? parsed.localBlobDigests : [];
      return [...new Set([...order, ...byDigest.keys()])]
        .map((digest) => byDigest.get(digest))
        .filter((blob) => blob !== undefined);
    },

    listManifestLayers: (manifest, options = {}) =>
      nullUnless(false, UNTOLD, async () => {
        const parsed = await readManifest(manifest, deps);
        return parsed && listLayers(parsed, { repositoryId: manifest.repositoryId, options, deps });
      }),

    listParsedManifestLayers: (repository, parsed, options = {}) =>
      listLayers(parsed, { repositoryId: repository.id, options, deps }),
  };
}

interface Place {
  readonly repositoryId: number;
  readonly options: IncludePlacements;
  readonly deps: RegistryDeps;
}

/** The layers, base first, each with its blob; null if the repository lacks a local one. */
async function listLayers(
  parsed: ManifestForm,
  { repositoryId, options, deps }: Place,
): Promise<readonly ManifestLayer[] | null> {
  if (parsed.kind === 'index') {
    throw new RegistryError('NotAnImageManifest', { digest: parsed.digest });
  }
  const digests =
    parsed.kind === 'image'
      ? parsed.localBlobDigests
      : parsed.layers.map(({ blobDigest }) => blobDigest);
  const blobs = await visibleBlobs(digests, { repositoryId, deps });
  const infos = await layersOf(parsed, blobs, deps);
  const isEmptyNamed = infos.some(({ blobDigest }) => blobDigest === EMPTY_BLOB_DIGEST);
  if (isEmptyNamed && !blobs.has(EMPTY_BLOB_DIGEST)) {
    blobs.set(EMPTY_BLOB_DIGEST, await ensureEmptyBlob(deps));
  }
  const layers: ManifestLayer[] = [];
  for (const layerInfo of infos) {
    const blob = layerInfo.isRemote ? null : blobs.get(layerInfo.blobDigest);
    if (blob === undefined) {
      return null;
    }
    layers.push({ layerInfo, blob: blob && asAskedFor(blob, options) });
  }
  return layers;
}

async function layersOf(
  parsed: ParsedImage | ParsedSchema1,
  blobs: ReadonlyMap<string, Blob>,
  { blobStore }: RegistryDeps,
): Promise<readonly ManifestImageLayer[]> {
  if (parsed.kind === 'schema1') {
    return schema1Layers(parsed);
  }
  if (!needsConfig(parsed)) {
    return imageLayers(parsed, null);
  }
  const config = blobs.get(parsed.config.digest) ?? null;
  return imageLayers(parsed, await readConfig(parsed, config, blobStore));
}

/** Those blobs that the repository sees, by digest; the shared empty layer is looked for too. */
async function visibleBlobs(
  digests: readonly string[],
  { repositoryId, deps }: Omit<Place, 'options'>,
): Promise<Map<string, Blob>> {
  const blobDigests = JSON.stringify([...new Set([...digests, EMPTY_BLOB_DIGEST])]);
  const [found] = await deps.database.batchAnywhere(
    [visibleBlobsStatement({ repositoryId, blobDigests })],
    ([blobs]) => {
      const seen = new Set<string>(blobs.map(({ digest }) => digest));
      return digests.every((digest) => seen.has(digest));
    },
  );
  return new Map(found.map((blob) => [blob.digest, blob]));
}
