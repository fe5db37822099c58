import { PURGE_BACK_OFF_MS, PURGE_BACK_OFF_MS_MAX } from '../../model/limits.ts';
import type { MarkerStatements } from '../../storage/d1/deletions.ts';
import type { Run } from './steps.ts';

/**
 * What became of something that is marked: all of it is gone, the run's limits were reached while it
 * went, or nothing of it could go.
 */
export type PurgeOutcome = 'gone' | 'stopped' | 'waits';

/** To take a marker up and to give it back. */
const MARKER_STATEMENTS = 2;

/**
 * Purges what is due, the one that has been for longest first; false if the limits were reached
 * before. One that waits, or whose purge throws or dies, is taken up again ever more rarely.
 */
export async function purgeAllDue(
  markers: MarkerStatements,
  purgeOne: (id: number) => Promise<PurgeOutcome>,
  { deps: { database, clock }, budget }: Run,
): Promise<boolean> {
  while (budget.takeRepository() && budget.takeStatements(MARKER_STATEMENTS)) {
    const due = await database.primary.first(
      markers.takeDue({
        nowMs: clock.nowMs(),
        backOffMs: PURGE_BACK_OFF_MS,
        backOffMsMax: PURGE_BACK_OFF_MS_MAX,
        doublingsMax: Math.ceil(Math.log2(PURGE_BACK_OFF_MS_MAX / PURGE_BACK_OFF_MS)),
      }),
    );
    if (due === null) {
      return true;
    }
    const outcome = await purgeOne(due.id);
    if (outcome === 'stopped') {
      await database.primary.all(markers.release({ id: due.id, nowMs: clock.nowMs() }));
      return false;
    }
  }
  return false;
}
