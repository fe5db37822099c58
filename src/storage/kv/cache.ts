import { encodeUtf8 } from '../../model/bytes.ts';
import type { Clock } from '../../model/time.ts';
import type { IsolateMemory } from '../isolate-memory.ts';
import type { Meter } from '../meter.ts';

/** KV refuses shorter lifetimes. */
const TTL_SEC_MIN = 60;
/** KV refuses longer keys. Names that long are not cached. */
const KEY_BYTES_MAX = 512;
/** Larger values are cheaper to load again than to move. */
const VALUE_BYTES_MAX = 1024 * 1024;
/** KV refuses a second write to a key within a second. */
const WRITE_INTERVAL_MS = 1000;

/**
 * Values in KV as JSON text. KV is eventually consistent and may forget, so nothing here decides
 * anything: whatever goes wrong is a miss.
 */
export interface Cache {
  /** The value, not checked in any way; null for a miss. */
  get(key: string): Promise<unknown>;
  /** Keeps a value for so many seconds, or does not: a key is written once a second at most. */
  put(key: string, value: unknown, options: { readonly ttlSec: number }): Promise<void>;
  /** Forgets a value, sooner or later. */
  drop(key: string): Promise<void>;
  /** Reads like {@link get}, but fails when KV does. */
  probe(key: string): Promise<void>;
}

export interface CacheOptions {
  readonly meter: Meter;
  readonly clock: Clock;
  /** Which keys were written by this isolate within the last second. */
  readonly recentWrites: IsolateMemory<true>;
  /** Told of what went wrong, since callers are not. */
  readonly onFailure: (error: unknown) => void;
}

/** Opens the cache for one request. */
export function openCache(kv: KVNamespace, options: CacheOptions): Cache {
  const { meter, clock, recentWrites, onFailure } = options;
  return {
    async get(key) {
      if (!fits(key)) {
        return null;
      }
      meter.add('kvReads');
      try {
        return await kv.get(key, 'json');
      } catch (error) {
        onFailure(error);
        return null;
      }
    },
    async put(key, value, { ttlSec }) {
      const bytes = encodeUtf8(JSON.stringify(value));
      const nowMs = clock.nowMs();
      const isRecent = recentWrites.get(key, nowMs) !== null;
      if (!fits(key) || bytes.byteLength > VALUE_BYTES_MAX || isRecent) {
        return;
      }
      recentWrites.set(key, true, nowMs + WRITE_INTERVAL_MS);
      meter.add('kvWrites');
      try {
        await kv.put(key, bytes, { expirationTtl: Math.max(ttlSec, TTL_SEC_MIN) });
      } catch (error) {
        if (!isTooOften(error)) {
          onFailure(error);
        }
      }
    },
    async drop(key) {
      if (!fits(key)) {
        return;
      }
      meter.add('kvWrites');
      try {
        await kv.delete(key);
      } catch (error) {
        onFailure(error);
      }
    },
    async probe(key) {
      meter.add('kvReads');
      await kv.get(key);
    },
  };
}

/** All keys are ASCII, so their length is their number of bytes. */
function fits(key: string): boolean {
  return key.length <= KEY_BYTES_MAX;
}

/** Another isolate wrote the key within the second, and so something as good. */
function isTooOften(error: unknown): boolean {
  return error instanceof Error && /\b429\b/.test(error.message);
}
