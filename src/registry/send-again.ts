import { WRITE_ATTEMPTS_MAX } from '../model/limits.ts';
import { AnswerLost } from '../storage/d1/errors.ts';

/**
 * Sends a batch, and the very same batch again if its answer was lost. Only for batches that
 * recognize their own work: `isAgain` tells the reader of the answer that this may be the case.
 */
export async function sendAgain<Result>(
  send: (isAgain: boolean) => Promise<Result>,
): Promise<Result> {
  for (let count = 1; ; count += 1) {
    try {
      return await send(count > 1);
    } catch (error) {
      if (!(error instanceof AnswerLost) || count === WRITE_ATTEMPTS_MAX) {
        throw error;
      }
    }
  }
}
