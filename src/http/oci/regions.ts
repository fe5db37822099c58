import type { Context } from 'hono';

import { log } from '../../log.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { countryOf } from '../request-source.ts';
import type { AppEnv } from '../scope.ts';
import { denied } from './errors.ts';

/**
 * Refuses with 403 `DENIED` to send content to a country that the repository's namespace blocks;
 * where the namespace only observes, the log says what would have been refused. A HEAD gets no
 * content and a push brings it, so both pass; so does who comes from nowhere known, and everybody
 * where the list cannot be loaded. Where the namespace has no rules nothing is asked.
 */
export async function requireServedRegion(
  c: Context<AppEnv>,
  { namespaceName, name, regionMode }: RepositoryRef,
): Promise<void> {
  const country = countryOf(c.req.raw);
  if (regionMode === 'off' || c.req.method === 'HEAD' || country === null) {
    return;
  }
  const { scope, requestId } = c.var;
  const blocked = await scope.registry.getCachedNamespaceRegionBlacklist(namespaceName);
  if (blocked === null || !blocked.has(country)) {
    return;
  }
  const isRefused = regionMode === 'enforce';
  const repository = `${namespaceName}/${name}`;
  log('info', { event: 'region-blocked', requestId, repository, country, isRefused });
  if (isRefused) {
    throw denied(403, {
      message: `'${namespaceName}' is not served in this country (${country})`,
      detail: { reason: 'REGION_BLOCKED', country },
    });
  }
}
