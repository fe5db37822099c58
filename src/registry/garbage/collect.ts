import {
  GARBAGE_LEASES_PER_STEP_MAX,
  GARBAGE_REPOSITORIES_DRAWN_FROM_MAX,
  GARBAGE_REPOSITORIES_PER_RUN_MAX,
  GARBAGE_RUN_MS_MAX,
  GARBAGE_STATEMENTS_PER_RUN_MAX,
  GARBAGE_TAGS_PER_STEP_MAX,
  GARBAGE_WINDOWS_MAX,
} from '../../model/limits.ts';
import { Batch } from '../../storage/d1/batch.ts';
import {
  repositoryWithDueEndStatement,
  repositoryWithDueLeaseStatement,
  repositoryWithGarbageStatement,
  windowsStatement,
} from '../../storage/d1/gc-hints.ts';
import type { RegistryDeps } from '../deps.ts';
import type { GarbageFinder } from '../interface.ts';
import { GarbageBudget, type GarbageLimits } from './budget.ts';
import {
  addCandidates,
  type Candidates,
  collectBlobs,
  collectLeases,
  collectManifests,
  collectTags,
  collectTagsOfHolders,
  lockedMayGo,
  type Run,
} from './steps.ts';

/** What a run removed. */
export interface CollectionReport {
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

/** Removes what nobody can reach any more. */
export interface GarbageCollector {
  /**
   * Visits repositories that have something to collect, in random order, until nothing is due or
   * the limits are reached; begins with what an earlier run left. May run twice at once and may die
   * anywhere. Every step is one batch that proves what it removes, so nobody need wait for it.
   */
  collectGarbage(limits?: Partial<GarbageLimits>): Promise<CollectionReport>;
  /**
   * The same for one repository. What follows from the tags and leases that it removes is removed
   * too, whatever repositories it is in.
   */
  collectRepository(
    repositoryId: number,
    limits?: Partial<GarbageLimits>,
  ): Promise<CollectionReport>;
}

const DEFAULT_LIMITS: GarbageLimits = {
  statements: GARBAGE_STATEMENTS_PER_RUN_MAX,
  repositories: GARBAGE_REPOSITORIES_PER_RUN_MAX,
  durationMs: GARBAGE_RUN_MS_MAX,
};

export function createGarbageCollector(deps: RegistryDeps): GarbageCollector {
  const openCollection = (limits: Partial<GarbageLimits>) =>
    new Collection({
      deps,
      budget: new GarbageBudget({ ...DEFAULT_LIMITS, ...limits }, deps.clock),
    });
  return {
    async collectGarbage(limits = {}) {
      const collection = openCollection(limits);
      return collection.report(await collection.collectDue());
    },

    async collectRepository(repositoryId, limits = {}) {
      const collection = openCollection(limits);
      return collection.report(await collection.collectRepository(repositoryId));
    },
  };
}

/**
 * Removes those manifests of a repository that link a blob and are garbage already, for somebody who
 * does not want to wait for the next run. True if it removed any.
 */
export async function collectHolders(
  blob: { readonly repositoryId: number; readonly digest: string },
  deps: RegistryDeps,
): Promise<boolean> {
  const run = { deps, budget: new GarbageBudget(DEFAULT_LIMITS, deps.clock) };
  const holders = await collectTagsOfHolders(blob, run);
  const ids = holders?.removed.map(({ manifestId }) => manifestId) ?? [];
  const step = ids.length === 0 ? null : await collectManifests(ids, run);
  return step !== null && step.removed.length > 0;
}

/** Says which repositories have garbage. */
export function createGarbageFinder({ database, clock, settings }: RegistryDeps): GarbageFinder {
  return {
    async findRepositoryWithGarbage(windowSec) {
      return database.primary.first(
        repositoryWithGarbageStatement({
          windowSec,
          nowMs: clock.nowMs(),
          lockedMayGo: lockedMayGo(settings),
          limit: GARBAGE_REPOSITORIES_DRAWN_FROM_MAX,
        }),
      );
    },
  };
}

/** One run. Its methods give false once the limits are reached. */
class Collection {
  readonly #run: Run;
  readonly #counts = { repositories: 0, tags: 0, manifests: 0, leases: 0, blobs: 0, freedBytes: 0 };

  constructor(run: Run) {
    this.#run = run;
  }

