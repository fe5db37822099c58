import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import { GRANT_KINDS, REPOSITORY_ROLES, type RepositoryRight } from '../../model/access.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireRepositoryRole } from './access.ts';
import { ManagementError } from './errors.ts';
import { listOf, nextPageOf, pageQuery, toPageOptions } from './pages.ts';
import { requireAccountName, requireKnownAccount } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  accountNameText,
  accountParam,
  answers,
  done,
  nextPage,
  ofRepository,
  refusals,
  repositoryParams,
  takes,
} from './schemas.ts';

const TAGS = ['Permissions'];

const permissionParams = repositoryParams.extend({ account: accountParam });

const permissionView = z
  .strictObject({
    name: accountNameText,
    role: z.enum(REPOSITORY_ROLES),
    is_robot: z.boolean(),
    is_org_member: z.boolean(),
  })
  .openapi('Permission');

const listPermissions = createRoute({
  method: 'get',
  path: ofRepository('/permissions/user'),
  operationId: 'listPermissions',
  tags: TAGS,
  summary: 'Who was given a right in a repository, by name',
  request: { params: repositoryParams, query: pageQuery },
  responses: {
    200: answers(
      z.strictObject({
        permissions: z.record(z.string(), permissionView),
        next_page: nextPage,
      }),
      'A page of them.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const readPermission = createRoute({
  method: 'get',
  path: ofRepository('/permissions/user/{account}'),
  operationId: 'readPermission',
  tags: TAGS,
  summary: 'The right that somebody was given',
  request: { params: permissionParams },
  responses: { 200: answers(permissionView, 'The right.'), ...refusals(...ACCESS_REFUSALS) },
});

const setPermission = createRoute({
  method: 'put',
  path: ofRepository('/permissions/user/{account}'),
  operationId: 'setPermission',
  tags: TAGS,
  summary: 'Gives a person, or a robot of the same namespace, a right, or another one',
  request: {
    params: permissionParams,
    body: takes(z.strictObject({ role: z.enum(REPOSITORY_ROLES) }).openapi('PermissionRole')),
  },
  responses: {
    200: answers(permissionView, 'The right.'),
    ...refusals(...ACCESS_REFUSALS, 'exceeds_license'),
  },
});

const removePermission = createRoute({
  method: 'delete',
  path: ofRepository('/permissions/user/{account}'),
  operationId: 'removePermission',
  tags: TAGS,
  summary: 'Takes a right back; what they may by other grants stays',
  request: { params: permissionParams },
  responses: { 204: done('It is gone.'), ...refusals(...ACCESS_REFUSALS) },
});

const explainPermission = createRoute({
  method: 'get',
  path: ofRepository('/permissions/user/{account}/transitive'),
  operationId: 'explainPermission',
  tags: TAGS,
  summary: 'All that somebody may do something in a repository by',
  description: 'What they may is the furthest of it; a robot does no more than it is for.',
  request: { params: permissionParams },
  responses: {
    200: answers(
      z.strictObject({
        permissions: z.array(
          z
            .strictObject({
              role: z.enum(REPOSITORY_ROLES),
              by: z.enum(GRANT_KINDS).openapi({
                description:
                  'It is in their own namespace; they are an admin of its organization; that gives ' +
                  'all its members so much; they were given a right here; everybody may read it.',
              }),
            })
            .openapi('Grant'),
        ),
      }),
      'The grants, at least one.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

/** Who may do what in a repository. */
export function permissionRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(listPermissions, async (c) => {
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'admin');
    const options = toPageOptions(c, c.req.valid('query'));
    const { items, cursor } = await c.var.scope.operations.listRepositoryRights(
      repository,
      options,
    );
    const permissions = Object.fromEntries(items.map((right) => [right.name, toView(right)]));
    return c.json({ permissions, ...nextPageOf(listOf(c), cursor) }, 200);
  });
  app.openapi(readPermission, async (c) => {
    const { repository: text, account } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, text, 'admin');
    const name = requireAccountName(account);
    const right = await c.var.scope.operations.getRepositoryRight(repository, name);
    if (right === null) {
      throw noRight(name);
    }
    return c.json(toView(right), 200);
  });
  app.openapi(explainPermission, async (c) => {
    const { repository: text, account } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, text, 'admin');
    const name = requireAccountName(account);
    const explained = await c.var.scope.operations.explainAccess(repository, name);
    if (explained === null || explained.grants.length === 0) {
      throw new ManagementError('not_found', `'${name}' may do nothing here`);
    }
    const permissions = explained.grants.map(({ kind, role }) => ({ role, by: kind }));
    return c.json({ permissions }, 200);
  });
  app.openapi(setPermission, async (c) => {
    const { repository: text, account } = c.req.valid('param');
    const { role } = c.req.valid('json');
    const repository = await requireRepositoryRole(c, text, 'admin');
    const name = requireAccountName(account);
    const { operations } = c.var.scope;
    const right = await requireKnownAccount(
      name,
      operations.setRepositoryRight(repository, name, role),
    );
    recordAudit(c, {
      kind: 'change_repo_permission',
      repository,
      metadata: { username: name, role },
    });
    return c.json(toView(right), 200);
  });
  app.openapi(removePermission, async (c) => {
    const { repository: text, account } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, text, 'admin');
    const name = requireAccountName(account);
    if (!(await c.var.scope.operations.removeRepositoryRight(repository, name))) {
      throw noRight(name);
    }
    recordAudit(c, { kind: 'delete_repo_permission', repository, metadata: { username: name } });
    return c.body(null, 204);
  });
  return app;
}

function toView(right: RepositoryRight): z.infer<typeof permissionView> {
  const { name, role, kind, isMember } = right;
  return { name, role, is_robot: kind === 'robot', is_org_member: isMember };
}

function noRight(name: string): ManagementError {
  return new ManagementError('not_found', `'${name}' was given no right here`);
}
