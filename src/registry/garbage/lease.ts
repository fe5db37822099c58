import { GC_LEASE_MS } from '../../model/limits.ts';
import { releaseGcLeaseStatement, takeGcLeaseStatement } from '../../storage/d1/gc-leases.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/** Keeps runs of one kind of work from doing the same work at once. */
export interface GarbageLeases {
  /**
   * Runs the work while nobody else runs work of this name, and gives its result; null if another
   * run holds the lease. It lapses after {@link GC_LEASE_MS}, so a run that died blocks nobody for
   * long; the work must be right without it.
   */
  withGarbageLease<Result>(
    leaseName: string,
    work: () => Promise<Result>,
  ): Promise<{ readonly result: Result } | null>;
}

export function createGarbageLeases({ database, clock, ids }: RegistryDeps): GarbageLeases {
  return {
    async withGarbageLease(leaseName, work) {
      const lease = { leaseName, token: ids.uuid() };
      const nowMs = clock.nowMs();
      const expiresMs = nowMs + GC_LEASE_MS;
      const taken = await sendAgain(() =>
        database.primary.first(takeGcLeaseStatement({ ...lease, expiresMs, nowMs })),
      );
      if (taken === null) {
        return null;
      }
      const [done] = await Promise.allSettled([work()]);
      const [released] = await Promise.allSettled([
        sendAgain(() => database.primary.all(releaseGcLeaseStatement(lease))),
      ]);
      const failures = [done, released].flatMap((outcome) =>
        outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
      );
      if (done.status === 'rejected' || failures.length > 0) {
        throw failures.length === 1 ? failures[0] : new AggregateError(failures);
      }
      return { result: done.value };
    },
  };
}
