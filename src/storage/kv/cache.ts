import type { Meter } from '../meter.ts';

/** KV refuses shorter lifetimes. */
const TTL_SEC_MIN = 60;
/** KV refuses longer keys. Names that long are not cached. */
const KEY_BYTES_MAX = 512;
/** Larger values are cheaper to load again than to move. */
const VALUE_BYTES_MAX = 1024 * 1024;

/**
 * Values in KV as JSON text. KV is eventually consistent and may forget, so nothing here decides
 * anything: whatever goes wrong is a miss.
 */
export interface Cache {
  /** The value, not checked in any way; null for a miss. */
  get(key: string): Promise<unknown>;
  /** Keeps a value for so many seconds, or does not. */
  put(key: string, value: unknown, options: { readonly ttlSec: number }): Promise<void>;
  /** Reads like {@link get}, but fails when KV does. */
  probe(key: string): Promise<void>;
}

export interface CacheOptions {
  readonly meter: Meter;
  /** Told of what went wrong, since callers are not. */
  readonly onFailure: (error: unknown) => void;
}

/** Opens the cache for one request. */
export function openCache(kv: KVNamespace, { meter, onFailure }: CacheOptions): Cache {
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
      const text = JSON.stringify(value);
      if (!fits(key) || text.length > VALUE_BYTES_MAX) {
        return;
      }
      meter.add('kvWrites');
      try {
        await kv.put(key, text, { expirationTtl: Math.max(ttlSec, TTL_SEC_MIN) });
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
