import type { Schema1Layer } from '../image/parsed-manifest.ts';
import type { LegacyImage } from '../model/datatypes.ts';
import { type LegacyImageIds, openLegacyImageIds } from '../model/legacy-image-id.ts';
import { TAG_PAGE_SIZE_MAX } from '../model/limits.ts';
import type { ManifestInfo, RepositoryRef } from '../model/references.ts';
import { visibleBlobStatement } from '../storage/d1/blobs.ts';
import type { StoredManifest } from '../storage/d1/rows.ts';
import {
  aliveTagManifestStatement,
  type TaggedManifest,
  taggedManifestsStatement,
} from '../storage/d1/tags.ts';
import type { RegistryDeps } from './deps.ts';
import type { LegacyImageReads } from './interface.ts';
import { schema1FormOrNull } from './manifests/conversion.ts';
import { manifestOf } from './manifests/load.ts';

/** The layers of a schema 1 form are the same whatever it is called. */
const NAMELESS = { namespaceName: '', repositoryName: '', tagName: '' };

/**
 * Docker v1 images: the layers of a manifest's schema 1 form, leaf first, under ids that say which
 * layer of which manifest they are. Nothing of them is stored.
 */
export function createLegacyImageReads(deps: RegistryDeps): LegacyImageReads {
  const { database, clock, legacyImageKey } = deps;

  return {
    async getTagLegacyImageId(repository, tagName) {
      const ids = await openLegacyImageIds(legacyImageKey());
      const nowMs = clock.nowMs();
      const stored = await database.firstAnywhere(
        aliveTagManifestStatement({ repositoryId: repository.id, tagName, nowMs }),
      );
      const layers = stored === null ? [] : await layersLeafFirst(stored, deps);
      return stored === null || layers.length === 0
        ? null
        : ids.encode({ manifestId: stored.info.id, layerIndex: 0 });
    },

    async getLegacyTagsMap({ id: repositoryId }) {
      const ids = await openLegacyImageIds(legacyImageKey());
      const page = { repositoryId, limit: TAG_PAGE_SIZE_MAX, nowMs: clock.nowMs() };
      const found = new Map<string, string>();
      let afterName: string | undefined = '';
      while (afterName !== undefined) {
        const select = taggedManifestsStatement({ ...page, afterName });
        const rows: readonly TaggedManifest[] = await database.primary.all(select);
        for (const { tagName, manifestId } of rows) {
          found.set(tagName, await ids.encode({ manifestId, layerIndex: 0 }));
        }
        afterName = rows.length < page.limit ? undefined : rows.at(-1)?.tagName;
      }
      return found;
    },

    async getLegacyImage(repository, dockerImageId, { includeBlob = false } = {}) {
      const ids = await openLegacyImageIds(legacyImageKey());
      const place = await ids.decode(dockerImageId);
      const stored =
        place &&
        (await database.firstAnywhere(
          manifestOf({ id: place.manifestId, repositoryId: repository.id }),
        ));
      if (place === null || stored === null) {
        return null;
      }
      const layers = (await layersLeafFirst(stored, deps)).slice(place.layerIndex);
      const image = await toImage(layers, { ids, index: place.layerIndex, manifest: stored.info });
      return image !== null && includeBlob ? withBlob(image, { repository, deps }) : image;
    },
  };
}

/** The layers of the schema 1 form, leaf first; none if there is no form. */
async function layersLeafFirst(
  stored: StoredManifest,
  deps: RegistryDeps,
): Promise<readonly Schema1Layer[]> {
  const form = await schema1FormOrNull(stored, NAMELESS, deps);
  return form?.layers.toReversed() ?? [];
}

interface ImagePlace {
  readonly ids: LegacyImageIds;
  readonly index: number;
  readonly manifest: ManifestInfo;
}

/** The image of the first of these layers, on top of the others; null: there is none. */
async function toImage(
  [layer, ...below]: readonly Schema1Layer[],
  { ids, index, manifest }: ImagePlace,
): Promise<LegacyImage | null> {
  if (layer === undefined) {
    return null;
  }
  const idOf = (depth: number) =>
    ids.encode({ manifestId: manifest.id, layerIndex: index + depth });
  const dockerImageId = await idOf(0);
  const ancestorIds = await Promise.all(below.map((_, above) => idOf(above + 1)));
  const parentImageId = ancestorIds[0] ?? null;
  const parent = parentImageId === null ? {} : { parent: parentImageId };
  return {
    dockerImageId,
    created: layer.created,
    comment: layer.comment,
    command: layer.command,
    imageSize: layer.size,
    aggregateSize: [layer, ...below].reduce((sum, { size }) => sum + (size ?? 0), 0),
    blobDigest: layer.blobDigest,
    blob: null,
    v1MetadataString: JSON.stringify({ ...layer.metadata, id: dockerImageId, ...parent }),
    layerIndex: index,
    manifest,
    ancestorIds,
    parentImageId,
  };
}

async function withBlob(
  image: LegacyImage,
  { repository, deps }: { repository: RepositoryRef; deps: RegistryDeps },
): Promise<LegacyImage> {
  const { blobDigest: digest } = image;
  const visible = visibleBlobStatement({ repositoryId: repository.id, digest });
  return { ...image, blob: await deps.database.firstAnywhere(visible) };
}
