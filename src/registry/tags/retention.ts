import {
  RETENTION_INTERVAL_MS,
  RETENTION_REPOSITORIES_PAGE_SIZE,
  RETENTION_REPOSITORIES_PER_RUN_MAX,
  RETENTION_RETRY_MS,
  RETENTION_RUN_MS_MAX,
  RETENTION_STATEMENTS_PER_RUN_MAX,
  RETENTION_TAGS_PER_STEP_MAX,
} from '../../model/limits.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { lowerEndHintStatement } from '../../storage/d1/gc-hints.ts';
import {
  cascadeOnRetentionStatement,
  endChildTagsOnRetentionStatement,
  endRetainedTagsStatement,
} from '../../storage/d1/retention-ends.ts';
import {
  advanceRetentionTaskStatement,
  dropIdleRetentionTaskStatement,
  retainedRepositoriesStatement,
  type RetentionTask,
  takeRetentionTaskStatement,
} from '../../storage/d1/retention-tasks.ts';
import { raiseTagsGenerationIfWrittenStatement } from '../../storage/d1/tag-lifetimes.ts';
import type { RegistryDeps } from '../deps.ts';
import { GarbageBudget, type GarbageLimits } from '../garbage/budget.ts';
import { type DoomedTag, planTags, type RetentionPlan } from './retention-plan.ts';

/** Says what the retention policies would do. */
export interface RetentionPlans {
  /**
   * Which tags of a repository a run would end now, and by which policies; nothing is written. None
   * if the repository takes no pushes or its namespace is disabled.
   */
  planRetention(repository: RepositoryRef): Promise<RetentionPlan>;
}

/** What a run of the retention policies did. */
export interface RetentionReport {
  /** How many repositories were done to the end. */
  readonly repositories: number;
  /** How many tags it ended; signatures that went with them are not counted. */
  readonly ended: number;
  /** False if the limits were reached before all that was due was done. */
  readonly isFinished: boolean;
}

/** Applies the retention policies. */
export interface RetentionRuns {
  /**
   * Ends the tags that policies do not keep, where they are due to be applied, those first that have
   * waited longest, until the limits are reached. May run twice at once and may die anywhere: the
   * next run goes on. What was pushed, moved, locked or deleted meanwhile is left as it is.
   */
  applyRetention(limits?: Partial<GarbageLimits>): Promise<RetentionReport>;
}

const DEFAULT_LIMITS: GarbageLimits = {
  statements: RETENTION_STATEMENTS_PER_RUN_MAX,
  repositories: RETENTION_REPOSITORIES_PER_RUN_MAX,
  durationMs: RETENTION_RUN_MS_MAX,
};

export function createRetentionPlans(deps: RegistryDeps): RetentionPlans {
  return {
    async planRetention({ id }) {
      const plan = await planTags(id, { deps, takeStatement: () => true });
      return plan ?? { tags: [], isComplete: false };
    },
  };
}

export function createRetentionRuns(deps: RegistryDeps): RetentionRuns {
  return {
    async applyRetention(limits = {}) {
      const run = new RetentionRun(deps, { ...DEFAULT_LIMITS, ...limits });
      return run.report(await run.applyDue());
    },
  };
}

class RetentionRun {
  readonly #deps: RegistryDeps;
  readonly #budget: GarbageBudget;
  #repositories = 0;
  #ended = 0;

  constructor(deps: RegistryDeps, limits: GarbageLimits) {
    this.#deps = deps;
    this.#budget = new GarbageBudget(limits, deps.clock);
  }

