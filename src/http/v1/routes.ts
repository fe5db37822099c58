import { type Context, Hono } from 'hono';

import { requireAccess } from '../auth/access.ts';
import { OciError } from '../oci/errors.ts';
import { requireRepository } from '../oci/repositories.ts';
import { inRepository } from '../oci/routes.ts';
import type { AppEnv } from '../scope.ts';

/**
 * What is offered of Docker's first registry API, to be mounted at `/v1`: which image each tag of a
 * repository names. There is no ping, so no client takes this for a registry of that kind. Access is
 * that of a pull; a refusal is `{"error": …}`, as clients of that API read it.
 *
 * A path is read from its right end, as under `/v2`; `a/tags/tags` lists the tags of `a/tags`.
 */
export function legacyRoutes(): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  app.get(`/repositories${inRepository('/tags')}`, listLegacyTags);
  app.get(`/repositories${inRepository('/tags/:tag')}`, getLegacyTag);
  return app;
}

/** The image ids of all tags, by the tags' names. */
async function listLegacyTags(
  c: Context<AppEnv, '/v1/repositories/:name/tags'>,
): Promise<Response> {
  const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'pull' });
  const repository = await requireRepository(c, name);
  const ids = await c.var.scope.registry.getLegacyTagsMap(repository);
  return c.json(Object.fromEntries(ids));
}

/** The image id of a tag, as a JSON string. */
async function getLegacyTag(
  c: Context<AppEnv, '/v1/repositories/:name/tags/:tag'>,
): Promise<Response> {
  const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'pull' });
  const repository = await requireRepository(c, name);
  const tagName = c.req.param('tag');
  const id = await c.var.scope.registry.getTagLegacyImageId(repository, tagName);
  if (id === null) {
    throw new OciError(404, {
      code: 'MANIFEST_UNKNOWN',
      message: `tag '${tagName}' not found, or its image has no Docker v1 form`,
    });
  }
  return c.json(id);
}
