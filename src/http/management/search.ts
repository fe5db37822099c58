import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import { SEARCH_PAGE_MAX, SEARCH_PAGE_SIZE, SEARCH_TEXT_LENGTH_MAX } from '../../model/limits.ts';
import type { AppEnv } from '../scope.ts';
import { searcherOf } from './access.ts';
import { descriptionText, listedRepositoryView, toListedView } from './repository-views.ts';
import { createManagementRouter } from './router.ts';
import { answers, countParam, namespaceNameText, refusals, switchParam } from './schemas.ts';

const foundView = z
  .strictObject({
    ...listedRepositoryView.shape,
    kind: z.literal('repository'),
    namespace: z.strictObject({ name: namespaceNameText, kind: z.enum(['user', 'organization']) }),
    description: descriptionText,
    score: z
      .int()
      .min(1)
      .max(4)
      .openapi({
        description:
          '4: it is called so, or the last part of its name is; 3: a part of its name begins so; ' +
          '2: its name has it in it; 1: its description has.',
      }),
    href: z.string().openapi({
      description: 'Its path in this API.',
      example: '/api/v1/repository/acme/app',
    }),
    last_modified: z.int().nullable().optional().openapi({
      description:
        'With `includeUsage`: when its newest tag was made, in seconds; null if it has none.',
    }),
  })
  .openapi('FoundRepository');

const findRepositories = createRoute({
  method: 'get',
  path: '/find/repositories',
  operationId: 'findRepositories',
  tags: ['Repositories'],
  summary: 'The repositories that the caller may read and that hold a text, the best first',
  request: {
    query: z.strictObject({
      query: z.string().max(SEARCH_TEXT_LENGTH_MAX).default('').openapi({
        description: 'Looked for in names and descriptions, in upper and lower case.',
      }),
      page: countParam(SEARCH_PAGE_MAX).default(1).openapi({
        description: 'Which page, from 1 on.',
      }),
      includeUsage: switchParam.openapi({ description: 'Adds `last_modified`.' }),
    }),
  },
  responses: {
    200: answers(
      z.strictObject({
        results: z.array(foundView),
        has_additional: z.boolean(),
        page: z.int(),
        page_size: z.int(),
        start_index: z.int(),
      }),
      'A page of them.',
    ),
    ...refusals('invalid_token'),
  },
});

/** The search for repositories. */
export function searchRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(findRepositories, async (c) => {
    const { query, page, includeUsage } = c.req.valid('query');
    const { registry, operations } = c.var.scope;
    const searcher = await searcherOf(c);
    const { items, hasMore } = await operations.searchRepositories(searcher, query, {
      page,
      size: SEARCH_PAGE_SIZE,
    });
    const repositories = items.map(({ repository }) => repository);
    const newest =
      includeUsage === 'true' ? await registry.getMostRecentTagLifetimeStart(repositories) : null;
    const results = items.map(({ repository, namespaceKind, description, score }) => {
      const { namespaceName, name, id } = repository;
      return {
        ...toListedView(repository),
        kind: 'repository' as const,
        namespace: { name: namespaceName, kind: namespaceKind },
        description,
        score,
        href: `/api/v1/repository/${namespaceName}/${name}`,
        ...(newest === null ? {} : { last_modified: newest.get(id) ?? null }),
      };
    });
    return c.json(
      {
        results,
        has_additional: hasMore,
        page,
        page_size: SEARCH_PAGE_SIZE,
        start_index: (page - 1) * SEARCH_PAGE_SIZE,
      },
      200,
    );
  });
  return app;
}
