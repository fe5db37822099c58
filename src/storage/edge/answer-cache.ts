import { type LocationCache, type LocationCacheOptions, orMiss } from './location-cache.ts';

/** Small answers kept in the location that gave them. Whatever goes wrong is a miss. */
export interface AnswerCache {
  /** The answer, not checked in any way; null for a miss. */
  get(key: string): Promise<unknown>;
  /** Keeps an answer for as long as the cache was opened with. */
  put(key: string, answer: unknown): Promise<void>;
  /** Forgets an answer in this location. */
  drop(key: string): Promise<void>;
}

/** The Cache API takes URLs for keys; nothing is ever asked of this host. */
const KEY_ORIGIN = 'https://answers.berth.internal/';

/** Opens the cache of this location; a lifetime of zero seconds turns it off. */
export function openAnswerCache(cache: LocationCache, options: LocationCacheOptions): AnswerCache {
  return {
    get: (key) =>
      orMiss(options, async () => (await cache.match(KEY_ORIGIN + key))?.json<unknown>() ?? null),
    async put(key, answer) {
      const headers = { 'Cache-Control': `max-age=${options.ttlSec}` };
      await orMiss(options, () => cache.put(KEY_ORIGIN + key, Response.json(answer, { headers })));
    },
    async drop(key) {
      await orMiss(options, () => cache.delete(KEY_ORIGIN + key));
    },
  };
}
