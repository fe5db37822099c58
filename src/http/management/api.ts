import type { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';

import { MANAGEMENT_BODY_BYTES_MAX } from '../../model/limits.ts';
import type { AppEnv } from '../scope.ts';
import { serveDocument } from './document.ts';
import { ManagementError } from './errors.ts';
import { federationRoutes } from './federation.ts';
import { garbageRoutes } from './garbage.ts';
import { immutabilityPolicyRoutes } from './immutability-policies.ts';
import { importRoutes } from './imports.ts';
import { labelRoutes } from './labels.ts';
import { logRoutes } from './logs.ts';
import { manifestRoutes } from './manifests.ts';
import { memberRoutes } from './members.ts';
import { notificationRoutes } from './notifications.ts';
import { organizationRoutes } from './organizations.ts';
import { peopleRoutes } from './people.ts';
import { permissionRoutes } from './permissions.ts';
import { quotaRoutes } from './quotas.ts';
import { releaseRoutes } from './releases.ts';
import { repositoryRoutes } from './repositories.ts';
import { retentionPolicyRoutes } from './retention-policies.ts';
import { robotRoutes } from './robots.ts';
import { createManagementRouter } from './router.ts';
import { searchRoutes } from './search.ts';
import { securityRoutes } from './security.ts';
import { tagRoutes } from './tags.ts';

/** The management API, to be mounted at `/api/v1`. */
export function managementRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.use(
    bodyLimit({
      maxSize: MANAGEMENT_BODY_BYTES_MAX,
      onError() {
        throw new ManagementError('payload_too_large', 'a body has 1 MiB at most');
      },
    }),
  );
  app.route('/', tagRoutes());
  app.route('/', manifestRoutes());
  app.route('/', securityRoutes());
  app.route('/', labelRoutes());
  app.route('/', immutabilityPolicyRoutes());
  app.route('/', retentionPolicyRoutes());
  app.route('/', organizationRoutes());
  app.route('/', peopleRoutes());
  app.route('/', memberRoutes());
  app.route('/', robotRoutes());
  app.route('/', federationRoutes());
  app.route('/', permissionRoutes());
  app.route('/', quotaRoutes());
  app.route('/', releaseRoutes());
  app.route('/', garbageRoutes());
  app.route('/', logRoutes());
  app.route('/', importRoutes());
  app.route('/', notificationRoutes());
  app.route('/', searchRoutes());
  // The last: whatever follows a repository's name could be a part of it.
  app.route('/', repositoryRoutes());
  serveDocument(app);
  return app;
}
