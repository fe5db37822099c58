import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';

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
  ofRepository,
  refusals,
  repositoryParams,
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

/** What manifests are made of, and how often they are pulled. */
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
  return app;
}
