import { OpenAPIHono, z } from '@hono/zod-openapi';

import type { AppEnv } from '../scope.ts';
import { ManagementError } from './errors.ts';
import { requireBody, requireStorable } from './request-checks.ts';

/**
 * An app of the management API. What breaks a schema is refused, and the field named; what an
 * endpoint has no schema for, be it a query or a body, is refused too.
 */
export function createManagementRouter(): OpenAPIHono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>({
    // With it every path matches with a slash at its end and without.
    strict: false,
    defaultHook({ target, ...result }) {
      const whole = WHOLES[target] ?? target;
      if (!result.success) {
        throw toRefusal(result.error.issues[0], whole);
      }
      if (target === 'json') {
        requireStorable(result.data);
      }
    },
  });
  const { openapi } = app;
  app.openapi = (route, handler, hook) => {
    const { request = {} } = route;
    const checked = {
      ...route,
      request: { ...request, query: request.query ?? z.strictObject({}) },
      middleware: [requireBody(request.body !== undefined), ...[route.middleware ?? []].flat()],
    };
    return openapi(checked, handler, hook);
  };
  return app;
}

/** How a refusal calls a part of a request that is wrong as a whole. */
const WHOLES: Readonly<Record<string, string>> = { json: 'body', param: 'path' };

function toRefusal(issue: z.core.$ZodIssue | undefined, whole: string): ManagementError {
  const path = (issue?.path ?? []).map(String);
  if (issue?.code === 'unrecognized_keys') {
    const field = [...path, ...issue.keys.slice(0, 1)].join('.');
    return new ManagementError('invalid_request', `${field}: there is no such field here`);
  }
  const field = path.join('.') || whole;
  return new ManagementError('invalid_request', `${field}: ${issue?.message ?? 'not valid'}`);
}
