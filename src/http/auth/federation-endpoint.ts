import { type Context, Hono } from 'hono';

import { log } from '../../log.ts';
import { isRobotName, parseAccountName, type AccountName } from '../../model/accounts.ts';
import { isRegistryError } from '../../model/errors.ts';
import { ISSUER_PAUSE_MS } from '../../model/limits.ts';
import { MS_PER_SECOND } from '../../model/time.ts';
import type { Federation } from '../../registry/accounts/federation.ts';
import type { IssuerKeys } from '../../registry/accounts/issuer-keys.ts';
import type { RegistrySettings } from '../../registry/settings.ts';
import { OciError } from '../oci/errors.ts';
import { requestOrigin } from './challenge.ts';
import { parseAuthorization } from './credentials.ts';
import type { AuthDeps } from './dependencies.ts';
import { verifyOidcToken } from './oidc-token.ts';
import { mintRobotToken } from './robot-token.ts';
import { formatIssuedAt } from './signed-token.ts';

/** What is asked here of the scope that the app opens for a request. */
export interface FederationEnv {
  Variables: {
    readonly scope: {
      readonly operations: Pick<Federation, 'findTrust'> & IssuerKeys;
      readonly settings: Pick<RegistrySettings, 'oidcIssuers'>;
    };
    readonly requestId: string;
  };
}

/** A robot's name, and what shall prove that a job may be it. */
interface Exchange {
  readonly robot: AccountName;
  readonly token: string;
}

const ALLOWED_METHODS = 'GET, HEAD';

/**
 * Where jobs exchange the token of their OpenID issuer for a robot's password, to be mounted at
 * `/oauth2/federation` (Quay's robot federation). `GET /robot/token` with Basic credentials, the
 * robot's name and the token, gives 200 `{"token","expires_in","issued_at"}`. Nothing is written.
 *
 * Refuses with 401 `UNAUTHORIZED`, in one sentence whatever the reason, which is in the log; with
 * 503 `UNAVAILABLE` if the issuer does not give its keys; with 404 `UNSUPPORTED` where no issuer is
 * allowed; with 405 `UNSUPPORTED` any other method.
 */
export function federationEndpoint(deps: AuthDeps): Hono<FederationEnv> {
  const app = new Hono<FederationEnv>({ strict: false });
  app.get('/robot/token', async (c) => {
    c.header('Cache-Control', 'no-cache, no-store, must-revalidate');
    requireFederation(c);
    const exchange = parseExchange(c.req.header('Authorization'));
    if (exchange === null) {
      throw refuse(c, { reason: 'it has no Basic credentials of a robot' });
    }
    const robot = await identifyJob(c, { exchange, deps });
    const { host } = requestOrigin(c.req.url);
    const minted = await mintRobotToken(robot, { ...deps, service: host });
    return c.json({
      token: minted.token,
      expires_in: minted.expiresInSec,
      issued_at: formatIssuedAt(minted),
    });
  });
  app.all('/robot/token', () => {
    throw new OciError(
      405,
      { code: 'UNSUPPORTED', message: 'a token is asked for with GET' },
      { Allow: ALLOWED_METHODS },
    );
  });
  return app;
}

function requireFederation({ var: { scope } }: Context<FederationEnv>): void {
  if (scope.settings.oidcIssuers.length === 0) {
    throw new OciError(404, {
      code: 'UNSUPPORTED',
      message: 'this registry takes no tokens of OpenID issuers: OIDC_ISSUERS names none',
    });
  }
}

function parseExchange(header: string | undefined): Exchange | null {
  const credentials = header === undefined ? null : parseAuthorization(header);
  const robot = credentials?.kind === 'basic' ? parseAccountName(credentials.username) : null;
  return credentials?.kind === 'basic' && robot !== null && isRobotName(robot)
    ? { robot, token: credentials.password }
    : null;
}

/** The robot that the job may be. Who has no good token of an issuer learns nothing of robots. */
async function identifyJob(
  c: Context<FederationEnv>,
  { exchange: { robot, token }, deps }: { readonly exchange: Exchange; readonly deps: AuthDeps },
): Promise<{ readonly id: number; readonly name: AccountName }> {
  const { operations } = c.var.scope;
  const audience = deps.oidcAudience ?? requestOrigin(c.req.url).host;
  const verified = await verifyOidcToken(token, {
    audience,
    issuers: operations,
    clock: deps.clock,
  }).catch((error: unknown) => {
    throw asUnavailable(c, error);
  });
  if (!verified.isGood) {
    throw refuse(c, { robot, reason: verified.reason });
  }
  const { issuer, subject } = verified;
  const trust = await operations.findTrust(robot, { issuer, subject });
  if (trust === null) {
    throw refuse(c, { robot, issuer, subject, reason: 'no robot of that name trusts the subject' });
  }
  record(c, { outcome: 'exchanged', robot, issuer, subject });
  return { id: trust.robotId, name: robot };
}

/** All refusals are one to the client. */
function refuse(
  c: Context<FederationEnv>,
  why: { readonly reason: string } & Readonly<Record<string, string>>,
): OciError {
  record(c, { outcome: 'refused', ...why });
  return new OciError(
    401,
    { code: 'UNAUTHORIZED', message: 'the token does not stand for this robot' },
    { 'WWW-Authenticate': 'Basic realm="robot federation"' },
  );
}

/** An issuer that does not give its keys is told of in the log; anything else is as it was. */
function asUnavailable(c: Context<FederationEnv>, error: unknown): unknown {
  if (!isRegistryError(error) || error.code !== 'IssuerUnavailable') {
    return error;
  }
  record(c, { outcome: 'unavailable', ...error.detail });
  const retryAfterSec = String(ISSUER_PAUSE_MS / MS_PER_SECOND);
  return new OciError(
    503,
    { code: 'UNAVAILABLE', message: error.message },
    { 'Retry-After': retryAfterSec },
  );
}

/** Who became which robot, and who did not and why: never the token. */
function record(c: Context<FederationEnv>, fields: Readonly<Record<string, string>>): void {
  log(fields['outcome'] === 'unavailable' ? 'error' : 'info', {
    event: 'federation',
    requestId: c.var.requestId,
    ...fields,
  });
}
