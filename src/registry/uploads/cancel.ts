import { TOMBSTONE_GRACE_MS } from '../../model/limits.ts';
import {
  buryCancelledUploadStatement,
  deleteCancelledUploadStatement,
} from '../../storage/d1/upload-endings.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';

/**
 * Gives an upload up, whoever holds it or only while this claim does; false if it was not there.
 * Whatever it has in R2 is buried in the same batch, and deleted once no late write can land.
 */
export async function cancelUpload(
  upload: { readonly uploadId: string; readonly onlyClaim: string | null },
  { database, clock }: Pick<RegistryDeps, 'database' | 'clock'>,
): Promise<boolean> {
  const nowMs = clock.nowMs();
  const dueMs = nowMs + TOMBSTONE_GRACE_MS;
  return sendAgain(async (isAgain) => {
    const [, deleted] = await database.primary.batch([
      buryCancelledUploadStatement({ ...upload, dueMs, nowMs }),
      deleteCancelledUploadStatement(upload),
    ]);
    return deleted.length > 0 || isAgain;
  });
}
