import type { MiddlewareHandler } from 'hono';

import { ANONYMOUS, type Actor, REFUSED } from './actor.ts';
import { requestOrigin } from './challenge.ts';
import { identify, parseAuthorization, requireAdminPassword } from './credentials.ts';
import type { AuthDeps } from './dependencies.ts';
import { requireSigningKeys } from './signing-key.ts';
import { verifyToken } from './token.ts';

/** What {@link authentication} puts on the context. */
export interface AuthVariables {
  actor: Actor;
}
export interface AuthEnv {
  Variables: AuthVariables;
}

/**
 * Middleware that finds out whom a request comes from and puts the {@link Actor} on the context.
 * It takes a token of ours as Bearer, and a user name and password as Basic, which saves scripts
 * the round trip for a token. It refuses nobody: routes call what `access.ts` offers, which
 * does, and which know the scope that a new token must have.
 *
 * Throws `ConfigurationError`, whatever the request, as long as a secret is missing or unusable.
 *
 * @example
 * app.use('/v2/*', authentication(deps));
 * app.get('/v2/:name{.+}/tags/list', async (c) => {
 *   const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'pull' });
 *   …
 * });
 */
export function authentication(deps: AuthDeps): MiddlewareHandler<AuthEnv> {
  return async function authenticate(c, next) {
    requireAdminPassword(deps);
    await requireSigningKeys(deps);
    const { host } = requestOrigin(c.req.url);
    c.set('actor', await resolveActor(c.req.header('Authorization'), { deps, service: host }));
    await next();
  };
}

async function resolveActor(
  header: string | undefined,
  { deps, service }: { readonly deps: AuthDeps; readonly service: string },
): Promise<Actor> {
  if (header === undefined) {
    return ANONYMOUS;
  }
  const credentials = parseAuthorization(header);
  if (credentials === null) {
    return REFUSED;
  }
  if (credentials.kind === 'basic') {
    return (await identify(credentials, { ...deps, service })) ?? REFUSED;
  }
  // A token of ours has dots; a secret has none, and may be sent in its place.
  const { token } = credentials;
  return token.includes('.')
    ? ((await verifyToken(token, { ...deps, service })) ?? REFUSED)
    : { kind: 'claimant', claim: { kind: 'secret', username: null, secret: token } };
}
