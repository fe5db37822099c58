import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { Robot } from '../../model/accounts.ts';
import type { TrustRule } from '../../model/federation.ts';
import {
  ISSUER_LENGTH_MAX,
  SUBJECT_PATTERN_LENGTH_MAX,
  TRUST_RULES_PER_ROBOT_MAX,
} from '../../model/limits.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { NAMESPACE_OWNERS, type NamespaceOwner } from './namespace-owners.ts';
import { noRobot, requireRobot, robotParam } from './robots.ts';
import { createManagementRouter } from './router.ts';
import { ACCESS_REFUSALS, answers, done, refusals, takes } from './schemas.ts';

const TAGS = ['Robots'];

const trustRules = z
  .array(
    z
      .strictObject({
        issuer: z.string().max(ISSUER_LENGTH_MAX).openapi({
          description: 'The `iss` of the tokens, one of OIDC_ISSUERS.',
          example: 'https://token.actions.githubusercontent.com',
        }),
        subject: z.string().max(SUBJECT_PATTERN_LENGTH_MAX).openapi({
          description: 'What their `sub` must match; `*` is any run of characters.',
          example: 'repo:acme/app:ref:refs/heads/main',
        }),
      })
      .openapi('TrustRule'),
  )
  .max(TRUST_RULES_PER_ROBOT_MAX);

/** The endpoints of trust, for one kind of owner of robots. */
function describeTrust(owner: NamespaceOwner) {
  const { at, params: owners, suffix } = NAMESPACE_OWNERS[owner];
  const path = at('/robots/{robot}/federation');
  const params = owners.extend(robotParam.shape);
  const REFUSALS = refusals(...ACCESS_REFUSALS);
  return {
    list: createRoute({
      method: 'get',
      path,
      operationId: `listTrustRules${suffix}`,
      tags: TAGS,
      summary: 'Whose OpenID tokens stand for a robot, by issuer and subject',
      request: { params },
      responses: { 200: answers(trustRules, 'The rules.'), ...REFUSALS },
    }),
    replace: createRoute({
      method: 'post',
      path,
      operationId: `replaceTrustRules${suffix}`,
      tags: TAGS,
      summary: 'Gives a robot these rules in the place of those that it has',
      request: { params, body: takes(trustRules) },
      responses: { 200: answers(trustRules, 'As they are now.'), ...REFUSALS },
    }),
    remove: createRoute({
      method: 'delete',
      path,
      operationId: `deleteTrustRules${suffix}`,
      tags: TAGS,
      summary: 'Takes all rules away; what was exchanged before ends within the hour',
      request: { params },
      responses: { 204: done('It trusts nobody.'), ...REFUSALS },
    }),
  };
}

/** Whose tokens stand for robots. */
export function federationRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  addRoutes(app, 'organization');
  addRoutes(app, 'user');
  return app;
}

function addRoutes(app: OpenAPIHono<AppEnv>, owner: NamespaceOwner): void {
  const routes = describeTrust(owner);
  app.openapi(routes.list, async (c) => {
    const { robot } = await requireRobot(c, owner);
    return c.json(toViews(await c.var.scope.operations.listTrustRules(robot.id)), 200);
  });
  app.openapi(routes.replace, async (c) => {
    const { namespace, robot } = await requireRobot(c, owner);
    const rules = await replaceRules(c, robot, c.req.valid('json'));
    const metadata = {
      robot: robot.name,
      rules: rules.map(({ issuer, subject }) => `${issuer} ${subject}`),
    };
    recordAudit(c, { kind: 'create_robot_federation', namespace, metadata });
    return c.json(toViews(rules), 200);
  });
  app.openapi(routes.remove, async (c) => {
    const { namespace, robot } = await requireRobot(c, owner);
    await replaceRules(c, robot, []);
    const metadata = { robot: robot.name };
    recordAudit(c, { kind: 'delete_robot_federation', namespace, metadata });
    return c.body(null, 204);
  });
}

async function replaceRules(
  c: Context<AppEnv>,
  robot: Robot,
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
