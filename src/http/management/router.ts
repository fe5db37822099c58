import { OpenAPIHono } from '@hono/zod-openapi';

import type { AppEnv } from '../scope.ts';
import { ManagementError } from './errors.ts';

/** An app of the management API. What breaks a schema is refused, and the field named. */
export function createManagementRouter(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    // With it every path matches with a slash at its end and without.
    strict: false,
    defaultHook(result) {
      if (!result.success) {
        const [issue] = result.error.issues;
        const field = [...(issue?.path ?? [])].map(String).join('.') || result.target;
        throw new ManagementError('invalid_request', `${field}: ${issue?.message ?? 'not valid'}`);
      }
    },
  });
}
