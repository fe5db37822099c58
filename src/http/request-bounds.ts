import type { MiddlewareHandler } from 'hono';

import { QUERY_PARAMETERS_MAX, URL_LENGTH_MAX } from '../model/limits.ts';
import { RequestRefused } from './request-refused.ts';

/** Middleware that refuses with 414 a URL that is too long, or has too many parameters. */
export function requestBounds(): MiddlewareHandler {
  return async function refuseTooMuch(c, next) {
    const { url } = c.req;
    if (url.length > URL_LENGTH_MAX) {
      throw new RequestRefused('uri_too_long', `a URL has ${URL_LENGTH_MAX} characters at most`);
    }
    if (url.split('&', QUERY_PARAMETERS_MAX + 1).length > QUERY_PARAMETERS_MAX) {
      throw new RequestRefused(
        'uri_too_long',
        `a URL has ${QUERY_PARAMETERS_MAX} parameters at most`,
      );
    }
    await next();
  };
}
