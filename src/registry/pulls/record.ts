import { PULL_HOLD_CHECK_MS } from '../../model/limits.ts';
import type { TagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import { lowerHintToPullHoldStatement } from '../../storage/d1/gc-hints.ts';
import { holdPulledStatement } from '../../storage/d1/pull-holds.ts';
import { insertPullReportStatement } from '../../storage/d1/pulls.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/** What a manifest was pulled by. */
export type PulledBy =
  | { readonly kind: 'tag'; readonly tagName: TagName }
  /** What a tag was at some time; counts for the manifest alone. */
  | { readonly kind: 'past' }
  | { readonly kind: 'digest' };

/** A manifest that was given to a client with its bytes. */
export interface Pull {
  readonly repository: RepositoryRef;
  readonly manifest: { readonly id: number };
  readonly by: PulledBy;
}

/** Remembers that manifests were pulled. */
export interface PullRecorder {
  /**
   * Counts a pull, and has what was pulled by digest held where its namespace wants that. Nothing
   * is asked of a store before the answer is sent. The count is a row now and then; holding is one
   * round trip for a manifest that this isolate did not have held within the last hour.
   */
  recordPull(pull: Pull): void;
}

export function createPullRecorder(deps: RegistryDeps): PullRecorder {
  const { database, clock, defer, sleep, settings, pullTally, pullHolds } = deps;
  const { pullReportIntervalSec } = settings;

  async function report(): Promise<void> {
    const pulls = pullTally.takeReport(clock.nowMs());
    if (pulls !== null) {
      // Not sent again if its answer is lost: it might count twice.
      await database.primary.all(insertPullReportStatement({ pulls }));
    }
  }

  async function hold(manifestId: number, pulledMs: EpochMs): Promise<void> {
    const pulled = { manifestId, pulledMs };
    // Where deleting an index's tag is to let its images go, what such a tag held is not asked.
    const endedCounts = Number(!settings.resetChildManifestExpiration);
    await sendAgain(() =>
      database.primary.batch([
        holdPulledStatement({ ...pulled, endedCounts }),
        lowerHintToPullHoldStatement(pulled),
      ]),
    );
  }

  return {
    recordPull({ repository, manifest, by }) {
      const pulledMs = clock.nowMs();
      if (pullReportIntervalSec > 0) {
        pullTally.add({
          repositoryId: repository.id,
          manifestId: manifest.id,
          tagName: by.kind === 'tag' ? by.tagName : null,
          pulledMs,
        });
        const waitMs = pullTally.promiseReport(pulledMs, pullReportIntervalSec);
        if (waitMs !== null) {
          defer(sleep(waitMs).then(report));
        }
      }
      const key = String(manifest.id);
      const isHolding = by.kind === 'digest' && repository.heldByPullDays > 0;
      if (isHolding && pullHolds.get(key, pulledMs) === null) {
        pullHolds.set(key, true, pulledMs + PULL_HOLD_CHECK_MS);
        defer(
          hold(manifest.id, pulledMs).catch((error: unknown) => {
            pullHolds.drop(key);
            throw error;
          }),
        );
      }
    },
  };
}
