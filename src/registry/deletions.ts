import {
  GARBAGE_STATEMENTS_PER_RUN_MAX,
  REPOSITORIES_MARKED_PER_STEP_MAX,
  TOMBSTONE_GRACE_MS,
} from '../model/limits.ts';
import type { RepositoryRef } from '../model/references.ts';
import { Batch } from '../storage/d1/batch.ts';
import {
  deleteHintsOfMarkedStatement,
  insertNamespaceMarkerStatement,
  insertRepositoryMarkersStatement,
  liveRepositoriesStatement,
  markedByListStatement,
  markedNamespaceStatement,
  markNamespaceStatement,
  markRepositoriesStatement,
  retireAccountsStatement,
} from '../storage/d1/deletions.ts';
import {
  buryUploadsOfRepositoriesStatement,
  deleteUploadsOfRepositoriesStatement,
} from '../storage/d1/upload-endings.ts';
import type { RegistryDeps } from './deps.ts';
import { sendAgain } from './send-again.ts';

/** Gives repositories and namespaces up. */
export interface Deletions {
  /**
   * Marks a repository for deletion: it is gone for every caller, its uploads are given up, and its
   * name is free. What it holds is removed by cron. False: it was gone or marked already.
   */
  markRepositoryForDeletion(repository: RepositoryRef): Promise<boolean>;
  /**
   * Marks a namespace and all its repositories; its name is free. Its person and its robots log in
   * no more, and their names are free too. Of a namespace with very many repositories cron marks
   * the rest. False: there is none of this name.
   */
  markNamespaceForDeletion(namespaceName: string): Promise<boolean>;
}

export function createDeletions(deps: RegistryDeps): Deletions {
  return {
    markRepositoryForDeletion: async (repository) =>
      (await markRepositories([repository.id], deps)) > 0,

    async markNamespaceForDeletion(namespaceName) {
      const namespaceId = await markNamespace(namespaceName, deps);
      if (namespaceId === null) {
        return false;
      }
      let statementsLeft = GARBAGE_STATEMENTS_PER_RUN_MAX;
      await markRepositoriesOf(namespaceId, deps, (count) => {
        statementsLeft -= count;
        return statementsLeft >= 0;
      });
      return true;
    },
  };
}

/** The id of the namespace, marked; null: there is none of this name. */
async function markNamespace(namespace: string, deps: RegistryDeps): Promise<number | null> {
  const { database, clock, ids } = deps;
  const marked = { namespace, newName: ids.uuid() };
  return sendAgain(async () => {
    const [, , , found] = await database.primary.batch([
      insertNamespaceMarkerStatement({ ...marked, nowMs: clock.nowMs() }),
      retireAccountsStatement(marked),
      markNamespaceStatement(marked),
      // By its new name: a sending whose answer was lost has done the work already.
      markedNamespaceStatement(marked),
    ]);
    return found[0]?.namespaceId ?? null;
  });
}

/** The statements of one step of {@link markRepositoriesOf}. */
const STEP_STATEMENTS = 7;

/**
 * Marks the repositories of a namespace, some at a time, while `takeStatements` allows, and gives how
 * many there were and whether they were all.
 */
export async function markRepositoriesOf(
  namespaceId: number,
  deps: RegistryDeps,
  takeStatements: (count: number) => boolean,
): Promise<{ readonly marked: number; readonly isFinished: boolean }> {
  const limit = REPOSITORIES_MARKED_PER_STEP_MAX;
  let marked = 0;
  while (takeStatements(STEP_STATEMENTS)) {
    const found = await deps.database.primary.all(
      liveRepositoriesStatement({ namespaceId, limit }),
    );
    if (found.length > 0) {
      marked += await markRepositories(
        found.map(({ repositoryId }) => repositoryId),
        deps,
      );
    }
    if (found.length < limit) {
      return { marked, isFinished: true };
    }
  }
  return { marked, isFinished: false };
}

/** Marks repositories by id, and gives how many were not marked before. */
async function markRepositories(
  repositoryIds: readonly number[],
  { database, clock, ids }: RegistryDeps,
): Promise<number> {
  const nowMs = clock.nowMs();
  const given = { repositoryIds: JSON.stringify(repositoryIds) };
  const listed = {
    repositories: JSON.stringify(repositoryIds.map((id) => ({ id, name: ids.uuid() }))),
  };
  return sendAgain(async () => {
    const batch = new Batch();
    batch.add(
      buryUploadsOfRepositoriesStatement({ ...given, nowMs, dueMs: nowMs + TOMBSTONE_GRACE_MS }),
    );
    batch.add(deleteUploadsOfRepositoriesStatement(given));
    batch.add(insertRepositoryMarkersStatement({ ...listed, nowMs }));
    batch.add(deleteHintsOfMarkedStatement(listed));
    batch.add(markRepositoriesStatement(listed));
    // By their new names: a sending whose answer was lost has done the work already.
    const marked = batch.add(markedByListStatement(listed));
    const results = await batch.run(database.primary);
    return results.rowsOf(marked).length;
  });
}