  report(isFinished: boolean): RetentionReport {
    return { repositories: this.#repositories, ended: this.#ended, isFinished };
  }

  /** False if the limits were reached. */
  async applyDue(): Promise<boolean> {
    const { database, clock } = this.#deps;
    const nowMs = clock.nowMs();
    while (this.#budget.takeStatements(1)) {
      const take = { nowMs, retryMs: nowMs + RETENTION_RETRY_MS };
      const task = await database.primary.first(takeRetentionTaskStatement(take));
      if (task === null) {
        return true;
      }
      if (!(await this.#applyTask(task))) {
        return false;
      }
    }
    return false;
  }

  /** Goes on with a task where it stopped; false if the limits were reached. */
  async #applyTask(task: RetentionTask): Promise<boolean> {
    const { database, clock } = this.#deps;
    const next = retainedRepositoriesStatement({
      taskId: task.taskId,
      limit: RETENTION_REPOSITORIES_PAGE_SIZE,
    });
    while (this.#budget.takeStatements(1)) {
      const page = await database.primary.all(next);
      let lastDone: string | null = null;
      for (const { repositoryId, repositoryName } of page) {
        if (!this.#budget.takeRepository() || !(await this.#applyTo(repositoryId))) {
          await this.#advance(task, { afterRepository: lastDone, dueMs: clock.nowMs() });
          return false;
        }
        lastDone = repositoryName;
        this.#repositories += 1;
      }
      if (lastDone === null) {
        await this.#settle(task);
        return true;
      }
      const dueMs = clock.nowMs() + RETENTION_RETRY_MS;
      if (!(await this.#advance(task, { afterRepository: lastDone, dueMs }))) {
        // A policy has got another content meanwhile, and is due from the start.
        return true;
      }
    }
    await this.#advance(task, { afterRepository: null, dueMs: clock.nowMs() });
    return false;
  }

  /** True if the task is still the one that was taken up. */
  async #advance(
    task: RetentionTask,
    position: { readonly afterRepository: string | null; readonly dueMs: number },
  ): Promise<boolean> {
    const advance = advanceRetentionTaskStatement({ ...task, ...position });
    return (await this.#deps.database.primary.first(advance)) !== null;
  }

  /** Says that a task is done, and when it is due again; without policies it never is. */
  async #settle(task: RetentionTask): Promise<void> {
    const { database, clock } = this.#deps;
    await database.primary.batch([
      dropIdleRetentionTaskStatement({ ...task }),
      advanceRetentionTaskStatement({
        ...task,
        afterRepository: '',
        dueMs: clock.nowMs() + RETENTION_INTERVAL_MS,
      }),
    ]);
  }

  /** Ends what the plan of a repository says, the oldest first; false if the limits were reached. */
  async #applyTo(repositoryId: number): Promise<boolean> {
    const plan = await planTags(repositoryId, {
      deps: this.#deps,
      takeStatement: () => this.#budget.takeStatements(1),
    });
    const tags = plan?.tags ?? [];
    for (let at = 0; at < tags.length; at += RETENTION_TAGS_PER_STEP_MAX) {
      const batch = this.#compose(repositoryId, tags.slice(at, at + RETENTION_TAGS_PER_STEP_MAX));
      if (!this.#budget.takeStatements(batch.statements.size)) {
        return false;
      }
      const results = await batch.statements.run(this.#deps.database.primary);
      this.#ended += results.rowsOf(batch.ended).length;
    }
    return plan !== null;
  }

  /** What ends tags does what deleting them would do. */
  #compose(repositoryId: number, tags: readonly DoomedTag[]) {
    const { clock, settings } = this.#deps;
    const nowMs = clock.nowMs();
    const ending = {
      repositoryId,
      nowMs,
      enforceImmutability: Number(settings.immutableTags),
      tags: JSON.stringify(
        tags.map(({ tagId, policies: [reason] }) => [tagId, reason?.uuid, reason?.revision]),
      ),
    };
    const statements = new Batch();
    if (settings.cosignCascade) {
      statements.add(cascadeOnRetentionStatement(ending));
    }
    if (settings.resetChildManifestExpiration) {
      statements.add(endChildTagsOnRetentionStatement(ending));
    }
    const ended = statements.add(endRetainedTagsStatement(ending));
    statements.add(raiseTagsGenerationIfWrittenStatement({ repositoryId }));
    statements.add(lowerEndHintStatement({ repositoryId, atMs: nowMs }));
    return { statements, ended };
  }
}
