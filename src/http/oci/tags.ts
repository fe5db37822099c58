import type { Context } from 'hono';

import type { Page, ShallowTag } from '../../model/datatypes.ts';
import { readWithAccess } from '../auth/access.ts';
import { requireEnabledNamespaceOf } from '../auth/namespaces.ts';
import type { AppEnv } from '../scope.ts';
import { parsePageSize } from './params.ts';
import { nameUnknown, requireRepository } from './repositories.ts';

const NO_TAGS: Page<ShallowTag> = { items: [], hasMore: false };

/** end-8: the names of a repository's tags, in byte order, a page at a time. */
export async function listTags(c: Context<AppEnv, '/v2/:name/tags/list'>): Promise<Response> {
  const asked = c.req.param('name');
  const limit = parsePageSize(c.req.query('n'));
  const lastName = c.req.query('last') ?? null;
  const { name, resolved } = await readWithAccess(
    c,
    { name: asked, action: 'pull' },
    async (readable) => ({
      name: readable,
      resolved:
        limit === 0
          ? { repository: await requireRepository(c, readable), page: NO_TAGS }
          : await c.var.scope.operations.resolveTagPage(readable, lastName, limit),
    }),
  );
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
