import { sql } from 'drizzle-orm';

import type { CountryCode, RegionMode } from '../../model/regions.ts';
import { namespace } from './schema/repositories.ts';
import { namespaceGeoRestriction } from './schema/security.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** The countries that a namespace blocks, in ascending order; none for an unknown namespace. */
export const blockedCountriesStatement = defineStatement<
  { namespace: string },
  { code: string },
  CountryCode
>(
  (p) => sql`
    SELECT restriction.restricted_region_iso_code AS code
    FROM ${namespace} n
      CROSS JOIN ${namespaceGeoRestriction} restriction ON restriction.namespace_id = n.id
    WHERE n.name = ${p.namespace} ORDER BY code`,
  ({ code }) => code as CountryCode,
);

/** Sets what a namespace does about its blocked countries, and says so if there is one. */
export const setRegionModeStatement = defineStatement<
  { namespace: string; mode: RegionMode },
  { mode: string },
  { mode: RegionMode }
>(
  (p) => sql`
    UPDATE ${namespace} SET region_mode = ${p.mode} WHERE name = ${p.namespace}
    RETURNING region_mode AS mode`,
  ({ mode }) => ({ mode: mode as RegionMode }),
);

const namespaceId = (p: Parameters<{ namespace: string }>) =>
  sql`(SELECT n.id FROM ${namespace} n WHERE n.name = ${p.namespace})`;

/** Takes away a namespace's restrictions but those of a JSON list of countries. */
export const deleteOtherRestrictionsStatement = defineStatement<{
  namespace: string;
  countries: string;
}>(
  (p) => sql`
    DELETE FROM ${namespaceGeoRestriction} WHERE namespace_id = ${namespaceId(p)}
      AND restricted_region_iso_code NOT IN (SELECT value FROM json_each(${p.countries}))`,
);

/** Restricts a namespace by each of a JSON list of countries that it does not block yet. */
export const insertRestrictionsStatement = defineStatement<{
  namespace: string;
  countries: string;
  nowMs: number;
}>(
  (p) => sql`
    INSERT INTO ${namespaceGeoRestriction} (namespace_id, restricted_region_iso_code, added_ms)
    SELECT n.id, country.value, ${p.nowMs}
    FROM ${namespace} n CROSS JOIN json_each(${p.countries}) country
    WHERE n.name = ${p.namespace} ON CONFLICT DO NOTHING`,
);
