import type { Context } from 'hono';

import { formatRepositoryName } from '../../model/names.ts';
import { requireCredentials, whichMayPull } from '../auth/access.ts';
import type { AppEnv } from '../scope.ts';
import { parsePageSize } from './params.ts';

/**
 * The names of the repositories that the caller may pull from, in byte order, a page at a time. A
 * page may have fewer names than were asked for, even none, and a next page all the same.
 */
export async function listRepositories(c: Context<AppEnv>): Promise<Response> {
  if (c.var.actor.kind !== 'anonymous' || !c.var.scope.settings.publicCatalog) {
    await requireCredentials(c);
  }
  const limit = parsePageSize(c.req.query('n'));
  if (limit === 0) {
    return c.json({ repositories: [] });
  }
  const lastName = c.req.query('last')?.trim() ?? '';
  const { items, hasMore } = await c.var.scope.operations.listRepositories(lastName, limit);
  const visible = items.length === 0 ? [] : await whichMayPull(c, items);
  const last = items.at(-1);
  if (hasMore && last !== undefined) {
    const after = encodeURIComponent(formatRepositoryName(last));
    c.header('Link', `</v2/_catalog?n=${limit}&last=${after}>; rel="next"`);
  }
  return c.json({ repositories: visible.map(formatRepositoryName) });
}
