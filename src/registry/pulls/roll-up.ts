import { PULL_REPORT_STEPS_PER_RUN_MAX, PULL_REPORTS_PER_STEP_MAX } from '../../model/limits.ts';
import {
  addManifestPullsStatement,
  addTagPullsStatement,
  deletePullReportsStatement,
} from '../../storage/d1/pulls.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/** Adds up what isolates reported. */
export interface PullRollUp {
  /**
   * Adds the pulls that isolates reported to the statistics of tags and manifests, some reports at
   * a time, {@link PULL_REPORTS_PER_STEP_MAX} * {@link PULL_REPORT_STEPS_PER_RUN_MAX} at most. May
   * run twice at once and may die anywhere: a report goes in the batch that adds it. Gives how many
   * it knows to have added.
   */
  rollUpPulls(): Promise<{ readonly reports: number; readonly isFinished: boolean }>;
}

export function createPullRollUp({ database }: Pick<RegistryDeps, 'database'>): PullRollUp {
  const some = { limit: PULL_REPORTS_PER_STEP_MAX };
  const addSome = async (): Promise<number> => {
    const [, , removed] = await database.primary.batch([
      addTagPullsStatement(some),
      addManifestPullsStatement(some),
      deletePullReportsStatement(some),
    ]);
    return removed.length;
  };
  return {
    async rollUpPulls() {
      let reports = 0;
      for (let step = 0; step < PULL_REPORT_STEPS_PER_RUN_MAX; step += 1) {
        // Sent again it adds what is there then, which is not what an earlier sending added.
        const added = await sendAgain(addSome);
        reports += added;
        if (added < PULL_REPORTS_PER_STEP_MAX) {
          return { reports, isFinished: true };
        }
      }
      return { reports, isFinished: false };
    },
  };
}
