import { parseDigest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import { AVAILABLE_TEMP_TAG_SEC } from '../../model/limits.ts';
import { addSeconds } from '../../model/time.ts';
import { Batch } from '../../storage/d1/batch.ts';
import {
  availableManifestStatement,
  manifestByDigestStatement,
  manifestByIdStatement,
  visiblyAvailableManifestStatement,
} from '../../storage/d1/manifests.ts';
import type { StoredManifest } from '../../storage/d1/rows.ts';
import type { Statement } from '../../storage/d1/statement.ts';
import type { RegistryDeps } from '../deps.ts';
import type { ManifestReads } from '../interface.ts';
import { addTempTag, type Reach } from '../tags/temporary.ts';
import { loadManifest } from './body.ts';

type Lookups = Pick<ManifestReads, 'getManifestForTag' | 'lookupManifestByDigest'>;

const SELECT_BY_REACH = {
  stored: manifestByDigestStatement,
  available: availableManifestStatement,
  visible: visiblyAvailableManifestStatement,
} as const satisfies Record<
  Reach,
  (values: { repositoryId: number; digest: string; nowMs: number }) => Statement<StoredManifest>
>;

/** Looks manifests up. */
export function createManifestLookups(deps: RegistryDeps): Lookups {
  const { database, clock, ids } = deps;
  return {
    async getManifestForTag({ manifest: { id: manifestId, repositoryId } }) {
      // A tag's row never points elsewhere, and may be collected before its manifest is.
      const stored = await database.firstAnywhere(
        manifestByIdStatement({ manifestId, repositoryId }),
      );
      return stored && loadManifest(stored, deps);
    },

    async lookupManifestByDigest(repository, digest, options = {}) {
      const { allowDead, allowHidden, requireAvailable, raiseOnError } = options;
      const reach: Reach = allowDead ? 'stored' : allowHidden ? 'available' : 'visible';
      const nowMs = clock.nowMs();
      const key = { repositoryId: repository.id, digest, nowMs };
      const select = SELECT_BY_REACH[reach](key);
      const find = async (): Promise<StoredManifest | null> => {
        if (!requireAvailable) {
          return database.firstAnywhere(select);
        }
        const batch = new Batch();
        const found = batch.add(select);
        const endMs = addSeconds(nowMs, AVAILABLE_TEMP_TAG_SEC);
        addTempTag(batch, { ...key, uuid: ids.uuid(), endMs }, reach);
        return (await batch.run(database.primary)).firstOf(found);
      };
      const stored = parseDigest(digest) === null ? null : await find();
      const manifest = stored && (await loadManifest(stored, deps));
      if (manifest === null && raiseOnError) {
        throw new RegistryError('ManifestNotFound', { digest });
      }
      return manifest;
    },
  };
}
