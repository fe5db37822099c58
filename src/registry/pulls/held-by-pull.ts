import { RegistryError } from '../../model/errors.ts';
import { HELD_BY_PULL_DAYS_MAX } from '../../model/limits.ts';
import { setHeldByPullDaysStatement } from '../../storage/d1/pull-holds.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/** Sets whether namespaces keep what is pulled. */
export interface HeldByPullWrites {
  /**
   * Sets for how many days a namespace keeps what is pulled by digest, 0 to
   * {@link HELD_BY_PULL_DAYS_MAX}; 0 turns it off, as it is by default. Gives the days as they are
   * now; null: no such namespace. What is held already stays so until the date that it has; pulls
   * from then on go by the new number, those that a location answers by itself a minute later.
   * Errors: HeldByPullDaysOutOfRange.
   */
  changeHeldByPullDays(namespaceName: string, days: number): Promise<number | null>;
}

export function createHeldByPullWrites({
  database,
}: Pick<RegistryDeps, 'database'>): HeldByPullWrites {
  return {
    async changeHeldByPullDays(namespace, days) {
      if (!Number.isInteger(days) || days < 0 || days > HELD_BY_PULL_DAYS_MAX) {
        throw new RegistryError('HeldByPullDaysOutOfRange', { days });
      }
      const set = setHeldByPullDaysStatement({ namespace, days });
      const changed = await sendAgain(() => database.primary.first(set));
      return changed && changed.days;
    },
  };
}
