import { type Clock, type EpochMs, epochMs } from '../../src/model/time.ts';

/** 2026-11-01T00:00:00Z, where every test's clock starts. */
export const START_MS = epochMs(Date.UTC(2026, 10, 1));

/** A clock that moves when told. */
export class TestClock implements Clock {
  #nowMs: EpochMs = START_MS;

  nowMs(): EpochMs {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs = epochMs(this.#nowMs + ms);
  }

  set(nowMs: number): void {
    this.#nowMs = epochMs(nowMs);
  }
}

export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
