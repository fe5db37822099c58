import { onTestFinished, vi } from 'vitest';

import type { TestClock } from './clock.ts';

/** As much of the Cache API as the registry uses. */
export interface Location {
  match(key: string): Promise<Response | undefined>;
  put(key: string, response: Response): Promise<void>;
  delete(key: string): Promise<boolean>;
}

/** The cache of the location where tests run. */
const here = caches.default;

/**
 * Until the test ends or says otherwise, all that runs finds the cache of its location with these
 * members; the others are those of the real one.
 */
export function stayIn(members: Partial<Location>): void {
  const location: Location = {
    match: (key) => here.match(key),
    put: (key, response) => here.put(key, response),
    delete: (key) => here.delete(key),
    ...members,
  };
  vi.stubGlobal('caches', { default: location });
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
}

/**
 * A location of its own, whose cache keeps what it is given for as long as that says. Its time is
 * the clock's: it forgets when that has passed.
 */
export async function openLocation(name: string, clock: TestClock): Promise<Location> {
  const cache = await caches.open(name);
  const untilMs = new Map<string, number>();
  return {
    match: async (key) => ((untilMs.get(key) ?? 0) > clock.nowMs() ? cache.match(key) : undefined),
    async put(key, response) {
      const [, maxAgeSec = '0'] =
        /max-age=(\d+)/.exec(response.headers.get('Cache-Control') ?? '') ?? [];
      untilMs.set(key, clock.nowMs() + Number(maxAgeSec) * 1000);
      await cache.put(key, response);
    },
    delete: (key) => cache.delete(key),
  };
}
