import {
  GARBAGE_RUN_MS_MAX,
  NAMESPACE_STATEMENTS_PER_RUN_MAX,
  NAMESPACES_PER_RUN_MAX,
  PURGE_ROWS_PER_STEP_MAX,
} from '../../model/limits.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { namespaceMarkerStatements } from '../../storage/d1/deletions.ts';
import {
  deleteAccountsStatement,
  deleteMembershipsOfAccountsStatement,
  deleteNamespaceMarkerStatement,
  deleteNamespaceMembersStatement,
  deleteNamespacePoliciesStatement,
  deleteNamespaceQuotaStatement,
  deleteNamespaceReleasesStatement,
  deleteNamespaceRestrictionsStatement,
  deleteNamespaceSizeStatement,
  deleteNamespaceStatement,
  deleteRightsOfAccountsStatement,
} from '../../storage/d1/purge.ts';
import { markRepositoriesOf } from '../deletions.ts';
import type { RegistryDeps } from '../deps.ts';
import { GarbageBudget, type GarbageLimits } from './budget.ts';
import { purgeAllDue, type PurgeOutcome } from './due-purges.ts';
import type { Run } from './steps.ts';

/** What a run did. */
export interface NamespacePurgeReport {
  /** Namespaces of which nothing is left. */
  readonly namespaces: number;
  /** Repositories that it marked. */
  readonly marked: number;
  /** False if the limits were reached before all that was due was looked at. */
  readonly isFinished: boolean;
}

/** Removes namespaces that are marked for deletion. */
export interface NamespacePurge {
  /**
   * Marks the repositories of namespaces that are due, and removes those namespaces that have none
   * left. May run twice at once and may die anywhere.
   */
  purgeNamespaces(limits?: Partial<GarbageLimits>): Promise<NamespacePurgeReport>;
}

const DEFAULT_LIMITS: GarbageLimits = {
  statements: NAMESPACE_STATEMENTS_PER_RUN_MAX,
  repositories: NAMESPACES_PER_RUN_MAX,
  durationMs: GARBAGE_RUN_MS_MAX,
};

export function createNamespacePurge(deps: RegistryDeps): NamespacePurge {
  return {
    async purgeNamespaces(limits = {}) {
      const budget = new GarbageBudget({ ...DEFAULT_LIMITS, ...limits }, deps.clock);
      const run = { deps, budget };
      const counts = { namespaces: 0, marked: 0 };
      const purgeOne = async (namespaceId: number): Promise<PurgeOutcome> => {
        const { marked, isFinished } = await markRepositoriesOf(namespaceId, deps, (count) =>
          budget.takeStatements(count),
        );
        counts.marked += marked;
        const outcome = isFinished ? await removeNamespace(namespaceId, run) : 'stopped';
        counts.namespaces += Number(outcome === 'gone');
        return outcome;
      };
      const isFinished = await purgeAllDue(namespaceMarkerStatements, purgeOne, run);
      return { ...counts, isFinished };
    },
  };
}

/** Removes what a namespace owns, and then it, unless it has repositories still. */
async function removeNamespace(namespaceId: number, { deps, budget }: Run): Promise<PurgeOutcome> {
  const some = { namespaceId, limit: PURGE_ROWS_PER_STEP_MAX };
  for (;;) {
    const batch = new Batch();
    const removed = [
      batch.add(deleteNamespacePoliciesStatement(some)),
      batch.add(deleteNamespaceRestrictionsStatement(some)),
      batch.add(deleteNamespaceReleasesStatement(some)),
      batch.add(deleteNamespaceMembersStatement(some)),
      batch.add(deleteRightsOfAccountsStatement(some)),
      batch.add(deleteMembershipsOfAccountsStatement(some)),
      batch.add(deleteAccountsStatement(some)),
    ];
    batch.add(deleteNamespaceSizeStatement({ namespaceId }));
    batch.add(deleteNamespaceQuotaStatement({ namespaceId }));
    batch.add(deleteNamespaceMarkerStatement({ namespaceId }));
    const gone = batch.add(deleteNamespaceStatement({ namespaceId }));
    if (!budget.takeStatements(batch.size)) {
      return 'stopped';
    }
    const results = await batch.run(deps.database.primary);
    if (results.firstOf(gone) !== null) {
      return 'gone';
    }
    if (removed.every((slot) => results.rowsOf(slot).length === 0)) {
      return 'waits';
    }
  }
}
