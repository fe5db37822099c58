import type { Brand } from './brand.ts';

/** Milliseconds since the Unix epoch, UTC. What the tables and the domain count in. */
export type EpochMs = Brand<number, 'EpochMs'>;
/** Whole seconds since the Unix epoch, UTC. What callers of the interface are shown. */
export type EpochSeconds = Brand<number, 'EpochSeconds'>;

/** Where "now" comes from. An operation reads it once and uses that value throughout. */
export interface Clock {
  nowMs(): EpochMs;
}

export const MS_PER_SECOND = 1000;
export const MS_PER_DAY = 86_400_000;

/** The number as a time; a programmer's error if it is no safe non-negative integer. */
export function epochMs(value: number): EpochMs {
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`not a time in milliseconds: ${value}`);
  }
  return value as EpochMs;
}

/** The second that a moment lies in. */
export function toEpochSeconds(timeMs: EpochMs): EpochSeconds {
  return Math.floor(timeMs / MS_PER_SECOND) as EpochSeconds;
}

/** The moment so many seconds after another. */
export function addSeconds(timeMs: EpochMs, seconds: number): EpochMs {
  return epochMs(timeMs + seconds * MS_PER_SECOND);
}
