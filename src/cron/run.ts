import { describeError, log } from '../log.ts';
import type { Usage } from '../model/usage.ts';
import type { Housekeeping } from '../registry/index.ts';
import { type Job, SCHEDULE } from './schedule.ts';

/** What the jobs of one tick have, and what they asked of the stores so far. */
export interface JobScope {
  readonly housekeeping: Housekeeping;
  readonly usage: Readonly<Usage>;
}

/**
 * Runs the jobs of a cron expression one after another, each under a lease of its name unless it
 * needs none, and logs a line for each with its figures, as an error if one of them is an alarm. A
 * job that fails hinders no other. Throws for an expression that the schedule does not know, and
 * after the last job if any failed, so that the platform counts the tick as failed.
 */
export async function runSchedule(cron: string, openScope: () => JobScope): Promise<void> {
  const jobs = SCHEDULE.get(cron);
  if (jobs === undefined) {
    throw new Error(`the schedule has no cron expression '${cron}'`);
  }
  const failures: unknown[] = [];
  for (const job of jobs) {
    const { name } = job;
    const { housekeeping, usage } = openScope();
    const startedMs = Date.now();
    try {
      const work = () => job.run(housekeeping);
      const done =
        job.holdsItsWork === true
          ? { result: await work() }
          : await housekeeping.withGarbageLease(name, work);
      const figures = done === null ? { skipped: true } : done.result;
      const durationMs = Date.now() - startedMs;
      const level = done !== null && isAlarm(job, done.result) ? 'error' : 'info';
      log(level, { event: 'job', job: name, durationMs, ...figures, ...usage });
    } catch (error) {
      failures.push(error);
      log('error', { event: 'job', job: name, error: describeError(error), ...usage });
    }
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, `${failures.length} jobs of '${cron}' failed`);
  }
}

/** Whether one of the figures that should be 0 is not. */
function isAlarm({ alarms = [] }: Job, figures: Readonly<Record<string, number>>): boolean {
  return alarms.some((name) => figures[name] !== 0);
}
