import { AnswerLost } from '../../src/storage/d1/errors.ts';
import type { Gate } from './gate.ts';

/** What becomes of one call to D1: its answer arrives, or is lost after or before the database
 * did what the call asked. */
export type Fate = 'answered' | 'committed, then lost' | 'lost before';

const FATES: readonly Fate[] = ['answered', 'committed, then lost', 'lost before'];

/** Every sequence of so many fates. */
export function allFates(length: number): readonly (readonly Fate[])[] {
  return length === 0
    ? [[]]
    : allFates(length - 1).flatMap((head) => FATES.map((fate) => [...head, fate]));
}

/**
 * For an operation whose attempts read and then write: all that one attempt and the reads of the
 * next may meet, and all that the writes of two may.
 */
export const FATES_OF_READ_AND_WRITE: readonly (readonly Fate[])[] = [
  ...allFates(3),
  ...allFates(2).map((writes) => writes.flatMap((fate) => ['answered', fate] as const)),
];

export interface LossyGate {
  readonly gate: Gate;
  /** How many answers were lost so far. */
  readonly losses: () => number;
}

/** The first calls to D1 meet these fates, the later ones are answered, or meet `rest`. */
export function losing(fates: readonly Fate[], rest: Fate = 'answered'): LossyGate {
  let calls = 0;
  let losses = 0;
  return {
    gate: async (call, run) => {
      if (call.store !== 'd1') {
        return run();
      }
      const fate = fates[calls] ?? rest;
      calls += 1;
      if (fate === 'answered') {
        return run();
      }
      losses += 1;
      if (fate === 'committed, then lost') {
        await run();
      }
      throw new Error('D1_ERROR: Network connection lost.');
    },
    losses: () => losses,
  };
}

/** What a write came to: what it gave, or that so many of its answers were lost. */
type Ending<Result> = { readonly given: Result } | { readonly losses: number };

export async function endingOf<Result>(
  write: Promise<Result>,
  losses: () => number,
): Promise<Ending<Result>> {
  try {
    return { given: await write };
  } catch (error) {
    if (error instanceof AnswerLost) {
      return { losses: losses() };
    }
    throw error;
  }
}
