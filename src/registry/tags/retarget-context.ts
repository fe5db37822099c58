import type { Tag } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { REPOSITORY_STATES } from '../../model/references.ts';
import { type LabelFingerprint, labelFingerprintStatement } from '../../storage/d1/assertions.ts';
import type { Batch, BatchResults } from '../../storage/d1/batch.ts';
import {
  type ActingLabels,
  actingLabelsStatement,
  NO_ACTING_LABELS,
} from '../../storage/d1/manifests.ts';
import {
  type ImmutabilityPolicy,
  immutabilityPoliciesStatement,
  type WriteScope,
  writeScopeStatement,
} from '../../storage/d1/policies.ts';
import { newestGenerationsStatement } from '../../storage/d1/tags.ts';

/** What new generations of names on one manifest are decided by. */
export interface RetargetContext {
  /** Null: the repository is gone. */
  readonly scope: WriteScope | null;
  readonly policies: readonly ImmutabilityPolicy[];
  /** The newest generation of each of the tags' names that has any, by name. */
  readonly newest: ReadonlyMap<string, Tag>;
  readonly ownLabels: ActingLabels;
  readonly fingerprint: LabelFingerprint;
  /** JSON list of the children that the manifest names and may not be linked to yet. */
  readonly childDigests: string;
}

export interface RetargetSubject {
  readonly repositoryId: number;
  readonly digest: string;
  readonly tagNames: readonly string[];
  readonly childDigests: string;
}

/** Adds the reads, and gives the function that finds the context in what came back. */
export function addRetargetReads(
  batch: Batch,
  { repositoryId, digest, tagNames, childDigests }: RetargetSubject,
): (results: BatchResults) => RetargetContext {
  const scope = batch.add(writeScopeStatement({ repositoryId }));
  const policies = batch.add(immutabilityPoliciesStatement({ repositoryId }));
  const labels = batch.add(actingLabelsStatement({ repositoryId, digest }));
  const fingerprint = batch.add(labelFingerprintStatement({ repositoryId, digest, childDigests }));
  const newest =
    tagNames.length === 0
      ? null
      : batch.add(newestGenerationsStatement({ repositoryId, tagNames: JSON.stringify(tagNames) }));
  return (results) => ({
    scope: results.firstOf(scope),
    policies: results.rowsOf(policies),
    newest: byName(newest === null ? [] : results.rowsOf(newest)),
    ownLabels: results.firstOf(labels) ?? NO_ACTING_LABELS,
    fingerprint: results.firstOf(fingerprint) ?? { labelCount: 0, labelMaxId: 0 },
    childDigests,
  });
}

function byName(tags: readonly Tag[]): ReadonlyMap<string, Tag> {
  return new Map(tags.map((tag) => [tag.name, tag]));
}

/** The scope of a repository that takes writes. Errors: RetargetFailed. */
export function liveScope({ scope }: RetargetContext): WriteScope {
  if (scope === null || scope.repositoryState === REPOSITORY_STATES.markedForDeletion) {
    throw new RegistryError('RetargetFailed', { reason: 'repository-gone' });
  }
  return scope;
}

/**
 * If an attempt whose answer was lost did what it should, the generations that it made: the newest
 * of the names, of this kind, none of which was there when the first attempt read. Else null.
 */
export function findGenerationsMade(
  {
    tagNames,
    digest,
    reversion,
  }: Pick<RetargetSubject, 'tagNames' | 'digest'> & { readonly reversion: boolean },
  { context, before }: { context: RetargetContext; before: RetargetContext },
): readonly Tag[] | null {
  const tags = tagNames
    .map((tagName) => context.newest.get(tagName))
    .filter((tag) => tag !== undefined)
    .filter(
      (tag) =>
        tag.manifestDigest === digest &&
        tag.reversion === reversion &&
        tag.id > (before.newest.get(tag.name)?.id ?? 0),
    );
  return tags.length === tagNames.length ? tags : null;
}
