import type { Clock } from '../../model/time.ts';

/** What one run of the collector may use. */
export interface GarbageLimits {
  /** Statements to D1. */
  readonly statements: number;
  /** Repositories that it begins with. */
  readonly repositories: number;
  readonly durationMs: number;
}

/**
 * What is left of a run's limits. Asked before every step: everything is resumable, so a run stops
 * wherever they end.
 */
export class GarbageBudget {
  readonly #clock: Clock;
  readonly #untilMs: number;
  #statements: number;
  #repositories: number;

  constructor({ statements, repositories, durationMs }: GarbageLimits, clock: Clock) {
    this.#clock = clock;
    this.#untilMs = clock.nowMs() + durationMs;
    this.#statements = statements;
    this.#repositories = repositories;
  }

  /** Takes so many statements; false, and nothing taken, if they or the time are not left. */
  takeStatements(count: number): boolean {
    if (this.#statements < count || this.#clock.nowMs() >= this.#untilMs) {
      return false;
    }
    this.#statements -= count;
    return true;
  }

  /** Takes a repository; false if none is left. */
  takeRepository(): boolean {
    this.#repositories -= 1;
    return this.#repositories >= 0;
  }
}
