import { Hono } from 'hono';
import { type JWK, exportJWK, generateKeyPair } from 'jose';

import { ConfigurationError } from '../../../src/configuration-error.ts';
import {
  type AuthContext,
  requireAccess,
  requireCredentials,
  whichMayPull,
} from '../../../src/http/auth/access.ts';
import { ADMINISTRATOR, type Subject } from '../../../src/http/auth/actor.ts';
import type { AuthDeps } from '../../../src/http/auth/dependencies.ts';
import { type AuthVariables, authentication } from '../../../src/http/auth/middleware.ts';
import { parseScopes } from '../../../src/http/auth/scopes.ts';
import { type TokenEnv, tokenEndpoint } from '../../../src/http/auth/token-endpoint.ts';
import { mintToken } from '../../../src/http/auth/token.ts';
import { OciError } from '../../../src/http/oci/errors.ts';
import { formatRepositoryName, parseRepositoryName } from '../../../src/model/names.ts';
import { type EpochMs, epochMs } from '../../../src/model/time.ts';
import { openTestRegistry } from '../../support/registry.ts';

export const HOST = 'berth.example.com';
export const ADMIN_PASSWORD = 'correct horse: battery, stäple';
export const NOW_MS = epochMs(Date.UTC(2026, 10, 20, 12, 30, 45));
export const NOW_SEC = NOW_MS / 1000;

/** A fresh private signing key, as the secret holds it. */
export async function aSigningJwk(overrides: Partial<JWK> = {}): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { ...(await exportJWK(privateKey)), kid: 'key-1', ...overrides };
}

export const SIGNING_JWK = await aSigningJwk();

/** Everything set as an operator should; one override at a time. */
export function authDeps(overrides: Partial<AuthDeps> = {}): AuthDeps {
  return {
    adminPassword: ADMIN_PASSWORD,
    tokenSigningKey: JSON.stringify(SIGNING_JWK),
    tokenSigningKeyPrevious: undefined,
    tokenTtlSec: 300,
    oidcAudience: null,
    clock: clockAt(NOW_MS),
    ...overrides,
  };
}

export function clockAt(nowMs: EpochMs): AuthDeps['clock'] {
  return { nowMs: () => nowMs };
}

/** An `Authorization` header of the Basic scheme, UTF-8. */
export function basic(username: string, password: string): string {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** An `Authorization` header with a token for the scopes, minted as the endpoint would. */
export async function bearer(
  scopes: readonly string[],
  {
    deps = authDeps(),
    subject = ADMINISTRATOR,
    service = HOST,
  }: { deps?: AuthDeps; subject?: Subject; service?: string } = {},
): Promise<string> {
  const access = parseScopes(scopes, service);
  return `Bearer ${(await mintToken({ service, subject, access }, deps)).token}`;
}

/** An app with one route of each kind, and errors answered as the registry answers them. */
export function registryApp(deps: AuthDeps = authDeps()) {
  const app = new Hono<{
    Bindings: Env;
    Variables: AuthVariables & TokenEnv['Variables'] & { scope: AuthContext['var']['scope'] };
  }>({ strict: false });
  app.use(async (c, next) => {
    const { operations, deps: registryDeps } = openTestRegistry();
    c.set('scope', { operations, settings: registryDeps.settings });
    await next();
  });
  app.route('/v2/auth', tokenEndpoint(deps));
  app.use('/v2/*', authentication(deps));
  app.get('/v2', async (c) => {
    await requireCredentials(c);
    return c.json({});
  });
  app.get('/v2/:name{.+}/manifests/:reference', async (c) => {
    const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'pull' });
    return c.text(formatRepositoryName(name));
  });
  app.delete('/v2/:name{.+}/manifests/:reference', async (c) => {
    await requireAccess(c, { name: c.req.param('name'), action: 'push' });
    return c.body(null, 202);
  });
  app.post('/v2/:name{.+}/blobs/uploads', async (c) => {
    const mountFrom = c.req.query('from') ?? null;
    await requireAccess(c, { name: c.req.param('name'), action: 'push', mountFrom });
    const source = mountFrom === null ? null : parseRepositoryName(mountFrom);
    const mounted = source !== null && (await whichMayPull(c, [source])).length > 0;
    return c.body(null, mounted ? 201 : 202);
  });
  app.onError((error, c) => {
    if (error instanceof OciError) {
      return Response.json(
        { errors: error.entries },
        { status: error.status, headers: error.headers },
      );
    }
    if (error instanceof ConfigurationError) {
      return c.text(error.message, 503);
    }
    throw error;
  });
  return app;
}

export type TestApp = ReturnType<typeof registryApp>;

/** Sends a request to the app, over https, as the registry's host. */
export async function send(
  app: TestApp,
  path: string,
  {
    method = 'GET',
    authorization = null,
    origin = `https://${HOST}`,
  }: { method?: string; authorization?: string | null; origin?: string } = {},
): Promise<Response> {
  const headers: Record<string, string> =
    authorization === null ? {} : { Authorization: authorization };
  return await app.request(`${origin}${path}`, { method, headers });
}
