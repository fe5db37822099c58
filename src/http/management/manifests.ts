import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import { SECURITY_STATUSES } from '../../registry/security.ts';
import type { AppEnv } from '../scope.ts';
import { requireManifest, requireRepositoryRole } from './access.ts';
import { ManagementError } from './errors.ts';
import {
  manifestPullsView,
  manifestView,
  toManifestPullsView,
  toManifestView,
} from './manifest-views.ts';
import { requireDigest } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  digestParam,
  done,
  ofRepository,
  refusals,
  repositoryParams,
  switchParam,
} from './schemas.ts';

const TAGS = ['Manifests'];
const ofManifest = (path: string) => ofRepository(`/manifest/{digest}${path}`);
const params = repositoryParams.extend({ digest: digestParam });

const describeManifest = createRoute({
  method: 'get',
  path: ofManifest(''),
  operationId: 'describeManifest',
  tags: TAGS,
  summary: 'A manifest as it was pushed, and its layers',
  request: { params },
  responses: { 200: answers(manifestView, 'The manifest.'), ...refusals(...ACCESS_REFUSALS) },
});

const manifestPulls = createRoute({
  method: 'get',
  path: ofManifest('/pull_statistics'),
  operationId: 'readManifestPulls',
  tags: TAGS,
  summary: 'How often a manifest was pulled, and when last',
  request: { params },
  responses: { 200: answers(manifestPullsView, 'The figures.'), ...refusals(...ACCESS_REFUSALS) },
});

const securityView = z
  .strictObject({
    status: z.enum(SECURITY_STATUSES),
    data: z.null().openapi({ description: 'Reports are with the scanner; none is kept here.' }),
  })
  .openapi('SecurityStatus');

const readSecurity = createRoute({
  method: 'get',
  path: ofManifest('/security'),
  operationId: 'readSecurityStatus',
  tags: TAGS,
  summary: 'How far a scanner is with a manifest, tagged or not',
  request: {
    params,
    query: z.strictObject({
      vulnerabilities: switchParam.openapi({
        description: 'Changes nothing: no report is kept here.',
      }),
    }),
  },
  responses: { 200: answers(securityView, 'The status.'), ...refusals(...ACCESS_REFUSALS) },
});

const resetSecurity = createRoute({
  method: 'delete',
  path: ofManifest('/security'),
  operationId: 'resetSecurityStatus',
  tags: TAGS,
  summary: 'Has a scanner look at a manifest again',
  request: { params },
  responses: { 204: done('It is queued.'), ...refusals(...ACCESS_REFUSALS) },
});

/** What manifests are made of, how often they are pulled, and what scanners make of them. */
export function manifestRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(describeManifest, async (c) => {
    const { repository: name, digest: text } = c.req.valid('param');
    const digest = requireDigest(text);
    const repository = await requireRepositoryRole(c, name, 'read');
    const manifest = await requireManifest(c, { repository, digest });
    if (manifest.isManifestList) {
      return c.json(toManifestView(manifest, null), 200);
    }
    const layers = await c.var.scope.registry.listManifestLayers(manifest);
    if (layers === null) {
      throw new ManagementError('not_found', `the layers of manifest ${digest} cannot be told`);
    }
    return c.json(toManifestView(manifest, layers), 200);
  });
  app.openapi(manifestPulls, async (c) => {
    const { repository: name, digest: text } = c.req.valid('param');
    const digest = requireDigest(text);
    const repository = await requireRepositoryRole(c, name, 'read');
    const pulls = await c.var.scope.operations.readManifestPullStatistics(repository, digest);
    if (pulls === null) {
      throw new ManagementError('not_found', `manifest ${digest} not found`);
    }
    return c.json(toManifestPullsView(pulls), 200);
  });
  app.openapi(readSecurity, async (c) => {
    const { repository: name, digest: text } = c.req.valid('param');
    const digest = requireDigest(text);
    const repository = await requireRepositoryRole(c, name, 'read');
    const manifest = await requireManifest(c, { repository, digest }, { allowDead: true });
    const status = await c.var.scope.operations.readSecurityStatus(manifest);
    return c.json({ status, data: null }, 200);
  });
  app.openapi(resetSecurity, async (c) => {
    const { repository: name, digest: text } = c.req.valid('param');
    const digest = requireDigest(text);
    const repository = await requireRepositoryRole(c, name, 'admin');
    const manifest = await requireManifest(c, { repository, digest }, { allowDead: true });
    await c.var.scope.registry.resetSecurityStatus(manifest);
    return c.body(null, 204);
  });
  return app;
}
