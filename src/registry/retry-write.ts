import { RegistryError } from '../model/errors.ts';
import { WRITE_ATTEMPTS_MAX } from '../model/limits.ts';
import {
  AnswerLost,
  AssertionFailed,
  ForeignKeyViolation,
  UniqueViolation,
} from '../storage/d1/errors.ts';

/** What an attempt throws that found its grounds changed after its batch was refused. */
export class LostRace extends Error {
  constructor(cause: unknown) {
    super('what the write was decided by has changed', { cause });
    this.name = 'LostRace';
  }
}

/** What an attempt of a write knows about the ones before it. */
export interface Attempt {
  /** Whether the answer to an earlier attempt was lost, so that it may have been committed. */
  readonly answerLost: boolean;
}

/**
 * Runs a write that reads, decides, and asserts in its batch what it decided by. An attempt that
 * lost a race, or whose answer was lost, begins again at its reads, which then say what became of
 * it. D1 never sends a write twice by itself.
 *
 * Errors: Conflict after {@link WRITE_ATTEMPTS_MAX} lost races; `AnswerLost` if the last answer
 * was lost; whatever else an attempt throws, at once.
 */
export async function retryWrite<Result>(
  attempt: (attempt: Attempt) => Promise<Result>,
): Promise<Result> {
  let answerLost = false;
  let lastFailure: unknown = null;
  for (let count = 0; count < WRITE_ATTEMPTS_MAX; count += 1) {
    try {
      return await attempt({ answerLost });
    } catch (error) {
      if (!isLostRace(error) && !(error instanceof AnswerLost)) {
        throw error;
      }
      answerLost ||= error instanceof AnswerLost;
      lastFailure = error;
    }
  }
  if (lastFailure instanceof AnswerLost) {
    throw lastFailure;
  }
  throw new RegistryError('Conflict', { attempts: WRITE_ATTEMPTS_MAX });
}

/**
 * What was read does not hold any more. Blobs and children that went away count too: the next
 * attempt's reads tell which of them it was.
 */
function isLostRace(error: unknown): boolean {
  return (
    error instanceof LostRace ||
    error instanceof UniqueViolation ||
    error instanceof ForeignKeyViolation ||
    (error instanceof AssertionFailed &&
      (error.assertion === 'retry' ||
        error.assertion === 'blob_unknown' ||
        error.assertion === 'child_gone'))
  );
}
