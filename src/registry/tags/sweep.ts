import { ENDED_TAG_GRACE_MS, ENDED_TAGS_PER_SWEEP } from '../../model/limits.ts';
import { freeEndedSlotsStatement } from '../../storage/d1/tag-lifetimes.ts';
import type { RegistryDeps } from '../deps.ts';

/** Tidies up after tags that ended by themselves. */
export interface TagSweep {
  /**
   * Frees the slots of up to `limit` tags whose end is more than a minute past, the first to end
   * first, and gives how many they were. A clock that is less than a minute behind sees them dead
   * already, so no answer changes; a run whose answer was lost is made up for by the next one.
   */
  sweepEndedTags(options?: { readonly limit?: number }): Promise<number>;
}

export function createTagSweep({ database, clock }: RegistryDeps): TagSweep {
  return {
    async sweepEndedTags({ limit = ENDED_TAGS_PER_SWEEP } = {}) {
      const endedBeforeMs = clock.nowMs() - ENDED_TAG_GRACE_MS;
      const freed = await database.primary.all(freeEndedSlotsStatement({ endedBeforeMs, limit }));
      return freed.length;
    },
  };
}
