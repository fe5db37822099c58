import {
  GARBAGE_CANDIDATES_PER_STEP_MAX,
  GARBAGE_LEASES_PER_STEP_MAX,
  GARBAGE_TAGS_PER_STEP_MAX,
  TOMBSTONE_GRACE_MS,
} from '../../model/limits.ts';
import { Batch, type BatchResults, type BatchSlot } from '../../storage/d1/batch.ts';
import {
  blobCandidatesStatement,
  buryBlobsStatement,
  deleteEndedLeasesStatement,
  deleteGarbageBlobsStatement,
  dequeueBlobsStatement,
  enqueueBlobsOfEndedLeasesStatement,
  raiseContentEpochOnEndedLeasesStatement,
  recordGarbageBlobsStatement,
} from '../../storage/d1/collect-blobs.ts';
import {
  buryBodiesStatement,
  deleteGarbageManifestsStatement,
  dequeueManifestsStatement,
  enqueueBlobsOfManifestsStatement,
  enqueueChildrenStatement,
  enqueueSubjectsStatement,
  manifestCandidatesStatement,
  raiseContentEpochsStatement,
  recordGarbageManifestsStatement,
  subtractGarbageFromNamespacesStatement,
  subtractGarbageFromRepositoriesStatement,
} from '../../storage/d1/collect-manifests.ts';
import {
  deleteEndedTagsStatement,
  deleteStatisticsOfEndedTagsStatement,
  deleteStatisticsOfHoldersStatement,
  deleteTagsOfHoldersStatement,
  enqueueHoldersStatement,
  enqueueManifestsOfEndedTagsStatement,
  garbageHoldersStatement,
  recordEndedTagsStatement,
  recordTagsOfHoldersStatement,
} from '../../storage/d1/collect-tags.ts';
import { settleHintStatement } from '../../storage/d1/gc-hints.ts';
import type { RegistryDeps } from '../deps.ts';
import type { RegistrySettings } from '../settings.ts';
import type { GarbageBudget } from './budget.ts';

/** What may be garbage: the lowest ids of both lists, some at a time. */
export interface Candidates {
  readonly manifestIds: readonly number[];
  readonly blobIds: readonly number[];
}

/** What a step removed, and what it left to look at next. */
export interface Step<Row> {
  readonly removed: readonly Row[];
  readonly candidates: Candidates;
}

/** A run of the collector: its world, and what is left of its limits. */
export interface Run {
  readonly deps: RegistryDeps;
  readonly budget: GarbageBudget;
}

/** While the flag is not enforced, or locked tags may end, what ended is garbage like the rest. */
export function lockedMayGo(settings: RegistrySettings): number {
  return Number(settings.immutableTagsCanExpire || !settings.immutableTags);
}

/*
 * Each step is one batch, right by itself, and gives null, having done nothing, once the run's limits
 * are reached.
 */

/** Removes generations of a repository that are beyond recovery. */
export async function collectTags(
  repositoryId: number,
  run: Run,
): Promise<Step<{ tagId: number }> | null> {
  const { clock, settings } = run.deps;
  const ended = {
    repositoryId,
    nowMs: clock.nowMs(),
    lockedMayGo: lockedMayGo(settings),
    limit: GARBAGE_TAGS_PER_STEP_MAX,
  };
  const batch = new Batch();
  batch.add(enqueueManifestsOfEndedTagsStatement(ended));
  batch.add(deleteStatisticsOfEndedTagsStatement(ended));
  batch.add(recordEndedTagsStatement(ended));
  return send(batch, batch.add(deleteEndedTagsStatement(ended)), run);
}

/**
 * Finds those manifests of a repository that link a blob and are garbage already, and removes their
 * generations; what it gives as removed is the manifests, which are still there.
 */
export async function collectTagsOfHolders(
  { repositoryId, digest }: { repositoryId: number; digest: string },
  run: Run,
): Promise<Step<{ manifestId: number }> | null> {
  const { clock, settings } = run.deps;
  const holders = {
    repositoryId,
    digest,
    nowMs: clock.nowMs(),
    lockedMayGo: lockedMayGo(settings),
    limit: GARBAGE_CANDIDATES_PER_STEP_MAX,
  };
  const batch = new Batch();
  const found = batch.add(garbageHoldersStatement(holders));
  batch.add(enqueueHoldersStatement(holders));
  batch.add(deleteStatisticsOfHoldersStatement(holders));
  batch.add(recordTagsOfHoldersStatement(holders));
  batch.add(deleteTagsOfHoldersStatement(holders));
  return send(batch, found, run);
}

