import { type LocationCache, type LocationCacheOptions, orMiss } from './location-cache.ts';

/** Small answers kept in the location that gave them. Whatever goes wrong is a miss. */
export interface AnswerCache {
  /** What was kept under this key, not checked in any other way; null for a miss. */
  get(key: string): Promise<unknown>;
  /** Keeps an answer for as long as the cache was opened with. */
  put(key: string, answer: unknown): Promise<void>;
  /** Forgets an answer in this location. */
  drop(key: string): Promise<void>;
}

/** The Cache API takes URLs for keys; nothing is ever asked of this host. */
const KEY_ORIGIN = 'https://answers.berth.internal/';

/** An answer as it is kept. It says by which key, so that none is given that is another's. */
interface Kept {
  readonly key: string;
  readonly answer: unknown;
}

function isKept(found: unknown): found is Kept {
  return typeof found === 'object' && found !== null && 'key' in found && 'answer' in found;
}

/** Opens the cache of this location; a lifetime of zero seconds turns it off. */
export function openAnswerCache(cache: LocationCache, options: LocationCacheOptions): AnswerCache {
  return {
    get: (key) =>
      orMiss(options, async () => {
        const kept = await (await cache.match(KEY_ORIGIN + key))?.json<unknown>();
        return isKept(kept) && kept.key === key ? kept.answer : null;
      }),
    async put(key, answer) {
      const headers = { 'Cache-Control': `max-age=${options.ttlSec}` };
      const kept = Response.json({ key, answer } satisfies Kept, { headers });
      await orMiss(options, () => cache.put(KEY_ORIGIN + key, kept));
    },
    async drop(key) {
      await orMiss(options, () => cache.delete(KEY_ORIGIN + key));
    },
  };
}
