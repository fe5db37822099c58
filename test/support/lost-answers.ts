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
