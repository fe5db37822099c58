import type { MiddlewareHandler } from 'hono';

import { log } from '../log.ts';
import type { Usage } from '../model/usage.ts';
import { type AppEnv, BOOKMARK_HEADER } from './scope.ts';

/**
 * Middleware that adds to every answer where the database stood (`Berth-Bookmark`), and to all but
 * refusals what they cost (`Server-Timing`), and logs one line for each. What a streamed body costs
 * later is not in it.
 */
export function observe(): MiddlewareHandler<AppEnv> {
  return async function observeRequest(c, next) {
    const startedMs = Date.now();
    await next();
    const { scope, requestId } = c.var;
    const durationMs = Date.now() - startedMs;
    if (!isRefusal(c.req.path, c.res.status)) {
      c.header('Server-Timing', serverTiming(scope.usage, durationMs));
    }
    const bookmark = scope.bookmark();
    if (bookmark !== null) {
      c.header(BOOKMARK_HEADER, bookmark);
    }
    log('info', {
      event: 'request',
      requestId,
      method: c.req.method,
      path: c.req.path,
      status: c.res.status,
      durationMs,
      ...scope.usage,
    });
  };
}

/**
 * Whether somebody may not have what they asked for: what that cost would tell whether it is there.
 * The distribution API says 401 to everybody, and 403 to those who may see why.
 */
function isRefusal(path: string, status: number): boolean {
  return status === 401 || (status === 403 && path.startsWith('/api/'));
}

function serverTiming(usage: Readonly<Usage>, durationMs: number): string {
  const d1 = `${usage.d1RoundTrips} round trips, ${usage.d1RowsRead} read, ${usage.d1RowsWritten} written`;
  const r2 = `${usage.r2Reads} read, ${usage.r2Writes} written`;
  const kv = `${usage.kvReads} read, ${usage.kvWrites} written`;
  return `total;dur=${durationMs}, d1;desc="${d1}", r2;desc="${r2}", kv;desc="${kv}"`;
}
