import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import { REPOSITORY_ROLES } from '../../model/access.ts';
import { parseAccountName, ROBOT_PURPOSES, type Robot } from '../../model/accounts.ts';
import type { JsonObject } from '../../model/datatypes.ts';
import { ROBOT_DESCRIPTION_LENGTH_MAX } from '../../model/limits.ts';
import type { NamespaceName } from '../../model/names.ts';
import { formatRfc2822 } from '../../model/rfc2822.ts';
import type { RobotContent } from '../../registry/accounts/robots.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { ManagementError } from './errors.ts';
import {
  NAMESPACE_OWNERS,
  type NamespaceOwner,
  requireChangeableNamespace,
  requireReadableNamespace,
} from './namespace-owners.ts';
import { listOf, nextPageOf, pageQuery, toPageOptions } from './pages.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  accountNameText,
  answers,
  done,
  namespaceNameText,
  nextPage,
  refusals,
  repositoryPathText,
  rfc2822,
  secretText,
  takes,
} from './schemas.ts';

const TAGS = ['Robots'];

export const robotParam = z.object({
  robot: z.string().openapi({
    param: { name: 'robot', in: 'path' },
    description: 'What the robot is called within its namespace.',
    example: 'ci',
  }),
});

const metadata = z.record(z.string(), z.unknown()).openapi({
  description: 'Whatever its owner keeps about it; 10,000 characters of JSON at most.',
  example: { team: 'payments' },
});

// Two schemas of the same fields: a strict one that extends another allows nothing in the document.
const robotFields = {
  name: accountNameText,
  created: rfc2822,
  last_accessed: rfc2822.nullable().openapi({ description: 'To the day; null: never.' }),
  description: z.string().openapi({ example: 'Deploys the shop.' }),
  purpose: z.enum(ROBOT_PURPOSES).openapi({
    description: 'It may do no more than this, whatever rights it has.',
  }),
  enabled: z.boolean(),
  unstructured_metadata: metadata,
};
const robotView = z.strictObject(robotFields).openapi('Robot');
const newRobotView = z
  .strictObject({
    ...robotFields,
    token: secretText.openapi({ description: 'Its secret, which is shown this once.' }),
  })
  .openapi('NewRobot');

const permissionOfRobotView = z
  .strictObject({
    repository: z.strictObject({
      name: repositoryPathText,
      namespace: namespaceNameText,
      is_public: z.boolean(),
    }),
    role: z.enum(REPOSITORY_ROLES),
  })
  .openapi('RobotPermission');

const contentFields = {
  description: z.string().max(ROBOT_DESCRIPTION_LENGTH_MAX).optional(),
  purpose: z.enum(ROBOT_PURPOSES).optional(),
  unstructured_metadata: metadata.optional(),
};
const content = z.strictObject(contentFields).openapi('RobotContent');
const change = z
  .strictObject({
    ...contentFields,
    enabled: z.boolean().optional().openapi({ description: 'False: it may not log in.' }),
  })
  .refine((fields) => Object.values(fields).some((value) => value !== undefined), {
    message: 'expected description, purpose, unstructured_metadata or enabled',
  })
  .openapi('RobotChange');

