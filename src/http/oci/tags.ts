import type { Context } from 'hono';

import { requireAccess } from '../auth/middleware.ts';
import { requireEnabledNamespaceOf } from '../auth/namespaces.ts';
import type { AppEnv } from '../scope.ts';
import { parsePageSize } from './params.ts';
import { nameUnknown, requireRepository } from './repositories.ts';

/** end-8: the names of a repository's tags, in byte order, a page at a time. */
export async function listTags(c: Context<AppEnv, '/v2/:name/tags/list'>): Promise<Response> {
  const asked = c.req.param('name');
  const name = await requireAccess(c, { name: asked, action: 'pull' });
  const { scope } = c.var;
  const limit = parsePageSize(c.req.query('n'));
  if (limit === 0) {
    await requireRepository(c, name);
    return c.json({ name: asked, tags: [] });
  }
  const lastName = c.req.query('last') ?? null;
  const resolved = await scope.operations.resolveTagPage(name, lastName, limit);
  if (resolved === null) {
    throw nameUnknown(name);
  }
  requireEnabledNamespaceOf(c, resolved.repository);
  const { items, hasMore } = resolved.page;
  const last = items.at(-1);
  if (hasMore && last !== undefined) {
    const next = `/v2/${asked}/tags/list?n=${limit}&last=${encodeURIComponent(last.name)}`;
    c.header('Link', `<${next}>; rel="next"`);
  }
  return c.json({ name: asked, tags: items.map((tag) => tag.name) });
}
