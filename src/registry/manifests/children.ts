import type { ManifestInfo } from '../../model/references.ts';
import { namedChildrenStatement } from '../../storage/d1/manifests.ts';
import type { RegistryDeps } from '../deps.ts';

/** Tells what indexes name. */
export interface ChildReads {
  /**
   * Of each index among the manifests, by its id, the digests that it names, and whether the
   * repository has that manifest. One round trip, or none if there is no index.
   */
  listNamedChildren(
    manifests: readonly ManifestInfo[],
  ): Promise<ReadonlyMap<number, ReadonlyMap<string, boolean>>>;
}

export function createChildReads({ database }: RegistryDeps): ChildReads {
  return {
    async listNamedChildren(manifests) {
      const ids = manifests.filter(({ isManifestList }) => isManifestList).map(({ id }) => id);
      const children = new Map(ids.map((id) => [id, new Map<string, boolean>()]));
      if (children.size > 0) {
        const manifestIds = JSON.stringify([...children.keys()]);
        // From the primary, as the history: a child that came last must not seem to be missing.
        const named = await database.primary.all(namedChildrenStatement({ manifestIds }));
        for (const { manifestId, childDigest, isPresent } of named) {
          children.get(manifestId)?.set(childDigest, isPresent);
        }
      }
      return children;
    },
  };
}
