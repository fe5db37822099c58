import {
  GARBAGE_REPOSITORIES_PER_RUN_MAX,
  GARBAGE_RUN_MS_MAX,
  GARBAGE_STATEMENTS_PER_RUN_MAX,
  PURGE_ROWS_PER_STEP_MAX,
} from '../../model/limits.ts';
import { repositoryMarkerStatements } from '../../storage/d1/deletions.ts';
import type { RegistryDeps } from '../deps.ts';
import { GarbageBudget, type GarbageLimits } from './budget.ts';
import { purgeAllDue, type PurgeOutcome } from './due-purges.ts';
import { purgeLeases, purgeManifests, purgeRows } from './purge-steps.ts';
import { collectBlobs, type Run } from './steps.ts';

/** What a run removed. */
export interface PurgeReport {
  /** Repositories of which nothing is left. */
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
  readonly leases: number;
  readonly blobs: number;
  /** Bytes of blobs that R2 will be asked to delete once the grace is over. */
  readonly freedBytes: number;
  /** False if the limits were reached before all that was due was looked at. */
  readonly isFinished: boolean;
}

/** Removes what is in repositories that are marked for deletion, and then those. */
export interface RepositoryPurge {
  /**
   * Purges the repositories that are due, the one that has been for longest first, until none is or
   * the limits are reached; what is too large for a run is gone on with by the next. May run twice
   * at once and may die anywhere. What is alive or locked goes like the rest.
   */
  purgeRepositories(limits?: Partial<GarbageLimits>): Promise<PurgeReport>;
}

const DEFAULT_LIMITS: GarbageLimits = {
  statements: GARBAGE_STATEMENTS_PER_RUN_MAX,
  repositories: GARBAGE_REPOSITORIES_PER_RUN_MAX,
  durationMs: GARBAGE_RUN_MS_MAX,
};

export function createRepositoryPurge(deps: RegistryDeps): RepositoryPurge {
  return {
    async purgeRepositories(limits = {}) {
      const budget = new GarbageBudget({ ...DEFAULT_LIMITS, ...limits }, deps.clock);
      const run = { deps, budget };
      const purge = new Purge(run);
      const isFinished = await purgeAllDue(
        repositoryMarkerStatements,
        (repositoryId) => purge.purgeRepository(repositoryId),
        run,
      );
      return { ...purge.counts, isFinished };
    },
  };
}

/** One run. Its steps give false once the limits are reached. */
class Purge {
  readonly counts = { repositories: 0, tags: 0, manifests: 0, leases: 0, blobs: 0, freedBytes: 0 };
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  /** From the top, as garbage is collected; the rows that are left come last. */
  async purgeRepository(repositoryId: number): Promise<PurgeOutcome> {
    const isEmptied =
      (await this.#purgeManifests(repositoryId)) && (await this.#purgeLeases(repositoryId));
    return isEmptied ? this.#purgeRows(repositoryId) : 'stopped';
  }

  async #purgeManifests(repositoryId: number): Promise<boolean> {
    for (;;) {
      const step = await purgeManifests(repositoryId, this.#run);
      this.counts.tags += step?.tags ?? 0;
      this.counts.manifests += step?.manifests ?? 0;
      if (step === null || step.isLast) {
        return step !== null;
      }
    }
  }

  async #purgeLeases(repositoryId: number): Promise<boolean> {
    for (;;) {
      const step = await purgeLeases(repositoryId, this.#run);
      this.counts.leases += step?.removed.length ?? 0;
      if (step === null) {
        return false;
      }
      if (step.removed.length < PURGE_ROWS_PER_STEP_MAX) {
        return this.#drainBlobs(step.candidates.blobIds);
      }
    }
  }

  /** Blobs that nothing holds, whoever held them last. */
  async #drainBlobs(candidates: readonly number[]): Promise<boolean> {
    let left = candidates;
    while (left.length > 0) {
      const step = await collectBlobs(left, this.#run);
      if (step === null) {
        return false;
      }
      this.counts.blobs += step.removed.length;
      for (const { sizeBytes } of step.removed) {
        this.counts.freedBytes += sizeBytes;
      }
      left = step.candidates.blobIds;
    }
    return true;
  }

  async #purgeRows(repositoryId: number): Promise<PurgeOutcome> {
    for (;;) {
      const step = await purgeRows(repositoryId, this.#run);
      if (step === null) {
        return 'stopped';
      }
      if (step.isGone) {
        this.counts.repositories += 1;
        return 'gone';
      }
      if (step.rows === 0) {
        return 'waits';
      }
    }
  }
}
