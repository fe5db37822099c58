import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import { REMOVAL_PAGE_SIZE_DEFAULT, REMOVAL_PAGE_SIZE_MAX } from '../../model/limits.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireAdministrator, requireRepositoryRole } from './access.ts';
import { ManagementError } from './errors.ts';
import {
  auditView,
  collectionView,
  planView,
  removalView,
  standingView,
  toAuditView,
  toCollectionView,
  toPlanView,
  toRemovalView,
  toStandingView,
} from './garbage-views.ts';
import { listOf, nextPageOf, openToken } from './pages.ts';
import { requireDigest, requireTagName } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  digestParam,
  digestText,
  limitParam,
  nextPage,
  nextPageParam,
  ofRepository,
  refusals,
  repositoryParams,
  tagNameText,
} from './schemas.ts';

const TAGS = ['Garbage'];
const digestParams = repositoryParams.extend({ digest: digestParam });

const explain = (noun: 'manifest' | 'blob') =>
  createRoute({
    method: 'get',
    path: ofRepository(`/${noun}/{digest}/why`),
    operationId: noun === 'manifest' ? 'explainManifest' : 'explainBlob',
    tags: TAGS,
    summary: `Why a ${noun} is kept, and until when; or when it was removed, and why`,
    request: { params: digestParams },
    responses: { 200: answers(standingView, 'How it stands.'), ...refusals(...ACCESS_REFUSALS) },
  });
const explainManifest = explain('manifest');
const explainBlob = explain('blob');

const planRepository = createRoute({
  method: 'get',
  path: ofRepository('/garbage/plan'),
  operationId: 'planCollectionOfRepository',
  tags: TAGS,
  summary: 'What the next collection would remove here; nothing is removed',
  request: { params: repositoryParams },
  responses: { 200: answers(planView, 'The plan.'), ...refusals(...ACCESS_REFUSALS) },
});

const collectRepository = createRoute({
  method: 'post',
  path: ofRepository('/garbage/collect'),
  operationId: 'collectRepository',
  tags: TAGS,
  summary: 'Collects here now, within the limits of one run',
  request: { params: repositoryParams },
  responses: { 200: answers(collectionView, 'What it came to.'), ...refusals(...ACCESS_REFUSALS) },
});

const listRemovals = createRoute({
  method: 'get',
  path: ofRepository('/garbage/log'),
  operationId: 'listRemovals',
  tags: TAGS,
  summary: 'What collection removed here in the last 90 days, the last first',
  request: {
    params: repositoryParams,
    query: z.strictObject({
      digest: digestText.optional().openapi({ description: 'What was removed of this digest.' }),
      tag: tagNameText.optional().openapi({ description: 'What was removed of this name.' }),
      limit: limitParam(REMOVAL_PAGE_SIZE_MAX),
      next_page: nextPageParam,
    }),
  },
  responses: {
    200: answers(
      z.strictObject({ removals: z.array(removalView), next_page: nextPage }),
      'A page of removals.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const planAll = createRoute({
  method: 'get',
  path: '/garbage/plan',
  operationId: 'planCollection',
  tags: TAGS,
  summary: 'What the next collection would remove anywhere; nothing is removed',
  responses: { 200: answers(planView, 'The plan.'), ...refusals(...ACCESS_REFUSALS) },
});

const collectAll = createRoute({
  method: 'post',
  path: '/garbage/collect',
  operationId: 'collectGarbage',
  tags: TAGS,
  summary: 'One run of the collection, as cron begins it every minute',
  responses: { 200: answers(collectionView, 'What it came to.'), ...refusals(...ACCESS_REFUSALS) },
});

const readAudit = createRoute({
  method: 'get',
  path: '/garbage/audit',
  operationId: 'readAudit',
  tags: TAGS,
  summary: 'What the audit of the stores found; each count is 0 unless something is wrong',
  responses: {
    200: answers(
      z.strictObject({ finished: auditView.nullable(), running: auditView.nullable() }),
      'The last pass that ended, and the one that is under way.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

/** Why things are here or gone, what would go, and what went. */
export function garbageRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(explainManifest, async (c) => c.json(await explainDigest(c, 'manifest'), 200));
  app.openapi(explainBlob, async (c) => c.json(await explainDigest(c, 'blob'), 200));
  app.openapi(planRepository, async (c) => {
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'admin');
    return c.json(toPlanView(await c.var.scope.operations.planCollection(repository)), 200);
  });
  app.openapi(collectRepository, async (c) => {
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'admin');
    const collected = toCollectionView(
      await c.var.scope.operations.collectRepository(repository.id),
    );
    recordAudit(c, { kind: 'collect_garbage', repository, metadata: collected.removed });
    return c.json(collected, 200);
  });
  app.openapi(listRemovals, async (c) => {
    const { digest, tag, limit, next_page: token } = c.req.valid('query');
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'admin');
    const page = await c.var.scope.operations.listRemovals(repository, {
      ...(digest === undefined ? {} : { digest: requireDigest(digest) }),
      ...(tag === undefined ? {} : { tagName: requireTagName(tag) }),
      limit: limit ?? REMOVAL_PAGE_SIZE_DEFAULT,
      cursor: openToken(listOf(c), token),
    });
    const next = nextPageOf(listOf(c), page.cursor);
    return c.json({ removals: page.items.map(toRemovalView), ...next }, 200);
  });
  app.openapi(planAll, async (c) => {
    requireAdministrator(c);
    return c.json(toPlanView(await c.var.scope.operations.planCollection(null)), 200);
  });
  app.openapi(collectAll, async (c) => {
    requireAdministrator(c);
    const collected = toCollectionView(await c.var.scope.operations.collectGarbage());
    recordAudit(c, { kind: 'collect_garbage', metadata: collected.removed });
    return c.json(collected, 200);
  });
  app.openapi(readAudit, async (c) => {
    requireAdministrator(c);
    const { finished, running } = await c.var.scope.operations.readAudit();
    return c.json(
      {
        finished: finished && toAuditView(finished),
        running: running && toAuditView(running),
      },
      200,
    );
  });
  return app;
}

async function explainDigest(
  c: Context<AppEnv>,
  noun: 'manifest' | 'blob',
): Promise<z.infer<typeof standingView>> {
  const { repository: name = '', digest: text = '' } = c.req.param();
  const digest = requireDigest(text);
  const repository = await requireRepositoryRole(c, name, 'read');
  const standing = (await c.var.scope.operations.explainDigest(repository, digest))[noun];
  if (standing === null) {
    throw new ManagementError('not_found', `${noun} ${digest} was not here in the last 90 days`);
  }
  return toStandingView(digest, standing);
}
