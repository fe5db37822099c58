import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { requestId } from 'hono/request-id';

import { ConfigurationError } from '../configuration-error.ts';
import { describeError, log } from '../log.ts';
import { isRegistryError, StoreUnavailable } from '../model/errors.ts';
import { STORE_RETRY_AFTER_SEC } from '../model/limits.ts';
import { auditLog } from './audit-log.ts';
import type { AuthDeps } from './auth/dependencies.ts';
import { federationEndpoint } from './auth/federation-endpoint.ts';
import { authentication } from './auth/middleware.ts';
import { tokenEndpoint } from './auth/token-endpoint.ts';
import { endToEndHealth, instanceHealth } from './health.ts';
import { managementRoutes } from './management/api.ts';
import { answerManagementError, ManagementError, toManagementError } from './management/errors.ts';
import { observe } from './observe.ts';
import { OciError, refusedAsOci, toOciError } from './oci/errors.ts';
import { ociRoutes, only } from './oci/routes.ts';
import { requestBounds } from './request-bounds.ts';
import { RequestRefused } from './request-refused.ts';
import { type AppEnv, BOOKMARK_HEADER, parseBookmark, type RequestScope } from './scope.ts';
import { legacyRoutes } from './v1/routes.ts';

export interface AppOptions {
  readonly auth: AuthDeps;
  /** Whether the tags of Docker's first registry API can be read; by default not. */
  readonly legacyImageReads?: boolean;
  /** Opens the registry for one request; `bookmark` is the one that it brought, or null. */
  readonly openScope: (request: {
    readonly bookmark: string | null;
    readonly context: Pick<ExecutionContext, 'waitUntil'>;
  }) => RequestScope;
}

/** The registry's HTTP side: the distribution API, its tokens, and the health checks. */
export function createApp({ auth, legacyImageReads = false, openScope }: AppOptions): Hono<AppEnv> {
  const app = createBareApp();
  app.use(requestBounds());
  app.use(async function openRequestScope(c, next) {
    const bookmark = parseBookmark(c.req.header(BOOKMARK_HEADER));
    c.set('scope', openScope({ bookmark, context: c.executionCtx }));
    await next();
  });
  app.use(observe());
  app.use(auditLog());

  app.get('/health/instance', instanceHealth);
  app.get('/health/endtoend', endToEndHealth);
  app.all('/health/:check', only('GET', 'HEAD'));
  app.route('/oauth2/federation', federationEndpoint(auth));
  app.route('/v2/auth', tokenEndpoint(auth));
  app.use('/v2/*', authentication(auth));
  app.route('/v2', ociRoutes());
  app.use('/api/*', authentication(auth));
  app.route('/api/v1', managementRoutes());
  if (legacyImageReads) {
    app.use('/v1/*', authentication(auth));
    app.route('/v1', legacyRoutes());
  }
  return app;
}

/** What stands in for the app while a secret or setting is not usable: it says so, always. */
export function createMisconfiguredApp(error: ConfigurationError): Hono<AppEnv> {
  const app = createBareApp();
  app.use(function refuse() {
    throw error;
  });
  return app;
}

/** What every request gets: a name for the log, and answers to unknown paths and to failures. */
function createBareApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  // The edge names every request already; elsewhere, or if the client did, another name serves.
  app.use(requestId({ generator: (c) => c.req.header('cf-ray') ?? crypto.randomUUID() }));
  app.use('/v2/*', async function announceApi(c, next) {
    await next();
    c.header('Docker-Distribution-API-Version', 'registry/2.0');
  });
  app.notFound(answerUnknownPath);
  app.onError((error, c) => {
    if (c.req.path.startsWith(MANAGEMENT_PATH)) {
      return answerManagementError(c, asManagementError(error, c.var.requestId));
    }
    const { status, entries, headers, message } = asOciError(error, c.var.requestId);
    const body = c.req.path.startsWith('/v1/') ? { error: message } : { errors: entries };
    return c.json(body, status, headers);
  });
  return app;
}

function answerUnknownPath(c: Context<AppEnv>): Response {
  const message = 'there is nothing at this path';
  return c.req.path.startsWith('/v2/')
    ? c.json({ errors: [{ code: 'NAME_UNKNOWN', message }] }, 404)
    : answerManagementError(c, new ManagementError('not_found', message));
}

const MANAGEMENT_PATH = '/api/';

/** The same for the management API. */
function asManagementError(error: Error, id: string): ManagementError {
  if (error instanceof ManagementError) {
    return error;
  }
  if (isRegistryError(error)) {
    return toManagementError(error);
  }
  if (error instanceof RequestRefused) {
    return new ManagementError(error.kind, error.message, error.headers);
  }
  if (error instanceof HTTPException && error.status < 500) {
    const type = error.status === 415 ? 'unsupported_media_type' : 'invalid_request';
    return new ManagementError(type, `body: ${error.message}`);
  }
  log('error', { event: 'error', requestId: id, error: describeError(error) });
  if (error instanceof StoreUnavailable) {
    return new ManagementError('unavailable', unavailable(id), RETRY_SOON);
  }
  return error instanceof ConfigurationError
    ? new ManagementError('not_configured', error.message)
    : new ManagementError('server_error', unexpected(id));
}

/** What a client may learn of an error. Everything unexpected is for the log only. */
function asOciError(error: Error, id: string): OciError {
  if (error instanceof OciError) {
    return error;
  }
  if (isRegistryError(error)) {
    return toOciError(error);
  }
  if (error instanceof RequestRefused) {
    return refusedAsOci(error);
  }
  log('error', { event: 'error', requestId: id, error: describeError(error) });
  if (error instanceof ConfigurationError) {
    return new OciError(503, { code: 'UNAVAILABLE', message: error.message });
  }
  if (error instanceof StoreUnavailable) {
    return new OciError(503, { code: 'UNAVAILABLE', message: unavailable(id) }, RETRY_SOON);
  }
  return new OciError(500, {
    code: 'UNKNOWN',
    message: unexpected(id),
  });
}

const RETRY_SOON = { 'Retry-After': String(STORE_RETRY_AFTER_SEC) };

function unavailable(id: string): string {
  return `a store does not answer now, try again; the log has more under request ${id}`;
}

function unexpected(id: string): string {
  return `something went wrong here; the log has more under request ${id}`;
}
