import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import { ROBOT_PURPOSES, type Robot } from '../../model/accounts.ts';
import { ROBOT_DESCRIPTION_LENGTH_MAX } from '../../model/limits.ts';
import { formatRfc2822 } from '../../model/rfc2822.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireNamespaceAdmin } from './access.ts';
import { ManagementError } from './errors.ts';
import { pageQuery, toPageOptions } from './pages.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  done,
  ofOrganization,
  organizationParams,
  refusals,
  rfc2822,
  takes,
} from './schemas.ts';

const TAGS = ['Robots'];

export const robotParams = organizationParams.extend({
  robot: z.string().openapi({
    param: { name: 'robot', in: 'path' },
    description: 'What the robot is called within its namespace.',
    example: 'ci',
  }),
});

// Two schemas of the same fields: a strict one that extends another allows nothing in the document.
const robotFields = {
  name: z.string().openapi({ example: 'acme+ci' }),
  created: rfc2822,
  last_accessed: rfc2822.nullable().openapi({ description: 'To the day; null: never.' }),
  description: z.string(),
  purpose: z.enum(ROBOT_PURPOSES).openapi({
    description: 'It may do no more than this, whatever rights it has.',
  }),
  enabled: z.boolean(),
};
const robotView = z.strictObject(robotFields).openapi('Robot');
const newRobotView = z
  .strictObject({
    ...robotFields,
    token: z.string().openapi({ description: 'Its secret, which is shown this once.' }),
  })
  .openapi('NewRobot');

const listRobots = createRoute({
  method: 'get',
  path: ofOrganization('/robots'),
  operationId: 'listRobots',
  tags: TAGS,
  summary: 'The robots of an organization or a person, by name',
  request: { params: organizationParams, query: pageQuery },
  responses: {
    200: answers(
      z.strictObject({ robots: z.array(robotView), next_page: z.string().optional() }),
      'A page of robots.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const readRobot = createRoute({
  method: 'get',
  path: ofOrganization('/robots/{robot}'),
  operationId: 'readRobot',
  tags: TAGS,
  summary: 'A robot, without its secret',
  request: { params: robotParams },
  responses: { 200: answers(robotView, 'The robot.'), ...refusals(...ACCESS_REFUSALS) },
});

const createRobot = createRoute({
  method: 'put',
  path: ofOrganization('/robots/{robot}'),
  operationId: 'createRobot',
  tags: TAGS,
  summary: 'Makes a robot, and shows its secret',
  request: {
    params: robotParams,
    body: takes(
      z
        .strictObject({
          description: z.string().max(ROBOT_DESCRIPTION_LENGTH_MAX).optional(),
          purpose: z.enum(ROBOT_PURPOSES).optional(),
        })
        .openapi('RobotContent'),
    ),
  },
  responses: {
    201: answers(newRobotView, 'The robot.'),
    ...refusals(...ACCESS_REFUSALS, 'exceeds_license'),
  },
});

const regenerateToken = createRoute({
  method: 'post',
  path: ofOrganization('/robots/{robot}/regenerate'),
  operationId: 'regenerateRobotToken',
  tags: TAGS,
  summary: 'Draws a new secret; the old one is good no more',
  request: { params: robotParams },
  responses: { 200: answers(newRobotView, 'The robot.'), ...refusals(...ACCESS_REFUSALS) },
});

const deleteRobot = createRoute({
  method: 'delete',
  path: ofOrganization('/robots/{robot}'),
  operationId: 'deleteRobot',
  tags: TAGS,
  summary: 'Removes a robot with its rights',
  request: { params: robotParams },
  responses: { 204: done('It is gone.'), ...refusals(...ACCESS_REFUSALS) },
});

/** The robots of a namespace. Their secrets are shown when they are drawn, and never again. */
export function robotRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(listRobots, async (c) => {
    const namespace = await requireNamespaceAdmin(c, c.req.valid('param').organization);
    const options = toPageOptions(c.req.valid('query'));
    const { items, cursor } = await c.var.scope.operations.listRobots(namespace, options);
    const next = cursor === undefined ? {} : { next_page: cursor };
    return c.json({ robots: items.map(toRobotView), ...next }, 200);
  });
  app.openapi(readRobot, async (c) => {
    const { organization, robot: shortName } = c.req.valid('param');
    const namespace = await requireNamespaceAdmin(c, organization);
    const robot = await c.var.scope.operations.getRobot(namespace, shortName);
    if (robot === null) {
      throw noRobot(shortName);
    }
    return c.json(toRobotView(robot), 200);
  });
  app.openapi(createRobot, async (c) => {
    const { organization, robot: shortName } = c.req.valid('param');
    const { description, purpose } = c.req.valid('json');
    const namespace = await requireNamespaceAdmin(c, organization);
    const { robot, secret } = await c.var.scope.operations.createRobot(namespace, shortName, {
      ...(description === undefined ? {} : { description }),
      ...(purpose === undefined ? {} : { purpose }),
    });
    recordAudit(c, { kind: 'create_robot', namespace, metadata: { robot: robot.name } });
    return c.json({ ...toRobotView(robot), token: secret }, 201);
  });
  app.openapi(regenerateToken, async (c) => {
    const { organization, robot: shortName } = c.req.valid('param');
    const namespace = await requireNamespaceAdmin(c, organization);
    const { operations } = c.var.scope;
    const { robot, secret } = await operations.regenerateRobotToken(namespace, shortName);
    recordAudit(c, { kind: 'regenerate_robot_token', namespace, metadata: { robot: robot.name } });
    return c.json({ ...toRobotView(robot), token: secret }, 200);
  });
  app.openapi(deleteRobot, async (c) => {
    const { organization, robot: shortName } = c.req.valid('param');
    const namespace = await requireNamespaceAdmin(c, organization);
    if (!(await c.var.scope.operations.deleteRobot(namespace, shortName))) {
      throw noRobot(shortName);
    }
    recordAudit(c, { kind: 'delete_robot', namespace, metadata: { robot: shortName } });
    return c.body(null, 204);
  });
  return app;
}

function toRobotView(robot: Robot): z.infer<typeof robotView> {
  return {
    name: robot.name,
    created: formatRfc2822(robot.createdMs),
    last_accessed: robot.lastUsedMs === null ? null : formatRfc2822(robot.lastUsedMs),
    description: robot.description,
    purpose: robot.purpose,
    enabled: robot.isEnabled,
  };
}

export function noRobot(shortName: string): ManagementError {
  return new ManagementError('not_found', `there is no robot '${shortName}'`);
}
