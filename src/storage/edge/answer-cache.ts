/**
 * Small answers kept in the location that gave them, by the Cache API. What is kept there is seen
 * there alone, may be forgotten at any time, and is not stored at all on `*.workers.dev`. Whatever
 * goes wrong is a miss.
 */
export interface AnswerCache {
  /** The answer, not checked in any way; null for a miss. */
  get(key: string): Promise<unknown>;
  /** Keeps an answer for as long as the cache was opened with. */
  put(key: string, answer: unknown): Promise<void>;
  /** Forgets an answer in this location. */
  drop(key: string): Promise<void>;
}

/** A part of {@link Cache} that the runtime and tests give. */
type LocationCache = Pick<Cache, 'match' | 'put' | 'delete'>;

/** The Cache API takes URLs for keys; nothing is ever asked of this host. */
const KEY_ORIGIN = 'https://answers.berth.internal/';

/** Opens the cache of this location; a lifetime of zero seconds turns it off. */
export function openAnswerCache(
  cache: LocationCache,
  { ttlSec, onFailure }: { ttlSec: number; onFailure: (error: unknown) => void },
): AnswerCache {
  const orMiss = async <Result>(ask: () => Promise<Result>): Promise<Result | null> => {
    try {
      return ttlSec === 0 ? null : await ask();
    } catch (error) {
      onFailure(error);
      return null;
    }
  };
  return {
    get: (key) =>
      orMiss(async () => (await cache.match(KEY_ORIGIN + key))?.json<unknown>() ?? null),
    async put(key, answer) {
      const headers = { 'Cache-Control': `max-age=${ttlSec}` };
      await orMiss(() => cache.put(KEY_ORIGIN + key, Response.json(answer, { headers })));
    },
    async drop(key) {
      await orMiss(() => cache.delete(KEY_ORIGIN + key));
    },
  };
}
