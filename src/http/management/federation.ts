import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { Robot } from '../../model/accounts.ts';
import type { TrustRule } from '../../model/federation.ts';
import { TRUST_RULES_PER_ROBOT_MAX } from '../../model/limits.ts';
import type { NamespaceName } from '../../model/names.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireNamespaceAdmin } from './access.ts';
import { noRobot, robotParams } from './robots.ts';
import { createManagementRouter } from './router.ts';
import { ACCESS_REFUSALS, answers, done, ofOrganization, refusals, takes } from './schemas.ts';

const TAGS = ['Robots'];
const PATH = ofOrganization('/robots/{robot}/federation');

const trustRules = z
  .array(
    z
      .strictObject({
        issuer: z.string().openapi({
          description: 'The `iss` of the tokens, one of OIDC_ISSUERS.',
          example: 'https://token.actions.githubusercontent.com',
        }),
        subject: z.string().openapi({
          description: 'What their `sub` must match; `*` is any run of characters.',
          example: 'repo:acme/app:ref:refs/heads/main',
        }),
      })
      .openapi('TrustRule'),
  )
  .max(TRUST_RULES_PER_ROBOT_MAX);

const listTrustRules = createRoute({
  method: 'get',
  path: PATH,
  operationId: 'listTrustRules',
  tags: TAGS,
  summary: 'Whose OpenID tokens stand for a robot, by issuer and subject',
  request: { params: robotParams },
  responses: { 200: answers(trustRules, 'The rules.'), ...refusals(...ACCESS_REFUSALS) },
});

const replaceTrustRules = createRoute({
  method: 'post',
  path: PATH,
  operationId: 'replaceTrustRules',
  tags: TAGS,
  summary: 'Gives a robot these rules in the place of those that it has',
  request: { params: robotParams, body: takes(trustRules) },
  responses: { 200: answers(trustRules, 'As they are now.'), ...refusals(...ACCESS_REFUSALS) },
});

const deleteTrustRules = createRoute({
  method: 'delete',
  path: PATH,
  operationId: 'deleteTrustRules',
  tags: TAGS,
  summary: 'Takes all rules away; what was exchanged before ends within the hour',
  request: { params: robotParams },
  responses: { 204: done('It trusts nobody.'), ...refusals(...ACCESS_REFUSALS) },
});

/** Whose tokens stand for robots. */
export function federationRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(listTrustRules, async (c) => {
    const { robot } = await requireRobot(c, c.req.valid('param'));
    return c.json(toViews(await c.var.scope.operations.listTrustRules(robot.id)), 200);
  });
  app.openapi(replaceTrustRules, async (c) => {
    const found = await requireRobot(c, c.req.valid('param'));
    const rules = await replaceRules(c, found, c.req.valid('json'));
    const metadata = {
      robot: found.robot.name,
      rules: rules.map(({ issuer, subject }) => `${issuer} ${subject}`),
    };
    recordAudit(c, { kind: 'create_robot_federation', namespace: found.namespace, metadata });
    return c.json(toViews(rules), 200);
  });
  app.openapi(deleteTrustRules, async (c) => {
    const found = await requireRobot(c, c.req.valid('param'));
    await replaceRules(c, found, []);
    const { namespace, robot } = found;
    const metadata = { robot: robot.name };
    recordAudit(c, { kind: 'delete_robot_federation', namespace, metadata });
    return c.body(null, 204);
  });
  return app;
}

interface FoundRobot {
  readonly namespace: NamespaceName;
  readonly robot: Robot;
}

/** The robot, if the caller may change it. */
async function requireRobot(
  c: Context<AppEnv>,
  { organization, robot: shortName }: z.infer<typeof robotParams>,
): Promise<FoundRobot> {
  const namespace = await requireNamespaceAdmin(c, organization);
  const robot = await c.var.scope.operations.getRobot(namespace, shortName);
  if (robot === null) {
    throw noRobot(shortName);
  }
  return { namespace, robot };
}

async function replaceRules(
  c: Context<AppEnv>,
  { robot }: FoundRobot,
  rules: readonly TrustRule[],
): Promise<readonly TrustRule[]> {
  const now = await c.var.scope.operations.replaceTrustRules(robot.id, rules);
  if (now === null) {
    throw noRobot(robot.shortName);
  }
  return now;
}

function toViews(rules: readonly TrustRule[]): z.infer<typeof trustRules> {
  return rules.map(({ issuer, subject }) => ({ issuer, subject }));
}
