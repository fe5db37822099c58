import type { Gate, StoreCall } from './gate.ts';
import type { Outcome, Racer } from './interleave.ts';

/** Where an operation stood still while the world went on. */
export interface Stall<Result> {
  readonly callNumber: number;
  readonly call: StoreCall;
  /** Lets the operation do the call that it stands before, and waits for its end. */
  readonly resume: () => Promise<Outcome<Result>>;
}

/** The operation as it stands before one of its calls; null if it ended before that call. */
export async function stallAt<Result>(
  operation: Racer<Result>,
  callNumber: number,
): Promise<Stall<Result> | null> {
  let calls = 0;
  const { promise: stopped, resolve: goOn } = Promise.withResolvers<void>();
  return new Promise((resolve) => {
    const gate: Gate = async (call, run) => {
      calls += 1;
      if (calls === callNumber) {
        resolve({
          callNumber,
          call,
          resume: async () => {
            goOn();
            return outcome;
          },
        });
        await stopped;
      }
      return run();
    };
    const outcome = Promise.allSettled([operation(gate)]).then(([only]) => {
      resolve(null);
      return only;
    });
  });
}

/**
 * Lets an operation stand still before each of its calls in turn, as a request does whose isolate
 * is slow or whose write is long on its way. `attempt` prepares a fresh world, gives the operation,
 * and what happens while it stands still.
 */
export async function stallEverywhere<Result>(
  attempt: () => Promise<{
    readonly operation: Racer<Result>;
    readonly meanwhile: (stall: Stall<Result>) => Promise<void>;
  }>,
): Promise<number> {
  for (let callNumber = 1; ; callNumber += 1) {
    const { operation, meanwhile } = await attempt();
    const stall = await stallAt(operation, callNumber);
    if (stall === null) {
      return callNumber - 1;
    }
    await meanwhile(stall);
  }
}