/** The endpoints that show robots, for one kind of owner. */
function describeReads(owner: NamespaceOwner) {
  const { at, params, suffix } = NAMESPACE_OWNERS[owner];
  const one = params.extend(robotParam.shape);
  const REFUSALS = refusals(...ACCESS_REFUSALS);
  return {
    list: createRoute({
      method: 'get',
      path: at('/robots'),
      operationId: `listRobots${suffix}`,
      tags: TAGS,
      summary: 'The robots of a namespace, by name; for all its members',
      request: { params, query: pageQuery },
      responses: {
        200: answers(
          z.strictObject({ robots: z.array(robotView), next_page: nextPage }),
          'A page of robots.',
        ),
        ...REFUSALS,
      },
    }),
    read: createRoute({
      method: 'get',
      path: at('/robots/{robot}'),
      operationId: `readRobot${suffix}`,
      tags: TAGS,
      summary: 'A robot, without its secret',
      request: { params: one },
      responses: { 200: answers(robotView, 'The robot.'), ...REFUSALS },
    }),
    permissions: createRoute({
      method: 'get',
      path: at('/robots/{robot}/permissions'),
      operationId: `listRobotPermissions${suffix}`,
      tags: TAGS,
      summary: 'Where a robot was given a right, the oldest repository first',
      request: { params: one, query: pageQuery },
      responses: {
        200: answers(
          z.strictObject({ permissions: z.array(permissionOfRobotView), next_page: nextPage }),
          'A page of them.',
        ),
        ...REFUSALS,
      },
    }),
  };
}

/** The endpoints that change robots, for one kind of owner. */
function describeWrites(owner: NamespaceOwner) {
  const { at, params, suffix } = NAMESPACE_OWNERS[owner];
  const one = params.extend(robotParam.shape);
  const REFUSALS = refusals(...ACCESS_REFUSALS);
  return {
    create: createRoute({
      method: 'put',
      path: at('/robots/{robot}'),
      operationId: `createRobot${suffix}`,
      tags: TAGS,
      summary: 'Makes a robot, and shows its secret',
      request: { params: one, body: takes(content) },
      responses: {
        201: answers(newRobotView, 'The robot.'),
        ...refusals(...ACCESS_REFUSALS, 'exceeds_license'),
      },
    }),
    change: createRoute({
      method: 'patch',
      path: at('/robots/{robot}'),
      operationId: `changeRobot${suffix}`,
      tags: TAGS,
      summary: 'Changes what is said of a robot, what it is for, or whether it may log in',
      request: { params: one, body: takes(change) },
      responses: { 200: answers(robotView, 'As it is now.'), ...REFUSALS },
    }),
    regenerate: createRoute({
      method: 'post',
      path: at('/robots/{robot}/regenerate'),
      operationId: `regenerateRobotToken${suffix}`,
      tags: TAGS,
      summary: 'Draws a new secret; the old one is good no more',
      request: { params: one },
      responses: { 200: answers(newRobotView, 'The robot.'), ...REFUSALS },
    }),
    remove: createRoute({
      method: 'delete',
      path: at('/robots/{robot}'),
      operationId: `deleteRobot${suffix}`,
      tags: TAGS,
      summary: 'Removes a robot with its rights',
      request: { params: one },
      responses: { 204: done('It is gone.'), ...REFUSALS },
    }),
  };
}

/** The robots of namespaces. Their secrets are shown when they are drawn, and never again. */
export function robotRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  for (const owner of ['organization', 'user'] as const) {
    addReads(app, owner);
    addWrites(app, owner);
  }
  return app;
}

function addReads(app: OpenAPIHono<AppEnv>, owner: NamespaceOwner): void {
  const routes = describeReads(owner);
  app.openapi(routes.list, async (c) => {
    const namespace = await requireReadableNamespace(c, owner);
    const options = toPageOptions(c, c.req.valid('query'));
    const { items, cursor } = await c.var.scope.operations.listRobots(namespace, options);
    const next = nextPageOf(listOf(c), cursor);
    return c.json({ robots: items.map(toRobotView), ...next }, 200);
  });
  app.openapi(routes.read, async (c) => {
    const { robot } = await requireRobot(c, owner);
    return c.json(toRobotView(robot), 200);
  });
  app.openapi(routes.permissions, async (c) => {
    const { robot } = await requireRobot(c, owner);
    const options = toPageOptions(c, c.req.valid('query'));
    const { items, cursor } = await c.var.scope.operations.listRightsOf(robot, options);
    const permissions = items.map(({ repository: { namespace, repository: name }, ...right }) => ({
      repository: { name, namespace, is_public: right.isPublic },
      role: right.role,
    }));
    return c.json({ permissions, ...nextPageOf(listOf(c), cursor) }, 200);
  });
}

