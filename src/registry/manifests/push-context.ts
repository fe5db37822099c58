import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import type { Blob } from '../../model/datatypes.ts';
import type { ManifestInfo } from '../../model/references.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { visibleBlobsStatement } from '../../storage/d1/blobs.ts';
import type { Database } from '../../storage/d1/database.ts';
import {
  type ChildOnPush,
  childrenStatement,
  manifestInfoByDigestStatement,
} from '../../storage/d1/manifests.ts';
import { type PushQuota, pushQuotaStatement } from '../../storage/d1/quota.ts';
import { addRetargetReads, type RetargetContext } from '../tags/retarget-context.ts';

/** What a push of a manifest is decided by, as the primary had it in one round trip. */
export interface PushContext extends RetargetContext {
  /** The manifest's row, if the repository has it already. */
  readonly existing: ManifestInfo | null;
  /** Those of the manifest's local blobs that the repository can see, by digest. */
  readonly blobs: ReadonlyMap<string, Blob>;
  /** Those of the manifest's children that the repository has, by digest. */
  readonly children: ReadonlyMap<string, ChildOnPush>;
  /** The quota that the push comes under; null: its namespace has none. */
  readonly quota: PushQuota | null;
  /** JSON list of all the local blobs' digests. */
  readonly blobDigests: string;
}

export interface PushSubject {
  readonly repositoryId: number;
  readonly parsed: ParsedManifest;
  /** Empty: pushed by digest alone. */
  readonly tagNames: readonly string[];
}

/** Reads all that a push needs to know, in one round trip whatever the number of layers. */
export async function readPushContext(
  database: Database,
  { repositoryId, parsed, tagNames }: PushSubject,
): Promise<PushContext> {
  const { digest } = parsed;
  const blobDigests = JSON.stringify(parsed.kind === 'image' ? parsed.localBlobDigests : []);
  const childDigests = JSON.stringify(distinctChildren(parsed));
  const batch = new Batch();
  const retarget = addRetargetReads(batch, { repositoryId, digest, tagNames, childDigests });
  const existing = batch.add(manifestInfoByDigestStatement({ repositoryId, digest }));
  const blobs = batch.add(visibleBlobsStatement({ repositoryId, blobDigests }));
  const children = batch.add(childrenStatement({ repositoryId, childDigests }));
  const quota = batch.add(pushQuotaStatement({ repositoryId, blobDigests }));
  const results = await batch.run(database.primary);
  return {
    ...retarget(results),
    existing: results.firstOf(existing),
    blobs: new Map(results.rowsOf(blobs).map((blob) => [blob.digest, blob])),
    children: new Map(results.rowsOf(children).map((child) => [child.digest, child])),
    quota: results.firstOf(quota),
    blobDigests,
  };
}

/** An index may list a child several times; it is linked once. */
function distinctChildren(parsed: ParsedManifest): readonly string[] {
  return parsed.kind === 'index' ? [...new Set(parsed.manifests.map(({ digest }) => digest))] : [];
}
