import type { Gate, StoreCall } from './gate.ts';
import type { Random } from './random.ts';

/** One of the operations that race: it runs over bindings that pass through the gate. */
export type Racer<Result> = (gate: Gate) => Promise<Result>;

/** How an operation ended. */
export type Outcome<Result> = PromiseSettledResult<Result>;

/** The longest race that is explored whole; a longer one is a mistake in the test. */
const SCHEDULES_MAX = 5000;

/**
 * Runs two operations in every order that their calls to the stores can have: between any two
 * calls of the one, any number of calls of the other. `race` prepares a fresh world for each
 * schedule, gives the operations, and checks the world after both have ended.
 */
export async function interleaveAll<One, Other>(
  race: () => Promise<{
    readonly racers: readonly [Racer<One>, Racer<Other>];
    readonly check: (
      outcomes: readonly [Outcome<One>, Outcome<Other>],
      schedule: string,
    ) => Promise<void>;
  }>,
): Promise<number> {
  let schedule: number[] = [];
  for (let count = 1; count <= SCHEDULES_MAX; count += 1) {
    const { racers, check } = await race();
    const { outcomes, taken } = await runSchedule(racers, schedule);
    await check(outcomes, taken.map((choice) => 'AB'[choice.racer]).join(''));
    const last = taken.findLastIndex(({ racer, hadChoice }) => hadChoice && racer === 0);
    if (last < 0) {
      return count;
    }
    schedule = [...taken.slice(0, last).map(({ racer }) => racer), 1];
  }
  throw new Error(`more than ${SCHEDULES_MAX} schedules`);
}

interface Choice {
  readonly racer: number;
  readonly hadChoice: boolean;
}

/** An operation that stops before each of its calls until it is let on. */
class Runner<Result> {
  readonly outcome: Promise<Outcome<Result>>;
  isDone = false;
  #waiting: (() => Promise<void>)[] = [];
  #changed: () => void = () => undefined;

  constructor(racer: Racer<Result>) {
    const gate: Gate = (_call, run) =>
      new Promise((resolve, reject) => {
        this.#waiting.push(() => run().then(resolve, reject));
        this.#changed();
      });
    this.outcome = Promise.allSettled([racer(gate)]).then(([outcome]) => {
      this.isDone = true;
      this.#changed();
      return outcome;
    });
  }

  /** Waits until the operation stands before a call, or has ended. */
  async settle(): Promise<void> {
    while (!this.isDone && this.#waiting.length === 0) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Lets the operation do the call that it stands before. */
  async step(): Promise<void> {
    await this.#waiting.shift()?.();
    // What follows the call without another one, such as an answer being read, takes turns too.
    await new Promise((resolve) => setTimeout(resolve, 0));
    await this.settle();
  }
}

async function runSchedule<One, Other>(
  racers: readonly [Racer<One>, Racer<Other>],
  schedule: readonly number[],
): Promise<{ outcomes: readonly [Outcome<One>, Outcome<Other>]; taken: readonly Choice[] }> {
  const one = new Runner(racers[0]);
  const other = new Runner(racers[1]);
  const taken: Choice[] = [];
  await Promise.all([one.settle(), other.settle()]);
  while (!one.isDone || !other.isDone) {
    const hadChoice = !one.isDone && !other.isDone;
    const racer = hadChoice ? (schedule[taken.length] ?? 0) : one.isDone ? 1 : 0;
    taken.push({ racer, hadChoice });
    await (racer === 0 ? one : other).step();
  }
  return { outcomes: [await one.outcome, await other.outcome], taken };
}

/**
 * Runs operations at once, in one of the orders that their calls can have; the seed decides which.
 * One that has a number in `stopsAfter` is stopped for good after so many calls, as an isolate that
 * dies is, and has no outcome.
 */
export async function interleaveAtRandom(
  racers: readonly Racer<unknown>[],
  { random, stopsAfter }: { random: Random; stopsAfter: readonly (number | null)[] },
): Promise<readonly (Outcome<unknown> | null)[]> {
  const runners = racers.map((racer, at) => ({
    runner: new Runner(racer),
    callsLeft: stopsAfter[at] ?? Number.POSITIVE_INFINITY,
  }));
  for (;;) {
    for (const { runner } of runners) {
      await runner.settle();
    }
    const next = random.oneOf(
      runners.filter(({ runner, callsLeft }) => !runner.isDone && callsLeft > 0),
    );
    if (next === null) {
      return Promise.all(
        runners.map(async ({ runner }) => (runner.isDone ? runner.outcome : null)),
      );
    }
    next.callsLeft -= 1;
    await next.runner.step();
  }
}

/** Where an operation was stopped for good. */
export interface CrashPoint {
  readonly callNumber: number;
  readonly call: StoreCall;
  /** Whether the store did what the call asked before the world stopped. */
  readonly when: 'before' | 'after';
}

/**
 * Runs an operation again and again and stops the world before and after each of its calls to the
 * stores, as an isolate that dies does: nothing more of it runs. `attempt` prepares a fresh world
 * and gives the operation, and the check of what is left, which may restart it. Of an operation that
 * makes its calls one after the other it is enough to stop before the first, and after each.
 */
export async function crashEverywhere(
  attempt: () => Promise<{
    readonly operation: Racer<unknown>;
    readonly check: (point: CrashPoint) => Promise<void>;
  }>,
  { oneAfterTheOther = false } = {},
): Promise<readonly CrashPoint[]> {
  const points: CrashPoint[] = [];
  for (let callNumber = 1; ; callNumber += 1) {
    const both = ['before', 'after'] as const;
    for (const when of oneAfterTheOther && callNumber > 1 ? both.slice(1) : both) {
      const { operation, check } = await attempt();
      const point = await runUntil(operation, { callNumber, when });
      if (point === null) {
        return points;
      }
      points.push(point);
      await check(point);
    }
  }
}

/** The point at which the operation was stopped; null if it ended before. */
async function runUntil(
  operation: Racer<unknown>,
  { callNumber, when }: { callNumber: number; when: 'before' | 'after' },
): Promise<CrashPoint | null> {
  let calls = 0;
  const never = new Promise<never>(() => undefined);
  return new Promise((resolve, reject) => {
    const gate: Gate = async (call, run) => {
      calls += 1;
      if (calls > callNumber) {
        return never;
      }
      if (calls < callNumber) {
        return run();
      }
      if (when === 'after') {
        await run();
      }
      resolve({ callNumber, call, when });
      return never;
    };
    operation(gate).then(() => resolve(null), reject);
  });
}