function addWrites(app: OpenAPIHono<AppEnv>, owner: NamespaceOwner): void {
  const routes = describeWrites(owner);
  app.openapi(routes.create, async (c) => {
    const { robot: shortName } = c.req.valid('param');
    const said = toContent(c.req.valid('json'));
    const namespace = await requireChangeableNamespace(c, owner);
    if (parseAccountName(`${namespace}+${shortName}`) === null) {
      throw new ManagementError('invalid_request', `robot: nobody can be called '${shortName}'`);
    }
    const { operations } = c.var.scope;
    const { robot, secret } = await operations.createRobot(namespace, shortName, said);
    recordAudit(c, { kind: 'create_robot', namespace, metadata: { robot: robot.name } });
    return c.json({ ...toRobotView(robot), token: secret }, 201);
  });
  app.openapi(routes.change, async (c) => {
    const { robot: shortName } = c.req.valid('param');
    const { enabled, ...fields } = c.req.valid('json');
    const namespace = await requireChangeableNamespace(c, owner);
    const changes = {
      ...toContent(fields),
      ...(enabled === undefined ? {} : { isEnabled: enabled }),
    };
    const robot = await c.var.scope.operations.changeRobot(namespace, shortName, changes);
    const { purpose, isEnabled } = robot;
    const deed = { robot: robot.name, purpose, enabled: isEnabled };
    recordAudit(c, { kind: 'change_robot', namespace, metadata: deed });
    return c.json(toRobotView(robot), 200);
  });
  app.openapi(routes.regenerate, async (c) => {
    const { robot: shortName } = c.req.valid('param');
    const namespace = await requireChangeableNamespace(c, owner);
    const { operations } = c.var.scope;
    const { robot, secret } = await operations.regenerateRobotToken(namespace, shortName);
    recordAudit(c, { kind: 'regenerate_robot_token', namespace, metadata: { robot: robot.name } });
    return c.json({ ...toRobotView(robot), token: secret }, 200);
  });
  app.openapi(routes.remove, async (c) => {
    const { robot: shortName } = c.req.valid('param');
    const namespace = await requireChangeableNamespace(c, owner);
    if (!(await c.var.scope.operations.deleteRobot(namespace, shortName))) {
      throw noRobot(shortName);
    }
    recordAudit(c, { kind: 'delete_robot', namespace, metadata: { robot: shortName } });
    return c.body(null, 204);
  });
}

/** The robot of a request's path, and its namespace, if the caller may change them. */
export async function requireRobot(
  c: Context<AppEnv>,
  owner: NamespaceOwner,
): Promise<{ readonly namespace: NamespaceName; readonly robot: Robot }> {
  const namespace = await requireChangeableNamespace(c, owner);
  const shortName = c.req.param('robot') ?? '';
  const robot = await c.var.scope.operations.getRobot(namespace, shortName);
  if (robot === null) {
    throw noRobot(shortName);
  }
  return { namespace, robot };
}

function toContent({
  description,
  purpose,
  unstructured_metadata: said,
}: z.infer<typeof content>): RobotContent {
  return {
    ...(description === undefined ? {} : { description }),
    ...(purpose === undefined ? {} : { purpose }),
    // It came as JSON.
    ...(said === undefined ? {} : { metadata: said as JsonObject }),
  };
}

function toRobotView(robot: Robot): z.infer<typeof robotView> {
  return {
    name: robot.name,
    created: formatRfc2822(robot.createdMs),
    last_accessed: robot.lastUsedMs === null ? null : formatRfc2822(robot.lastUsedMs),
    description: robot.description,
    purpose: robot.purpose,
    enabled: robot.isEnabled,
    unstructured_metadata: robot.metadata,
  };
}

export function noRobot(shortName: string): ManagementError {
  return new ManagementError('not_found', `there is no robot '${shortName}'`);
}
