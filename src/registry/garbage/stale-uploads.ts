import {
  STALE_UPLOAD_MS,
  STALE_UPLOADS_PER_RUN_MAX,
  TOMBSTONE_GRACE_MS,
  UPLOAD_LIFETIME_MS_MAX,
} from '../../model/limits.ts';
import {
  buryStaleUploadsStatement,
  deleteStaleUploadsStatement,
  staleUploadsStatement,
} from '../../storage/d1/upload-endings.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/** Gives up uploads that nobody goes on with. */
export interface StaleUploads {
  /**
   * Cancels uploads that are idle since {@link STALE_UPLOAD_MS} or older than
   * {@link UPLOAD_LIFETIME_MS_MAX}, and that no writer holds: {@link STALE_UPLOADS_PER_RUN_MAX} at
   * most. What they have in R2 is buried in the same batch. Gives how many there were.
   */
  expireUploads(): Promise<number>;
}

export function createStaleUploads({ database, clock }: RegistryDeps): StaleUploads {
  return {
    async expireUploads() {
      const nowMs = clock.nowMs();
      const stale = {
        nowMs,
        idleSinceMs: nowMs - STALE_UPLOAD_MS,
        begunBeforeMs: nowMs - UPLOAD_LIFETIME_MS_MAX,
      };
      const found = await database.primary.all(
        staleUploadsStatement({ ...stale, limit: STALE_UPLOADS_PER_RUN_MAX }),
      );
      if (found.length === 0) {
        return 0;
      }
      // A writer may come back to one of them meanwhile: the batch asks again.
      const listed = { ...stale, uploadIds: JSON.stringify(found.map((row) => row.uploadId)) };
      return sendAgain(async (isAgain) => {
        const [, deleted] = await database.primary.batch([
          buryStaleUploadsStatement({ ...listed, dueMs: nowMs + TOMBSTONE_GRACE_MS }),
          deleteStaleUploadsStatement(listed),
        ]);
        // The sending whose answer was lost may have taken them all.
        return isAgain ? found.length : deleted.length;
      });
    },
  };
}
