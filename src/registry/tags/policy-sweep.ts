import { POLICY_SWEEP_PAGE_SIZE, POLICY_SWEEP_PAGES_MAX } from '../../model/limits.ts';
import type { PolicyScope } from '../../model/references.ts';
import { Batch } from '../../storage/d1/batch.ts';
import type { StoredPolicy } from '../../storage/d1/policies.ts';
import {
  lockedTagsStatement,
  namespaceSweepStatements,
  repositorySweepStatements,
  type SweepStatements,
  type UnlockedTag,
} from '../../storage/d1/policy-sweeps.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { selectedNames } from './policy-match.ts';

/** What a sweep did. */
export interface Sweep {
  /** How many tags it made immutable. */
  readonly lockedTags: number;
  /** Where the next sweep goes on; null: no tag is left that the policy should lock. */
  readonly cursor: string | null;
}

const STATEMENTS: Readonly<Record<PolicyScope['kind'], SweepStatements>> = {
  repository: repositorySweepStatements,
  namespace: namespaceSweepStatements,
};

/**
 * Locks the alive visible tags in scope that a policy locks by name, from a cursor on, as far as
 * one invocation can go. Tags pushed meanwhile need no sweep: their push evaluated the policy. Ends
 * early, and has nothing left to do, once the policy is changed or deleted.
 *
 * Every page is a transaction of its own, and reads the clock for itself: a tag that dies while the
 * pages before it are swept must not live again.
 */
export async function sweepTags(
  policy: StoredPolicy,
  { scope, cursor, deps }: { scope: PolicyScope; cursor: string | null; deps: RegistryDeps },
): Promise<Sweep> {
  const isLocked = selectedNames(policy);
  const statements = STATEMENTS[scope.kind];
  let after = parseCursor(cursor);
  let lockedTags = 0;
  for (let pages = 0; pages < POLICY_SWEEP_PAGES_MAX; pages += 1) {
    const page = await readPage(policy, { statements, after, deps });
    const toLock = page.filter(({ tagName }) => isLocked(tagName));
    lockedTags += toLock.length === 0 ? 0 : await lock(toLock, { policy, statements, deps });
    const last = page.at(-1);
    if (last === undefined || page.length < POLICY_SWEEP_PAGE_SIZE) {
      return { lockedTags, cursor: null };
    }
    after = { afterRepository: last.repositoryName, afterTag: last.tagName };
  }
  return { lockedTags, cursor: `${after.afterRepository}:${after.afterTag}` };
}

interface Position {
  readonly afterRepository: string;
  readonly afterTag: string;
}

/** A cursor is the tag that a page starts after; what is none starts at the beginning. */
function parseCursor(cursor: string | null): Position {
  const [, afterRepository = '', afterTag = ''] = /^([^:]+):([^:]+)$/.exec(cursor ?? '') ?? [];
  return { afterRepository, afterTag };
}

function toValues({ uuid, tagPattern, tagPatternMatches }: StoredPolicy) {
  return { uuid, tagPattern, tagPatternMatches: Number(tagPatternMatches) };
}

async function readPage(
  policy: StoredPolicy,
  { statements, after, deps }: { statements: SweepStatements; after: Position; deps: RegistryDeps },
): Promise<readonly UnlockedTag[]> {
  const { database, clock } = deps;
  return sendAgain(() =>
    database.primary.all(
      statements.page({
        ...toValues(policy),
        ...after,
        limit: POLICY_SWEEP_PAGE_SIZE,
        nowMs: clock.nowMs(),
      }),
    ),
  );
}

/** How many of the tags it locked. */
async function lock(
  tags: readonly UnlockedTag[],
  {
    policy,
    statements,
    deps,
  }: { policy: StoredPolicy; statements: SweepStatements; deps: RegistryDeps },
): Promise<number> {
  const { database, clock, settings } = deps;
  const pairs = JSON.stringify(tags.map(({ repositoryId, tagName }) => [repositoryId, tagName]));
  return sendAgain(async (isAgain) => {
    const values = {
      ...toValues(policy),
      tags: pairs,
      nowMs: clock.nowMs(),
      keepEnds: Number(settings.immutableTagsCanExpire),
    };
    const batch = new Batch();
    batch.add(statements.raiseTagsGenerations(values));
    const locking = batch.add(statements.lock(values));
    // If this was done before, its answer was lost; none of these tags was locked when it was read.
    const locked = isAgain ? batch.add(lockedTagsStatement(values)) : locking;
    return (await batch.run(database.primary)).rowsOf(locked).length;
  });
}
