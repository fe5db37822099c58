import {
  PURGE_MANIFESTS_PER_STEP_MAX,
  PURGE_ROWS_PER_STEP_MAX,
  TOMBSTONE_GRACE_MS,
} from '../../model/limits.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { deletePurgedImportsStatement } from '../../storage/d1/imports.ts';
import {
  buryPurgedBodiesStatement,
  deleteLinksToPurgedStatement,
  deletePurgedLeasesStatement,
  deletePurgedManifestsStatement,
  deletePurgedMessagesStatement,
  deletePurgedNotificationsStatement,
  deletePurgedPoliciesStatement,
  deletePurgedQuotaStatement,
  deletePurgedRightsStatement,
  deletePurgedStatisticsStatement,
  deletePurgedTagsStatement,
  deleteRepositoryMarkerStatement,
  deleteRepositoryStatement,
  enqueueBlobsOfPurgedLeasesStatement,
  enqueueBlobsOfPurgedStatement,
  recordPurgedManifestsStatement,
  recordPurgedTagsStatement,
  subtractPurgedFromNamespacesStatement,
  subtractPurgedFromRepositoriesStatement,
} from '../../storage/d1/purge.ts';
import { type Run, send, type Step } from './steps.ts';

/*
 * The steps of a purge, each one batch that does nothing unless the repository is marked; null, having
 * done nothing, once the run's limits are reached.
 */

/**
 * Removes tags of the repository's first manifests, then those of the manifests that have none left.
 * `isLast` says that the repository has no others.
 */
export async function purgeManifests(
  repositoryId: number,
  { deps, budget }: Run,
): Promise<{ tags: number; manifests: number; isLast: boolean } | null> {
  const nowMs = deps.clock.nowMs();
  const first = { repositoryId, manifestLimit: PURGE_MANIFESTS_PER_STEP_MAX };
  const firstTags = { ...first, tagLimit: PURGE_ROWS_PER_STEP_MAX };
  const batch = new Batch();
  batch.add(recordPurgedTagsStatement({ ...firstTags, nowMs }));
  const tags = batch.add(deletePurgedTagsStatement(firstTags));
  batch.add(deleteLinksToPurgedStatement(first));
  batch.add(enqueueBlobsOfPurgedStatement(first));
  batch.add(buryPurgedBodiesStatement({ ...first, nowMs, dueMs: nowMs + TOMBSTONE_GRACE_MS }));
  batch.add(subtractPurgedFromRepositoriesStatement(first));
  batch.add(subtractPurgedFromNamespacesStatement(first));
  batch.add(recordPurgedManifestsStatement({ ...first, nowMs }));
  const manifests = batch.add(deletePurgedManifestsStatement(first));
  if (!budget.takeStatements(batch.size)) {
    return null;
  }
  const results = await batch.run(deps.database.primary);
  const removed = {
    tags: results.rowsOf(tags).length,
    manifests: results.rowsOf(manifests).length,
  };
  const isLast =
    removed.tags < PURGE_ROWS_PER_STEP_MAX && removed.manifests < PURGE_MANIFESTS_PER_STEP_MAX;
  return { ...removed, isLast };
}

/** Removes leases, over or not. */
export async function purgeLeases(
  repositoryId: number,
  run: Run,
): Promise<Step<{ blobId: number }> | null> {
  const leases = { repositoryId, limit: PURGE_ROWS_PER_STEP_MAX };
  const batch = new Batch();
  batch.add(enqueueBlobsOfPurgedLeasesStatement(leases));
  return send(batch, batch.add(deletePurgedLeasesStatement(leases)), run);
}

/** Removes what else belongs to the repository, and the repository itself if that was the rest. */
export async function purgeRows(
  repositoryId: number,
  { deps, budget }: Run,
): Promise<{ rows: number; isGone: boolean } | null> {
  const some = { repositoryId, limit: PURGE_ROWS_PER_STEP_MAX };
  const batch = new Batch();
  const removed = [
    batch.add(deletePurgedPoliciesStatement(some)),
    batch.add(deletePurgedMessagesStatement(some)),
    batch.add(deletePurgedNotificationsStatement(some)),
    batch.add(deletePurgedStatisticsStatement(some)),
    batch.add(deletePurgedRightsStatement(some)),
    batch.add(deletePurgedImportsStatement({ repositoryId })),
  ];
  batch.add(deletePurgedQuotaStatement({ repositoryId }));
  batch.add(deleteRepositoryMarkerStatement({ repositoryId }));
  const gone = batch.add(deleteRepositoryStatement({ repositoryId }));
  if (!budget.takeStatements(batch.size)) {
    return null;
  }
  const results = await batch.run(deps.database.primary);
  return {
    rows: removed.reduce((sum, slot) => sum + results.rowsOf(slot).length, 0),
    isGone: results.firstOf(gone) !== null,
  };
}
