import type { OpenAPIHono } from '@hono/zod-openapi';

import type { AppEnv } from '../scope.ts';
import { serveDocument } from './document.ts';
import { garbageRoutes } from './garbage.ts';
import { createManagementRouter } from './router.ts';

/** The management API, to be mounted at `/api/v1`. */
export function managementRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.route('/', garbageRoutes());
  serveDocument(app);
  return app;
}
