import { RETENTION_PAGE_SIZE, RETENTION_PAGES_MAX } from '../../model/limits.ts';
import type { EpochMs } from '../../model/time.ts';
import { type RetainableTag, retainableTagsStatement } from '../../storage/d1/retention-ends.ts';
import {
  retentionPoliciesStatement,
  type StoredRetentionPolicy,
} from '../../storage/d1/retention-policies.ts';
import type { RegistryDeps } from '../deps.ts';
import { requireValidPattern, selectedNames } from './policy-match.ts';

/** A tag that a run would end. */
export interface DoomedTag extends RetainableTag {
  /** The policies that say so, those of the repository first; never empty. */
  readonly policies: readonly StoredRetentionPolicy[];
}

/** What the policies of a repository say about its tags as they are now. */
export interface RetentionPlan {
  /** What a run would end, in its order: the oldest first. */
  readonly tags: readonly DoomedTag[];
  /** False if the repository has more tags than a plan reads; the oldest were not looked at. */
  readonly isComplete: boolean;
}

/**
 * Reads and judges the tags of a repository; null, if `takeStatement` refuses one of the statements.
 * Each policy judges for itself all tags that it may end: alive, visible, not locked, none of
 * cosign's, and of its names. What another policy ends as well counts among the newest, so that the
 * order of the policies does not matter. A plan that is carried out from its oldest tag on may stop
 * anywhere: what is left counts as it did.
 *
 * Errors: InvalidPolicy, if the engine does not take a pattern any more that it took.
 */
export async function planTags(
  repositoryId: number,
  { deps, takeStatement }: { deps: RegistryDeps; takeStatement: () => boolean },
): Promise<RetentionPlan | null> {
  const { database, clock, settings } = deps;
  if (!takeStatement()) {
    return null;
  }
  const policies = await database.primary.all(retentionPoliciesStatement({ repositoryId }));
  const nowMs = clock.nowMs();
  const judges = policies.map((policy) => ({ policy, isOver: judgeOf(policy, nowMs) }));
  const tags: DoomedTag[] = [];
  let after = { afterStartMs: Number.MAX_SAFE_INTEGER, afterName: '' };
  let isComplete = policies.length === 0;
  for (let pages = 0; pages < RETENTION_PAGES_MAX && !isComplete; pages += 1) {
    if (!takeStatement()) {
      return null;
    }
    const page = await database.primary.all(
      retainableTagsStatement({
        repositoryId,
        nowMs,
        enforceImmutability: Number(settings.immutableTags),
        ...after,
        limit: RETENTION_PAGE_SIZE,
      }),
    );
    for (const tag of page) {
      // All of them are asked, for each counts what it is about.
      const over = judges.filter(({ isOver }) => isOver(tag)).map(({ policy }) => policy);
      if (over.length > 0) {
        tags.push({ ...tag, policies: over });
      }
    }
    const last = page.at(-1);
    isComplete = last === undefined || page.length < RETENTION_PAGE_SIZE;
    after = { afterStartMs: last?.lifetimeStartMs ?? 0, afterName: last?.tagName ?? '' };
  }
  return { tags: tags.toReversed(), isComplete };
}

/** Says of tag after tag, the newest first, whether a policy ends it. */
function judgeOf(policy: StoredRetentionPolicy, nowMs: EpochMs): (tag: RetainableTag) => boolean {
  const isSelected = selectionOf(policy);
  if (policy.method === 'creation_date') {
    const oldestMs = nowMs - policy.ageMaxSec * 1000;
    return ({ tagName, lifetimeStartMs }) => lifetimeStartMs < oldestMs && isSelected(tagName);
  }
  let seen = 0;
  return ({ tagName }) => {
    const isCounted = isSelected(tagName);
    seen += Number(isCounted);
    return isCounted && seen > policy.tagsMax;
  };
}

function selectionOf({
  tagPattern,
  tagPatternMatches,
}: StoredRetentionPolicy): (tagName: string) => boolean {
  if (tagPattern === null) {
    return () => true;
  }
  // A pattern that matches nothing, inverted, would end everything.
  requireValidPattern(tagPattern);
  return selectedNames({ tagPattern, tagPatternMatches });
}
