import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import {
  TAG_VIEW_PAGE_MAX,
  TAG_VIEWS_PER_PAGE_DEFAULT,
  TAG_VIEWS_PER_PAGE_MAX,
} from '../../model/limits.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireManifest, requireRepositoryRole, requireWritableRepository } from './access.ts';
import { ManagementError } from './errors.ts';
import { requireDigest, requireTagName } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  countParam,
  digestText,
  done,
  ofRepository,
  refusals,
  repositoryParams,
  switchParam,
  tagNameText,
  takes,
  WRITE_REFUSALS,
} from './schemas.ts';
import { changeTag, tagChange } from './tag-changes.ts';
import { tagPullsView, tagView, toTagPullsView, toTagView } from './tag-views.ts';

const TAGS = ['Tags'];
const tagParams = repositoryParams.extend({
  tag: tagNameText.openapi({ description: 'The name of a tag.' }),
});

const listTags = createRoute({
  method: 'get',
  path: ofRepository('/tag'),
  operationId: 'listTags',
  tags: TAGS,
  summary: 'What tags are and were, the newest first',
  request: {
    params: repositoryParams,
    query: z.strictObject({
      specificTag: tagNameText.min(1).optional().openapi({ description: 'One name alone.' }),
      filter_tag_name: z.string().min(1).optional().openapi({
        description: '`eq:<name>`, or `like:<text>` for names that hold the text.',
        example: 'like:1.',
      }),
      limit: countParam(TAG_VIEWS_PER_PAGE_MAX).optional().openapi({
        description: 'How many a page has; 50 by default.',
      }),
      page: countParam(TAG_VIEW_PAGE_MAX).optional().openapi({
        description: 'Which page, from 1 on.',
      }),
      onlyActiveTags: switchParam.openapi({ description: 'Leaves out what has ended.' }),
    }),
  },
  responses: {
    200: answers(
      z.strictObject({ tags: z.array(tagView), page: z.int(), has_additional: z.boolean() }),
      'A page of the history.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const putTag = createRoute({
  method: 'put',
  path: ofRepository('/tag/{tag}'),
  operationId: 'changeTag',
  tags: TAGS,
  summary: 'Sets when a tag ends, locks or unlocks it, makes it or moves it; in this order',
  request: { params: tagParams, body: takes(tagChange) },
  responses: {
    201: answers(z.literal('Updated'), 'All that was asked for is so.'),
    ...refusals(...WRITE_REFUSALS, 'tag_immutable'),
  },
});

const deleteTag = createRoute({
  method: 'delete',
  path: ofRepository('/tag/{tag}'),
  operationId: 'deleteTag',
  tags: TAGS,
  summary: 'Ends a tag; it can be restored while the time machine keeps it',
  request: { params: tagParams },
  responses: { 204: done('It has ended.'), ...refusals(...WRITE_REFUSALS, 'tag_immutable') },
});

const restoreTag = createRoute({
  method: 'post',
  path: ofRepository('/tag/{tag}/restore'),
  operationId: 'restoreTag',
  tags: TAGS,
  summary: 'Points a tag to a manifest that the time machine still keeps',
  request: {
    params: tagParams,
    body: takes(z.strictObject({ manifest_digest: digestText }).openapi('TagRestore')),
  },
  responses: {
    200: answers(z.strictObject({}), 'It is restored.'),
    ...refusals(...WRITE_REFUSALS, 'tag_immutable'),
  },
});

const expireTag = createRoute({
  method: 'post',
  path: ofRepository('/tag/{tag}/expire'),
  operationId: 'expireTag',
  tags: TAGS,
  summary: 'Puts what a tag was beyond recovery, where PERMANENT_TAG_DELETION is on',
  request: {
    params: tagParams,
    body: takes(
      z
        .strictObject({
          manifest_digest: digestText,
          include_submanifests: z.boolean().default(false),
          is_alive: z.boolean().default(false).openapi({
            description: 'Ends the tag as it is now; else all that it was on this manifest.',
          }),
        })
        .openapi('TagExpiry'),
    ),
  },
  responses: { 200: answers(z.literal(''), 'It is gone.'), ...refusals(...WRITE_REFUSALS) },
});

const tagPulls = createRoute({
  method: 'get',
  path: ofRepository('/tag/{tag}/pull_statistics'),
  operationId: 'readTagPulls',
  tags: TAGS,
  summary: 'How often a tag and its manifest were pulled, and when last',
  request: { params: tagParams },
  responses: { 200: answers(tagPullsView, 'The figures.'), ...refusals(...ACCESS_REFUSALS) },
});

/** The history of tags, and all that changes them. */
export function tagRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  addReads(app);
  addWrites(app);
  return app;
}

function addReads(app: OpenAPIHono<AppEnv>): void {
  app.openapi(listTags, async (c) => {
    const { specificTag, filter_tag_name: filterTagName, ...query } = c.req.valid('query');
    const specificTagName =
      specificTag === undefined ? undefined : requireTagName(specificTag, 'specificTag');
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'read');
    const { registry, operations, settings } = c.var.scope;
    const { page = 1, limit: size = TAG_VIEWS_PER_PAGE_DEFAULT } = query;
    const { items, hasMore } = await registry.listRepositoryTagHistory(repository, {
      page,
      size,
      activeTagsOnly: query.onlyActiveTags === 'true',
      ...(specificTagName === undefined ? {} : { specificTagName }),
      ...(filterTagName === undefined ? {} : { filterTagName }),
    });
    const children = await operations.listNamedChildren(items.map(({ manifest }) => manifest));
    const tags = items.map((tag) =>
      toTagView(tag, {
        children: children.get(tag.manifest.id),
        isLockable: settings.immutableTags,
      }),
    );
    return c.json({ tags, page, has_additional: hasMore }, 200);
  });
  app.openapi(tagPulls, async (c) => {
    const { repository: name, tag } = c.req.valid('param');
    const tagName = requireTagName(tag);
    const repository = await requireRepositoryRole(c, name, 'read');
    const pulls = await c.var.scope.operations.readPullStatistics(repository, tagName);
    if (pulls === null) {
      throw new ManagementError('not_found', `tag '${tagName}' not found`);
    }
    return c.json(toTagPullsView(pulls), 200);
  });
}

