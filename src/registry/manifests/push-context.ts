import type { ParsedManifest } from '../../image/parsed-manifest.ts';
import type { Blob, Tag } from '../../model/datatypes.ts';
import type { ManifestInfo } from '../../model/references.ts';
import { type LabelFingerprint, labelFingerprintStatement } from '../../storage/d1/assertions.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { visibleBlobsStatement } from '../../storage/d1/blobs.ts';
import type { Database } from '../../storage/d1/database.ts';
import {
  type ActingLabels,
  actingLabelsStatement,
  type ChildOnPush,
  childrenStatement,
  manifestInfoByDigestStatement,
  NO_ACTING_LABELS,
} from '../../storage/d1/manifests.ts';
import {
  type ImmutabilityPolicy,
  immutabilityPoliciesStatement,
  type WriteScope,
  writeScopeStatement,
} from '../../storage/d1/policies.ts';
import { newestGenerationsStatement } from '../../storage/d1/tags.ts';

/** What a push of a manifest is decided by, as the primary had it in one round trip. */
export interface PushContext {
  /** Null: the repository is gone. */
  readonly scope: WriteScope | null;
  readonly policies: readonly ImmutabilityPolicy[];
  /** The manifest's row, if the repository has it already. */
  readonly existing: ManifestInfo | null;
  /** The newest generation of each of the tags' names that has any, by name. */
  readonly newest: ReadonlyMap<string, Tag>;
  readonly ownLabels: ActingLabels;
  readonly fingerprint: LabelFingerprint;
  /** Those of the manifest's local blobs that the repository can see, by digest. */
  readonly blobs: ReadonlyMap<string, Blob>;
  /** Those of the manifest's children that the repository has, by digest. */
  readonly children: ReadonlyMap<string, ChildOnPush>;
  /** JSON list of all the children's digests. */
  readonly childDigests: string;
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
  const scope = batch.add(writeScopeStatement({ repositoryId }));
  const policies = batch.add(immutabilityPoliciesStatement({ repositoryId }));
  const existing = batch.add(manifestInfoByDigestStatement({ repositoryId, digest }));
  const labels = batch.add(actingLabelsStatement({ repositoryId, digest }));
  const fingerprint = batch.add(labelFingerprintStatement({ repositoryId, digest, childDigests }));
  const blobs = batch.add(visibleBlobsStatement({ repositoryId, blobDigests }));
  const children = batch.add(childrenStatement({ repositoryId, childDigests }));
  const newest =
    tagNames.length === 0
      ? null
      : batch.add(newestGenerationsStatement({ repositoryId, tagNames: JSON.stringify(tagNames) }));
  const results = await batch.run(database.primary);
  return {
    scope: results.firstOf(scope),
    policies: results.rowsOf(policies),
    existing: results.firstOf(existing),
    newest: byName(newest === null ? [] : results.rowsOf(newest)),
    ownLabels: results.firstOf(labels) ?? NO_ACTING_LABELS,
    fingerprint: results.firstOf(fingerprint) ?? { labelCount: 0, labelMaxId: 0 },
    blobs: new Map(results.rowsOf(blobs).map((blob) => [blob.digest, blob])),
    children: new Map(results.rowsOf(children).map((child) => [child.digest, child])),
    childDigests,
    blobDigests,
  };
}

/** Tags by their names. */
export function byName(tags: readonly Tag[]): ReadonlyMap<string, Tag> {
  return new Map(tags.map((tag) => [tag.name, tag]));
}

/** An index may list a child several times; it is linked once. */
function distinctChildren(parsed: ParsedManifest): readonly string[] {
  return parsed.kind === 'index' ? [...new Set(parsed.manifests.map(({ digest }) => digest))] : [];
}
