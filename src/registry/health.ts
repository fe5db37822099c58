import type { RegistryDeps } from './deps.ts';

/** Tells whether the stores answer. */
export interface HealthChecks {
  /** For each store, whether it answered a small question just now. */
  checkStores(): Promise<{
    readonly database: boolean;
    readonly storage: boolean;
    readonly cache: boolean;
  }>;
}

/** Never written: its absence is the expected answer. */
const PROBE_KEY = 'v1/health';

export function createHealthChecks({ database, blobStore, cache }: RegistryDeps): HealthChecks {
  return {
    async checkStores() {
      const [asked, stored, kept] = await Promise.allSettled([
        database.ping(),
        blobStore.size(PROBE_KEY),
        cache.probe(PROBE_KEY),
      ]);
      return {
        database: asked.status === 'fulfilled',
        storage: stored.status === 'fulfilled',
        cache: kept.status === 'fulfilled',
      };
    },
  };
}
