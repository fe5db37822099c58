import type { TagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { insertPullReportStatement } from '../../storage/d1/pulls.ts';
import type { RegistryDeps } from '../deps.ts';

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
   * Counts a pull. Nothing is asked of a store before the answer is sent, and behind it a row is
   * written now and then.
   */
  recordPull(pull: Pull): void;
}

export function createPullRecorder(deps: RegistryDeps): PullRecorder {
  const { database, clock, defer, sleep, settings, pullTally } = deps;
  const { pullReportIntervalSec } = settings;

  async function report(): Promise<void> {
    const pulls = pullTally.takeReport(clock.nowMs());
    if (pulls !== null) {
      // Not sent again if its answer is lost: it might count twice.
      await database.primary.all(insertPullReportStatement({ pulls }));
    }
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
    },
  };
}
