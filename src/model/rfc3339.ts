import { z } from 'zod';

import { type EpochMs, epochMs } from './time.ts';

const TIME = z.iso.datetime({ offset: true });
const DATE = z.iso.date();

/** The years that four digits can write, in milliseconds since the epoch. */
const FIRST_MS = Date.parse('0000-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * An RFC 3339 time, or `null`. A date alone is its first moment in UTC; what is finer than a
 * millisecond is cut off. A leap second is no time here: the clock that tags are counted by has
 * none.
 */
export function parseRfc3339(text: string): EpochMs | null {
  // The letters may be small ones (RFC 3339 5.6).
  const upper = text.toUpperCase();
  if (!TIME.safeParse(upper).success && !DATE.safeParse(upper).success) {
    return null;
  }
  const timeMs = Date.parse(upper);
  return isWritable(timeMs) ? epochMs(timeMs) : null;
}

/** The time as RFC 3339 writes it, in UTC; `null` for a year that has not four digits. */
export function formatRfc3339(timeMs: number): string | null {
  return isWritable(timeMs) ? new Date(timeMs).toISOString() : null;
}

/** Whether the year has four digits; an offset can move a time out of them. */
function isWritable(timeMs: number): boolean {
  return timeMs >= FIRST_MS && timeMs <= LAST_MS;
}
