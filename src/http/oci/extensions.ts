import type { Context } from 'hono';

import { requireAccess, requireCredentials } from '../auth/access.ts';
import type { AppEnv } from '../scope.ts';
import { requireRepository } from './repositories.ts';

/** The distribution-spec's extensions of the whole registry: there are none. */
export async function discoverExtensions(c: Context<AppEnv>): Promise<Response> {
  await requireCredentials(c);
  return c.json({ extensions: [] });
}

/** The same of one repository. */
export async function discoverRepositoryExtensions(
  c: Context<AppEnv, '/v2/:name/_oci/ext/discover'>,
): Promise<Response> {
  const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'pull' });
  await requireRepository(c, name);
  return c.json({ extensions: [] });
}
