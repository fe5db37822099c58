import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import { StoreUnavailable } from '../../model/errors.ts';
import {
  REPOSITORIES_PER_PAGE,
  REPOSITORY_DESCRIPTION_LENGTH_MAX,
  TAGS_OF_REPOSITORY_MAX,
} from '../../model/limits.ts';
import { formatRepositoryName } from '../../model/names.ts';
import { REPOSITORY_STATES } from '../../model/references.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import {
  openRepository,
  requireCreator,
  requirePerson,
  requireRepositoryRole,
  whichMayRead,
} from './access.ts';
import { ManagementError } from './errors.ts';
import { listOf, nextPageOf, openToken } from './pages.ts';
import { requireNamespaceName, requireRepositoryName } from './parse.ts';
import {
  describedRepositoryView,
  repositoryView,
  toListedView,
  toRepositoryView,
} from './repository-views.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  done,
  namespaceNameText,
  nextPageParam,
  ofRepository,
  refusals,
  repositoryNameText,
  repositoryParams,
  repositoryPathText,
  switchParam,
  takes,
} from './schemas.ts';

const TAGS = ['Repositories'];

const description = z.string().max(REPOSITORY_DESCRIPTION_LENGTH_MAX);

const listRepositories = createRoute({
  method: 'get',
  path: '/repository',
  operationId: 'listRepositories',
  tags: TAGS,
  summary: 'The repositories that the caller may read, by name',
  request: {
    query: z
      .strictObject({
        namespace: namespaceNameText
          .min(1)
          .optional()
          .openapi({ description: 'Those of one namespace.' }),
        public: z.literal('true').optional().openapi({ description: 'Those that everybody sees.' }),
        last_modified: switchParam.openapi({ description: 'Adds when the newest tag was made.' }),
        next_page: nextPageParam,
      })
      .refine((query) => query.namespace !== undefined || query.public !== undefined, {
        message: 'expected namespace or public',
      }),
  },
  responses: {
    200: answers(
      z.strictObject({
        repositories: z.array(describedRepositoryView),
        next_page: repositoryNameText.optional().openapi({
          description: 'There if there may be more; a page that has it can even be empty.',
        }),
      }),
      'A page of them.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const createRepository = createRoute({
  method: 'post',
  path: '/repository',
  operationId: 'createRepository',
  tags: TAGS,
  summary: 'Makes a repository',
  request: {
    body: takes(
      z
        .strictObject({
          namespace: namespaceNameText.optional().openapi({
            description: 'The own one of the person who calls, by default.',
          }),
          repository: repositoryPathText,
          visibility: z.enum(['public', 'private']),
          description: description.default(''),
          repo_kind: z.literal('image').default('image'),
        })
        .openapi('NewRepository'),
    ),
  },
  responses: {
    201: answers(
      z.strictObject({
        namespace: namespaceNameText,
        name: repositoryPathText,
        kind: z.literal('image'),
      }),
      'It is made.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const changeState = createRoute({
  method: 'put',
  path: ofRepository('/changestate'),
  operationId: 'changeRepositoryState',
  tags: TAGS,
  summary: 'Has a repository take pushes, or none',
  request: {
    params: repositoryParams,
    body: takes(
      z
        .strictObject({ state: z.enum(['NORMAL', 'READ_ONLY', 'MIRROR']) })
        .openapi('RepositoryState'),
    ),
  },
  responses: {
    200: answers(z.strictObject({ success: z.literal(true) }), 'It is so.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const changeVisibility = createRoute({
  method: 'post',
  path: ofRepository('/changevisibility'),
  operationId: 'changeRepositoryVisibility',
  tags: TAGS,
  summary: 'Shows a repository to everybody, or to those alone who have a right there',
  request: {
    params: repositoryParams,
    body: takes(
      z.strictObject({ visibility: z.enum(['public', 'private']) }).openapi('RepositoryVisibility'),
    ),
  },
  responses: {
    200: answers(z.strictObject({ success: z.literal(true) }), 'It is so.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const describeRepository = createRoute({
  method: 'get',
  path: ofRepository(''),
  operationId: 'describeRepository',
  tags: TAGS,
  summary: 'A repository, and its tags as they are',
  request: {
    params: repositoryParams,
    query: z.strictObject({ includeTags: switchParam.openapi({ description: 'On by default.' }) }),
  },
  responses: { 200: answers(repositoryView, 'The repository.'), ...refusals(...ACCESS_REFUSALS) },
});

const changeDescription = createRoute({
  method: 'put',
  path: ofRepository(''),
  operationId: 'changeRepositoryDescription',
  tags: TAGS,
  summary: 'Says what a repository is for',
  request: {
    params: repositoryParams,
    body: takes(z.strictObject({ description }).openapi('RepositoryDescription')),
  },
  responses: {
    200: answers(z.strictObject({ success: z.literal(true) }), 'It is said.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const deleteRepository = createRoute({
  method: 'delete',
  path: ofRepository(''),
  operationId: 'deleteRepository',
  tags: TAGS,
  summary: 'Deletes a repository for good, locked tags too; its name is free at once',
  request: { params: repositoryParams },
  responses: { 204: done('It is gone.'), ...refusals(...ACCESS_REFUSALS) },
});

const STATES = {
  NORMAL: REPOSITORY_STATES.normal,
  READ_ONLY: REPOSITORY_STATES.readOnly,
  MIRROR: REPOSITORY_STATES.mirror,
} as const;

/** Repositories themselves. To be added last: their names match all that follows a name too. */
export function repositoryRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  addLists(app);
  app.openapi(changeState, async (c) => {
    const { repository: name } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, name, 'admin');
    const state = STATES[c.req.valid('json').state];
    if (!(await c.var.scope.operations.changeRepositoryState(repository, state))) {
      throw new ManagementError('not_found', `repository '${name}' not found`);
    }
    const metadata = { state: c.req.valid('json').state };
    recordAudit(c, { kind: 'change_repo_state', repository, metadata });
    return c.json({ success: true as const }, 200);
  });
  app.openapi(changeVisibility, async (c) => {
    const { repository: name } = c.req.valid('param');
    const { visibility } = c.req.valid('json');
    const repository = await requireRepositoryRole(c, name, 'admin');
    if (!(await c.var.scope.operations.changeVisibility(repository, visibility))) {
      throw new ManagementError('not_found', `repository '${name}' not found`);
    }
    recordAudit(c, { kind: 'change_repo_visibility', repository, metadata: { visibility } });
    return c.json({ success: true as const }, 200);
  });
  app.openapi(describeRepository, async (c) => {
    const { repository: name } = c.req.valid('param');
    const { repository, has } = await openRepository(c, name, 'read');
    const { registry, operations } = c.var.scope;
    const [namespace, text, tags] = await Promise.all([
      operations.getNamespace(repository.namespaceName),
      operations.getRepositoryDescription(repository),
      c.req.valid('query').includeTags === 'false'
        ? null
        : registry.listRepositoryTagHistory(repository, {
            activeTagsOnly: true,
            size: TAGS_OF_REPOSITORY_MAX,
          }),
    ]);
    if (namespace === null || text === null) {
      throw new ManagementError('not_found', `repository '${name}' not found`);
    }
    const rights = { canWrite: has('write'), canAdmin: has('admin') };
    const more = { namespace, description: text, ...rights, tags: tags && tags.items };
    return c.json(toRepositoryView(repository, more), 200);
  });
  app.openapi(changeDescription, async (c) => {
    const { repository: name } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, name, 'write');
    const { description: text } = c.req.valid('json');
    if (!(await c.var.scope.operations.changeRepositoryDescription(repository, text))) {
      throw new ManagementError('not_found', `repository '${name}' not found`);
    }
    recordAudit(c, { kind: 'set_repo_description', repository, metadata: { description: text } });
    return c.json({ success: true as const }, 200);
  });
  app.openapi(deleteRepository, async (c) => {
    const { repository: name } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, name, 'admin');
    if (!(await c.var.scope.operations.markRepositoryForDeletion(repository))) {
      throw new ManagementError('not_found', `repository '${name}' not found`);
    }
    recordAudit(c, { kind: 'delete_repo', repository });
    return c.body(null, 204);
  });
  return app;
}

function addLists(app: OpenAPIHono<AppEnv>): void {
  app.openapi(listRepositories, async (c) => {
    const { namespace, public: isPublic, next_page: token, ...query } = c.req.valid('query');
    if (namespace !== undefined) {
      requireNamespaceName(namespace);
    }
    const list = listOf(c, namespace ?? '');
    const from = openToken(list, token) ?? '';
    const { items, hasMore } = await c.var.scope.operations.listRepositoryRefs(
      from,
      REPOSITORIES_PER_PAGE,
      namespace === undefined ? {} : { namespaceName: namespace },
    );
    const readable = await whichMayRead(c, items);
    const repositories = readable.filter((each) => isPublic === undefined || each.isPublic);
    const end = items.at(-1);
    const last =
      hasMore && end !== undefined
        ? formatRepositoryName({ namespace: end.namespaceName, repository: end.name })
        : null;
    const newest =
      query.last_modified === 'true'
        ? await c.var.scope.registry.getMostRecentTagLifetimeStart(repositories)
        : null;
    const views = repositories.map((each) => ({
      ...toListedView(each),
      description: each.description,
      ...(newest === null ? {} : { last_modified: newest.get(each.id) ?? null }),
    }));
    return c.json({ repositories: views, ...nextPageOf(list, last) }, 200);
  });
  app.openapi(createRepository, async (c) => {
    const { namespace: text, repository, repo_kind: kind, ...content } = c.req.valid('json');
    const namespace = text ?? (await requireOwnName(c));
    const name = requireRepositoryName(`${requireNamespaceName(namespace)}/${repository}`);
    const creatorId = await requireCreator(c, name);
    const made = await c.var.scope.operations.ensureRepository(name, { ...content, creatorId });
    if (made === null) {
      throw new ManagementError('not_found', `namespace '${namespace}' not found`);
    }
    if (made.isNew === null) {
      throw new StoreUnavailable('database', 'whether this made the repository is not known', null);
    }
    if (!made.isNew) {
      const message = `repository: '${formatRepositoryName(name)}' is there already`;
      throw new ManagementError('invalid_request', message);
    }
    recordAudit(c, { kind: 'create_repo', repository: made });
    return c.json({ namespace: made.namespaceName, name: made.name, kind }, 201);
  });
}

/** The namespace of the caller, for who names none. Refuses with `invalid_request` who has none. */
async function requireOwnName(c: Context<AppEnv>): Promise<string> {
  if (c.var.actor.kind === 'administrator') {
    throw new ManagementError('invalid_request', 'namespace: the administrator has none');
  }
  return (await requirePerson(c)).namespaceName;
}
