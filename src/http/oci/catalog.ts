import type { Context } from 'hono';

import { formatRepositoryName } from '../../model/names.ts';
import { mayPull, requireCredentials } from '../auth/middleware.ts';
import type { AppEnv } from '../scope.ts';
import { parsePageSize } from './params.ts';

/**
 * The names of the repositories that the caller may pull from, in byte order, a page at a time. A
 * page may have fewer names than were asked for, even none, and a next page all the same.
 */
export async function listRepositories(c: Context<AppEnv>): Promise<Response> {
  requireCredentials(c);
  const limit = parsePageSize(c.req.query('n'));
  if (limit === 0) {
    return c.json({ repositories: [] });
  }
  const lastName = c.req.query('last')?.trim() ?? '';
  const { items, hasMore } = await c.var.scope.operations.listRepositories(lastName, limit);
  const allowed = await Promise.all(items.map((name) => mayPull(c, name)));
  const last = items.at(-1);
  if (hasMore && last !== undefined) {
    const after = encodeURIComponent(formatRepositoryName(last));
    c.header('Link', `</v2/_catalog?n=${limit}&last=${after}>; rel="next"`);
  }
  return c.json({
    repositories: items.filter((_, index) => allowed[index]).map(formatRepositoryName),
  });
}
