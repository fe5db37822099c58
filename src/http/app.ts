import { Hono } from 'hono';
import { requestId } from 'hono/request-id';

import { isRegistryError } from '../model/errors.ts';
import type { AuthDeps } from './auth/dependencies.ts';
import { authentication } from './auth/middleware.ts';
import { tokenEndpoint } from './auth/token-endpoint.ts';
import { ConfigurationError } from './configuration-error.ts';
import { endToEndHealth, instanceHealth } from './health.ts';
import { describeError, log } from './log.ts';
import { observe } from './observe.ts';
import { OciError, toOciError } from './oci/errors.ts';
import { ociRoutes } from './oci/routes.ts';
import { type AppEnv, BOOKMARK_HEADER, type RequestScope } from './scope.ts';

export interface AppOptions {
  readonly auth: AuthDeps;
  /** Opens the registry for one request; `bookmark` is the one that it brought, or null. */
  readonly openScope: (request: {
    readonly bookmark: string | null;
    readonly context: Pick<ExecutionContext, 'waitUntil'>;
  }) => RequestScope;
}

/** The registry's HTTP side: the distribution API, its tokens, and the health checks. */
export function createApp({ auth, openScope }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  // The edge names every request already; elsewhere, or if the client did, another name serves.
  app.use(requestId({ generator: (c) => c.req.header('cf-ray') ?? crypto.randomUUID() }));
  app.use(async function openRequestScope(c, next) {
    const bookmark = c.req.header(BOOKMARK_HEADER) ?? null;
    c.set('scope', openScope({ bookmark, context: c.executionCtx }));
    await next();
  });
  app.use(observe());
  app.use('/v2/*', async function announceApi(c, next) {
    await next();
    c.header('Docker-Distribution-API-Version', 'registry/2.0');
  });

  app.get('/health/instance', instanceHealth);
  app.get('/health/endtoend', endToEndHealth);
  app.route('/v2/auth', tokenEndpoint(auth));
  app.use('/v2/*', authentication(auth));
  app.route('/v2', ociRoutes());

  app.notFound((c) => {
    const { pathname } = new URL(c.req.url);
    return pathname.startsWith('/v2/')
      ? sendOciError(
          new OciError(404, { code: 'NAME_UNKNOWN', message: 'there is nothing at this path' }),
        )
      : c.json({ status: 404, title: 'not_found', detail: 'there is nothing at this path' }, 404);
  });
  app.onError((error, c) => sendOciError(asOciError(error, c.var.requestId)));
  return app;
}

/** What a client may learn of an error. Everything unexpected is for the log only. */
function asOciError(error: Error, id: string): OciError {
  if (error instanceof OciError) {
    return error;
  }
  if (isRegistryError(error)) {
    return toOciError(error);
  }
  log('error', { event: 'error', requestId: id, error: describeError(error) });
  if (error instanceof ConfigurationError) {
    return new OciError(503, { code: 'UNAVAILABLE', message: error.message });
  }
  return new OciError(500, {
    code: 'UNKNOWN',
    message: `something went wrong here; the log has more under request ${id}`,
  });
}

function sendOciError({ status, entries, headers }: OciError): Response {
  return Response.json({ errors: entries }, { status, headers });
}