function addWrites(app: OpenAPIHono<AppEnv>): void {
  app.openapi(putTag, async (c) => {
    const { repository: name, tag } = c.req.valid('param');
    await changeTag(c, { name, tagName: requireTagName(tag) }, c.req.valid('json'));
    return c.json('Updated' as const, 201);
  });
  app.openapi(deleteTag, async (c) => {
    const { repository: name, tag } = c.req.valid('param');
    const tagName = requireTagName(tag);
    const repository = await requireWritableRepository(c, name);
    const { registry, operations } = c.var.scope;
    const deleted = await registry.deleteTag(repository, tagName);
    if (deleted === null) {
      throw new ManagementError('not_found', `tag '${tagName}' not found`);
    }
    const { namespaceName: namespace, name: path } = repository;
    await operations.forgetManifest({ namespace, repository: path }, deleted.manifestDigest);
    const metadata = { tag: tagName, manifest_digest: deleted.manifestDigest };
    recordAudit(c, { kind: 'delete_tag', repository, metadata });
    return c.body(null, 204);
  });
  app.openapi(restoreTag, async (c) => {
    const { repository: name, tag } = c.req.valid('param');
    const tagName = requireTagName(tag);
    const digest = requireDigest(c.req.valid('json').manifest_digest, 'manifest_digest');
    const repository = await requireWritableRepository(c, name);
    const found = { repository, digest };
    const manifest = await requireManifest(c, found, { allowDead: true, requireAvailable: true });
    await c.var.scope.registry.retargetTag(repository, tagName, manifest, { isReversion: true });
    const metadata = { tag: tagName, manifest_digest: digest };
    recordAudit(c, { kind: 'revert_tag', repository, metadata });
    return c.json({}, 200);
  });
  app.openapi(expireTag, async (c) => {
    const { repository: name, tag } = c.req.valid('param');
    const { manifest_digest: text, ...body } = c.req.valid('json');
    const [tagName, digest] = [requireTagName(tag), requireDigest(text, 'manifest_digest')];
    const repository = await requireWritableRepository(c, name);
    const { registry, operations, settings } = c.var.scope;
    if (!settings.permanentTagDeletion) {
      throw new ManagementError('not_found', 'tags are not deleted for good here');
    }
    const manifest = await requireManifest(c, { repository, digest }, { allowDead: true });
    const isGone = await registry.removeTagFromTimemachine(repository, tagName, manifest, {
      includeSubmanifests: body.include_submanifests,
      isAlive: body.is_alive,
    });
    if (!isGone) {
      throw new ManagementError('not_found', `no tag '${tagName}' on ${digest} can be expired`);
    }
    const { namespaceName: namespace, name: path } = repository;
    await operations.forgetManifest({ namespace, repository: path }, digest);
    const metadata = { tag: tagName, manifest_digest: digest };
    recordAudit(c, { kind: 'permanently_delete_tag', repository, metadata });
    return c.json('' as const, 200);
  });
}
