import { parseStoredManifest } from '../../image/parse.ts';
import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import type { ManifestInfo } from '../../model/references.ts';
import { manifestByIdStatement } from '../../storage/d1/manifests.ts';
import type { StoredManifest } from '../../storage/d1/rows.ts';
import type { RegistryDeps } from '../deps.ts';
import { loadManifest } from './body.ts';

type Stores = Pick<RegistryDeps, 'database' | 'blobStore'>;

/** Names the manifest of a reference, which is gone if it was collected since. */
export function manifestOf({ id, repositoryId }: Pick<ManifestInfo, 'id' | 'repositoryId'>) {
  return manifestByIdStatement({ manifestId: id, repositoryId });
}

/**
 * The manifest of a reference, read again; null if it was collected since. `ManifestInvalid` where
 * its bytes are none of its type, which a push does not let in.
 */
export async function readManifest(
  manifest: Pick<ManifestInfo, 'id' | 'repositoryId'>,
  stores: Stores,
): Promise<ParsedManifest | null> {
  const stored = await stores.database.firstAnywhere(manifestOf(manifest));
  return stored && readStored(stored, stores);
}

/** The same of a row that is at hand. */
export async function readStored(
  stored: StoredManifest,
  stores: Pick<Stores, 'blobStore'>,
): Promise<ParsedManifest | null> {
  const manifest = await loadManifest(stored, stores);
  return manifest && parseStoredManifest(manifest.bytes, manifest);
}