  report(isFinished: boolean): CollectionReport {
    return { ...this.#counts, isFinished };
  }

  async collectDue(): Promise<boolean> {
    const { candidates, windows } = await this.#lookAround();
    let isGoingOn = await this.#drain(candidates);
    while (isGoingOn) {
      const due = await this.#findDue(windows);
      if (due === null) {
        return false;
      }
      if (due.length === 0) {
        return true;
      }
      for (const repositoryId of due) {
        isGoingOn &&= this.#run.budget.takeRepository();
        isGoingOn &&= await this.collectRepository(repositoryId);
      }
    }
    return false;
  }

  /**
   * Tags and their manifests, then leases, and blobs last: most blobs of an image that goes are still
   * leased by the push of it, or were until now, and would be looked at twice.
   */
  async collectRepository(repositoryId: number): Promise<boolean> {
    this.#counts.repositories += 1;
    const leftByTags = await this.#collectTags(repositoryId);
    const left = leftByTags && (await this.#collectLeases(repositoryId));
    return left !== null && this.#drain(left);
  }

  async #collectTags(repositoryId: number): Promise<Candidates | null> {
    for (;;) {
      const step = await collectTags(repositoryId, this.#run);
      this.#counts.tags += step?.removed.length ?? 0;
      const left = step && (await this.#drainManifests(step.candidates));
      if (step === null || left === null || step.removed.length < GARBAGE_TAGS_PER_STEP_MAX) {
        return left;
      }
    }
  }

  async #collectLeases(repositoryId: number): Promise<Candidates | null> {
    for (;;) {
      const step = await collectLeases(repositoryId, this.#run);
      this.#counts.leases += step?.removed.length ?? 0;
      if (step === null || step.removed.length < GARBAGE_LEASES_PER_STEP_MAX) {
        return step && step.candidates;
      }
    }
  }

  /** Manifests, which may free blobs, and then those; both lists are empty then. */
  async #drain(candidates: Candidates): Promise<boolean> {
    let left: Candidates | null = candidates;
    do {
      left = await this.#drainManifests(left);
      left = left && (left.blobIds.length === 0 ? left : await this.#collectBlobs(left.blobIds));
    } while (left !== null && left.manifestIds.length + left.blobIds.length > 0);
    return left !== null;
  }

  /** Manifests only; children come on the list as their parents go. */
  async #drainManifests(candidates: Candidates): Promise<Candidates | null> {
    let left: Candidates | null = candidates;
    while (left !== null && left.manifestIds.length > 0) {
      left = await this.#collectManifests(left.manifestIds);
    }
    return left;
  }

  async #collectManifests(ids: readonly number[]): Promise<Candidates | null> {
    const step = await collectManifests(ids, this.#run);
    this.#counts.manifests += step?.removed.length ?? 0;
    return step && step.candidates;
  }

  async #collectBlobs(ids: readonly number[]): Promise<Candidates | null> {
    const step = await collectBlobs(ids, this.#run);
    this.#counts.blobs += step?.removed.length ?? 0;
    for (const { sizeBytes } of step?.removed ?? []) {
      this.#counts.freedBytes += sizeBytes;
    }
    return step && step.candidates;
  }

  /** What an earlier run left, and the windows that there are, in random order. */
  async #lookAround(): Promise<{ candidates: Candidates; windows: readonly number[] }> {
    const batch = new Batch();
    const readCandidates = addCandidates(batch);
    const windows = batch.add(windowsStatement({ limit: GARBAGE_WINDOWS_MAX }));
    const results = await batch.run(this.#run.deps.database.primary);
    return {
      candidates: readCandidates(results),
      windows: results.rowsOf(windows).map(({ windowSec }) => windowSec),
    };
  }

  /**
   * One repository of each window that is due by its hint, and one with a lease that is over. A hint
   * may be too early; the visit settles it.
   */
  async #findDue(windows: readonly number[]): Promise<readonly number[] | null> {
    const { budget, deps } = this.#run;
    const nowMs = deps.clock.nowMs();
    const limit = GARBAGE_REPOSITORIES_DRAWN_FROM_MAX;
    const batch = new Batch();
    const slots = [
      ...windows.map((windowSec) =>
        batch.add(repositoryWithDueEndStatement({ windowSec, nowMs, limit })),
      ),
      batch.add(repositoryWithDueLeaseStatement({ nowMs, limit })),
    ];
    if (!budget.takeStatements(batch.size)) {
      return null;
    }
    const results = await batch.run(deps.database.primary);
    const ids = slots.flatMap((slot) => results.rowsOf(slot).map((row) => row.repositoryId));
    return [...new Set(ids)];
  }
}
