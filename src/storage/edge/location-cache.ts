/**
 * The Cache API, as far as it is used. What is kept there is seen in one location alone, may be
 * forgotten at any time, and is not stored at all on `*.workers.dev`.
 */
export type LocationCache = Pick<Cache, 'match' | 'put' | 'delete'>;

export interface LocationCacheOptions {
  /** How long things are kept, in seconds; 0: not at all. */
  readonly ttlSec: number;
  /** Told of what went wrong, since callers are not. */
  readonly onFailure: (error: unknown) => void;
}

/** What the cache gives, or null: whatever goes wrong is a miss, and so is everything if it is off. */
export async function orMiss<Result>(
  { ttlSec, onFailure }: LocationCacheOptions,
  ask: () => Promise<Result>,
): Promise<Result | null> {
  try {
    return ttlSec === 0 ? null : await ask();
  } catch (error) {
    onFailure(error);
    return null;
  }
}
