import { env } from 'cloudflare:workers';

import { type Gate, gated, type StoreCall } from './gate.ts';
import { isolateBeside } from './isolate.ts';

/** Which call of an operation to a store fails, and how. */
export interface Fault {
  readonly store: StoreCall['store'];
  /** Of those to the store, from one on. */
  readonly callNumber: number;
  /** Whether the store does not do what it was asked, or does, and only its answer is lost. */
  readonly when: 'before' | 'after';
  /** Whether all later calls to the store fail as well. */
  readonly lasting?: boolean;
}

/** What the stores say when they fail for a reason that passes. */
const MESSAGES: Readonly<Record<StoreCall['store'], readonly string[]>> = {
  d1: [
    'D1_ERROR: Network connection lost.',
    'D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.',
    'D1_ERROR: internal error',
  ],
  r2: [
    'put: We encountered an internal error. Please try again. (10001)',
    'get: Reduce your concurrent request rate for the same object. (10058)',
    'Network connection lost.',
  ],
};

/** A gate that fails as the fault says; by turns with each of the messages that its store has. */
export function failing({ store, callNumber, when, lasting = false }: Fault): {
  readonly gate: Gate;
  /** The call that failed first; null: the operation made fewer. */
  readonly failedCall: () => StoreCall | null;
} {
  const messages = MESSAGES[store];
  let calls = 0;
  let failed: StoreCall | null = null;
  const gate: Gate = async (call, run) => {
    calls += call.store === store ? 1 : 0;
    if (call.store !== store || calls < callNumber || (calls > callNumber && !lasting)) {
      return run();
    }
    failed ??= call;
    if (when === 'after') {
      await run();
    }
    throw new Error(messages[calls % messages.length]);
  };
  return { gate, failedCall: () => failed };
}

const OPEN: Gate = (_call, run) => run();

/** An isolate whose calls to the stores go through a gate that the test sets, again and again. */
export async function gatedIsolate(settings: Readonly<Record<string, unknown>> = {}) {
  let current = OPEN;
  const bindings = gated(env, (call, run) => current(call, run));
  const ask = await isolateBeside({ ...bindings, ...settings });
  return {
    ask,
    /** Sends requests while the gate stands; what they do behind their answers passes it too. */
    behind: async <Result>(gate: Gate, run: () => Promise<Result>): Promise<Result> => {
      current = gate;
      try {
        return await run();
      } finally {
        current = OPEN;
      }
    },
  };
}

export type GatedIsolate = Awaited<ReturnType<typeof gatedIsolate>>;
