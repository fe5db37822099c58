import { z } from 'zod';

import type { CountryCode, RegionRules } from '../model/regions.ts';
import { namespaceStatement } from '../storage/d1/namespaces.ts';
import {
  blockedCountriesStatement,
  deleteOtherRestrictionsStatement,
  insertRestrictionsStatement,
  setRegionModeStatement,
} from '../storage/d1/regions.ts';
import { REGIONS_TTL_SEC, regionsKey } from '../storage/kv/keys.ts';
import type { RegistryDeps } from './deps.ts';
import type { CachedReads } from './interface.ts';
import { retrieve } from './model-cache.ts';
import { isPossibleName } from './namespaces.ts';
import { sendAgain } from './send-again.ts';

const countryCodes = z.array(z.string().transform((code) => code as CountryCode));

/** Tells which countries a namespace does not serve. */
export function createCachedRegions(
  deps: RegistryDeps,
): Pick<CachedReads, 'getCachedNamespaceRegionBlacklist'> {
  const { database, regionMemory, report } = deps;
  return {
    async getCachedNamespaceRegionBlacklist(namespace) {
      if (!isPossibleName(namespace)) {
        return new Set();
      }
      try {
        // Kept for minutes and for everybody, so it must not be old already when it is read.
        const codes = await retrieve(
          { key: regionsKey(namespace), ttlSec: REGIONS_TTL_SEC, shape: countryCodes },
          () => database.primary.all(blockedCountriesStatement({ namespace })),
          deps,
          { memory: regionMemory },
        );
        return new Set(codes);
      } catch (error) {
        // A list that cannot be loaded blocks nobody, whatever the reason.
        report(error);
        return null;
      }
    },
  };
}

/** Says and sets where namespaces are not served. */
export interface RegionRulesWrites {
  /** The rules of a namespace as they are now; null: no such namespace. One round trip. */
  readRegionRules(namespaceName: string): Promise<RegionRules | null>;
  /**
   * Replaces the rules of a namespace, mode and countries together, and gives them as they are now;
   * null: no such namespace. Whoever has read the old countries may go by them for 240 s.
   */
  replaceRegionRules(namespaceName: string, rules: RegionRules): Promise<RegionRules | null>;
}

export function createRegionRulesWrites({
  database,
  clock,
  cache,
  regionMemory,
  defer,
}: RegistryDeps): RegionRulesWrites {
  return {
    async readRegionRules(namespace) {
      const [[found], blocked] = await database.primary.batch([
        namespaceStatement({ namespace }),
        blockedCountriesStatement({ namespace }),
      ]);
      return found === undefined ? null : { mode: found.regionMode, blocked };
    },

    async replaceRegionRules(namespace, { mode, blocked }) {
      const countries = JSON.stringify([...new Set(blocked)]);
      const nowMs = clock.nowMs();
      const [changed, , , now] = await sendAgain(() =>
        database.primary.batch([
          setRegionModeStatement({ namespace, mode }),
          deleteOtherRestrictionsStatement({ namespace, countries }),
          insertRestrictionsStatement({ namespace, countries, nowMs }),
          blockedCountriesStatement({ namespace }),
        ]),
      );
      const key = regionsKey(namespace);
      regionMemory.drop(key);
      defer(cache.drop(key));
      const [stored] = changed;
      return stored === undefined ? null : { mode: stored.mode, blocked: now };
    },
  };
}
