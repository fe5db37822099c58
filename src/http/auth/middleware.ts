import type { MiddlewareHandler } from 'hono';

import type { LoginBrakes } from '../../registry/accounts/login-brakes.ts';
import { ANONYMOUS, type Actor, REFUSED } from './actor.ts';
import { requestOrigin } from './challenge.ts';
import {
  type Credentials,
  identify,
  parseAuthorization,
  requireAdminPassword,
} from './credentials.ts';
import type { AuthDeps } from './dependencies.ts';
import { beginLogin, type Login } from './login.ts';
import { requireSigningKeys } from './signing-key.ts';
import { verifyToken } from './token.ts';

/** What {@link authentication} puts on the context. */
export interface AuthVariables {
  actor: Actor;
  /** The secret that came with the request; null for who sent none, or a token of ours. */
  login: Login | null;
}
export interface AuthEnv {
  Variables: AuthVariables & { readonly scope: { readonly operations: LoginBrakes } };
}

/**
 * Middleware that finds out whom a request comes from and puts the {@link Actor} on the context.
 * It takes a token of ours as Bearer, and a user name and password as Basic, which saves scripts
 * the round trip for a token. It refuses nobody but who fails too often, with 429: routes call what
 * `access.ts` offers, which does, and which know the scope that a new token must have.
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
    const credentials = credentialsOf(c.req.header('Authorization'));
    const login =
      credentials && isSecret(credentials) ? beginLogin(c, usernameOf(credentials)) : null;
    c.set('login', login);
    const actor = await resolveActor(credentials, { deps, service: host });
    if (actor.kind === 'refused') {
      login?.settle(null);
    }
    if (actor.kind === 'administrator') {
      login?.settle(actor);
    }
    c.set('actor', actor);
    await next();
  };
}

/** Null: no header; `unreadable`: one that holds no credentials that we understand. */
function credentialsOf(header: string | undefined): Credentials | 'unreadable' | null {
  return header === undefined ? null : (parseAuthorization(header) ?? 'unreadable');
}

/** A token of ours has dots; a secret has none, and may be sent in its place. */
function isSecret(credentials: Credentials | 'unreadable'): credentials is Credentials {
  return (
    credentials !== 'unreadable' &&
    (credentials.kind === 'basic' || !credentials.token.includes('.'))
  );
}

function usernameOf(credentials: Credentials): string | null {
  return credentials.kind === 'basic' ? credentials.username : null;
}

async function resolveActor(
  credentials: Credentials | 'unreadable' | null,
  { deps, service }: { readonly deps: AuthDeps; readonly service: string },
): Promise<Actor> {
  if (credentials === null) {
    return ANONYMOUS;
  }
  if (credentials === 'unreadable') {
    return REFUSED;
  }
  if (credentials.kind === 'basic') {
    return (await identify(credentials, { ...deps, service })) ?? REFUSED;
  }
  const { token } = credentials;
  return isSecret(credentials)
    ? { kind: 'claimant', claim: { kind: 'secret', username: null, secret: token } }
    : ((await verifyToken(token, { ...deps, service })) ?? REFUSED);
}