/** Removes those of these manifests that nothing names, whatever repositories they are in. */
export async function collectManifests(
  ids: readonly number[],
  run: Run,
): Promise<Step<{ digest: string }> | null> {
  const nowMs = run.deps.clock.nowMs();
  const manifestIds = JSON.stringify(ids);
  const batch = new Batch();
  batch.add(dequeueManifestsStatement({ manifestIds }));
  batch.add(enqueueChildrenStatement({ manifestIds }));
  batch.add(enqueueSubjectsStatement({ manifestIds }));
  batch.add(enqueueBlobsOfManifestsStatement({ manifestIds }));
  batch.add(buryBodiesStatement({ manifestIds, nowMs, dueMs: nowMs + TOMBSTONE_GRACE_MS }));
  batch.add(subtractGarbageFromRepositoriesStatement({ manifestIds }));
  batch.add(subtractGarbageFromNamespacesStatement({ manifestIds }));
  batch.add(raiseContentEpochsStatement({ manifestIds }));
  batch.add(recordGarbageManifestsStatement({ manifestIds, nowMs }));
  return send(batch, batch.add(deleteGarbageManifestsStatement({ manifestIds })), run);
}

/** Removes leases of a repository that are over, and settles when it is to be visited next. */
export async function collectLeases(
  repositoryId: number,
  run: Run,
): Promise<Step<{ blobId: number }> | null> {
  const { clock, settings } = run.deps;
  const ended = { repositoryId, nowMs: clock.nowMs(), limit: GARBAGE_LEASES_PER_STEP_MAX };
  const batch = new Batch();
  batch.add(enqueueBlobsOfEndedLeasesStatement(ended));
  batch.add(raiseContentEpochOnEndedLeasesStatement(ended));
  const deleted = batch.add(deleteEndedLeasesStatement(ended));
  batch.add(settleHintStatement({ repositoryId, lockedMayGo: lockedMayGo(settings) }));
  return send(batch, deleted, run);
}

/** Removes those of these blobs that no repository sees any more, and buries their bytes. */
export async function collectBlobs(
  ids: readonly number[],
  run: Run,
): Promise<Step<{ sizeBytes: number }> | null> {
  const nowMs = run.deps.clock.nowMs();
  const blobIds = JSON.stringify(ids);
  const batch = new Batch();
  batch.add(buryBlobsStatement({ blobIds, nowMs, dueMs: nowMs + TOMBSTONE_GRACE_MS }));
  batch.add(recordGarbageBlobsStatement({ blobIds, nowMs }));
  const deleted = batch.add(deleteGarbageBlobsStatement({ blobIds }));
  batch.add(dequeueBlobsStatement({ blobIds }));
  return send(batch, deleted, run);
}

/** The statements that read both lists, for a batch; and how to read what comes back. */
export function addCandidates(batch: Batch): (results: BatchResults) => Candidates {
  const limit = GARBAGE_CANDIDATES_PER_STEP_MAX;
  const manifests = batch.add(manifestCandidatesStatement({ limit }));
  const blobs = batch.add(blobCandidatesStatement({ limit }));
  return (results) => ({
    manifestIds: results.rowsOf(manifests).map(({ manifestId }) => manifestId),
    blobIds: results.rowsOf(blobs).map(({ blobId }) => blobId),
  });
}

/** The lists of candidates come with the answer as the step leaves them. */
export async function send<Row>(
  batch: Batch,
  deleted: BatchSlot<Row>,
  { deps, budget }: Run,
): Promise<Step<Row> | null> {
  const readCandidates = addCandidates(batch);
  if (!budget.takeStatements(batch.size)) {
    return null;
  }
  const results = await batch.run(deps.database.primary);
  return { removed: results.rowsOf(deleted), candidates: readCandidates(results) };
}
