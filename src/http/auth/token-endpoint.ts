import { Hono } from 'hono';

import type { AccessJudge } from '../../registry/accounts/access.ts';
import type { LoginBrakes } from '../../registry/accounts/login-brakes.ts';
import { OciError } from '../oci/errors.ts';
import { ANONYMOUS } from './actor.ts';
import { type Origin, requestOrigin, unauthorized } from './challenge.ts';
import {
  type BasicCredentials,
  identify,
  parseAuthorization,
  requireAdminPassword,
} from './credentials.ts';
import type { AuthDeps } from './dependencies.ts';
import { grantScopes } from './grants.ts';
import { beginLogin, type Login, performerOf } from './login.ts';
import { parseScopes } from './scopes.ts';
import { type MintedToken, formatIssuedAt } from './signed-token.ts';
import { mintToken } from './token.ts';

/** Docker's token response; OAuth clients read `access_token`, which is the same token. */
interface TokenResponse {
  readonly token: string;
  readonly access_token: string;
  /** Seconds. */
  readonly expires_in: number;
  /** RFC 3339. */
  readonly issued_at: string;
}

/** What is asked here of the scope that the app opens for a request. */
export interface TokenEnv {
  Variables: {
    readonly scope: { readonly operations: AccessJudge & LoginBrakes };
    login: Login | null;
  };
}

const ALLOWED_METHODS = 'GET, HEAD';

/**
 * The token endpoint, to be mounted at `/v2/auth` (Docker Registry v2 authentication). `GET` with
 * Basic credentials and `scope` parameters gives a token for as much of the scopes as the caller
 * may have; what is not allowed is left out and never an error. Nothing is written.
 *
 * Refuses with 401 `UNAUTHORIZED` bad credentials, and none where no scope is asked for (a login
 * probe); with 400 `NAME_INVALID` or `UNSUPPORTED` a bad scope; with 405 `DENIED` whoever asks for a
 * repository of a disabled namespace, whether the repository exists or not; with 429
 * `TOOMANYREQUESTS` who fails too often; with 405 `UNSUPPORTED` any other method: containerd and
 * buildkit try OAuth's form of `POST` first, and fall back to `GET` then.
 */
export function tokenEndpoint(deps: AuthDeps): Hono<TokenEnv> {
  const app = new Hono<TokenEnv>({ strict: false });
  app.get('/', async (c) => {
    c.header('Cache-Control', 'no-cache, no-store, must-revalidate');
    requireAdminPassword(deps);
    const origin = requestOrigin(c.req.url);
    const parameters = c.req.queries('scope') ?? [];
    const credentials = credentialsOf(c.req.header('Authorization'), origin);
    const login = credentials && beginLogin(c, credentials.username);
    c.set('login', login);
    const isProbe = parameters.every((text) => text.trim() === '');
    const caller =
      credentials === null
        ? ANONYMOUS
        : await identify(credentials, { ...deps, service: origin.host });
    if (caller === null) {
      login?.settle(null);
      throw badCredentials(origin);
    }
    const scopes = parseScopes(parameters, origin.host);
    if (caller.kind === 'anonymous' && isProbe) {
      throw unauthorized(origin);
    }
    const granted = await grantScopes(scopes, { caller, judge: c.var.scope.operations });
    if (login !== null) {
      login.isProbe = isProbe;
      login.settle(performerOf(granted?.subject ?? null));
    }
    if (granted === null) {
      throw badCredentials(origin);
    }
    return c.json(tokenResponse(await mintToken({ service: origin.host, ...granted }, deps)));
  });
  app.all('/', () => {
    throw new OciError(
      405,
      { code: 'UNSUPPORTED', message: 'a token is asked for with GET' },
      { Allow: ALLOWED_METHODS },
    );
  });
  return app;
}

/** Null: none were sent. A token is no reason to give another one. */
function credentialsOf(header: string | undefined, origin: Origin): BasicCredentials | null {
  if (header === undefined) {
    return null;
  }
  const credentials = parseAuthorization(header);
  if (credentials?.kind !== 'basic') {
    throw badCredentials(origin);
  }
  return credentials;
}

function badCredentials(origin: Origin): OciError {
  return unauthorized(origin, { message: 'invalid user name or password' });
}

function tokenResponse(minted: MintedToken): TokenResponse {
  const { token, expiresInSec } = minted;
  return {
    token,
    access_token: token,
    expires_in: expiresInSec,
    issued_at: formatIssuedAt(minted),
  };
}
