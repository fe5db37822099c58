import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import type { AppEnv } from '../scope.ts';
import { requireRepositoryRole } from './access.ts';
import { ManagementError } from './errors.ts';
import { describePolicies, type PolicyKind } from './policy-endpoints.ts';
import { type PolicyOwner, requireScope } from './policy-owners.ts';
import {
  retentionContent,
  retentionPlanView,
  retentionView,
  toRetentionPlanView,
  toRetentionPolicy,
  toRetentionView,
} from './retention-views.ts';
import { createManagementRouter } from './router.ts';
import { ACCESS_REFUSALS, answers, ofRepository, refusals, repositoryParams } from './schemas.ts';

const TAGS = ['Retention policies'];

const KIND = {
  path: 'autoprunepolicy',
  noun: 'Retention',
  tags: TAGS,
  view: retentionView,
  content: retentionContent,
  made: z.strictObject({ uuid: z.uuid() }),
  says: {
    list: 'By which rules tags end here',
    create: 'Ends tags because newer ones came, or because they are old, from now on',
    update: 'Gives a policy another content',
    remove: 'Removes a policy, which ends no tag from now on',
    inForce: 'Cron applies it soon.',
  },
} as const satisfies PolicyKind<unknown, unknown, unknown>;

const planRetention = createRoute({
  method: 'get',
  path: ofRepository('/autoprune/plan'),
  operationId: 'planRetention',
  tags: TAGS,
  summary: 'Which tags would end now, and by which policies; none is ended',
  request: { params: repositoryParams },
  responses: { 200: answers(retentionPlanView, 'The plan.'), ...refusals(...ACCESS_REFUSALS) },
});

/** By which rules tags of repositories and organizations end. */
export function retentionPolicyRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(planRetention, async (c) => {
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'admin');
    return c.json(toRetentionPlanView(await c.var.scope.operations.planRetention(repository)), 200);
  });
  addRoutes(app, 'repository');
  addRoutes(app, 'organization');
  return app;
}

function addRoutes(app: OpenAPIHono<AppEnv>, owner: PolicyOwner): void {
  const routes = describePolicies(KIND, owner);
  app.openapi(routes.list, async (c) => {
    const scope = await requireScope(c, owner);
    const policies = await c.var.scope.operations.listRetentionPolicies(scope);
    return c.json({ policies: policies.map(toRetentionView) }, 200);
  });
  app.openapi(routes.create, async (c) => {
    const policy = toRetentionPolicy(c.req.valid('json'));
    const scope = await requireScope(c, owner);
    const made = await c.var.scope.operations.createRetentionPolicy(scope, policy);
    if (made === null) {
      throw new ManagementError('not_found', `${owner} not found`);
    }
    return c.json({ uuid: made.uuid }, 201);
  });
  app.openapi(routes.read, async (c) => {
    const { policy: uuid } = c.req.valid('param');
    const scope = await requireScope(c, owner);
    const policy = await c.var.scope.operations.getRetentionPolicy(scope, uuid);
    if (policy === null) {
      throw new ManagementError('not_found', `policy ${uuid} not found`);
    }
    return c.json(toRetentionView(policy), 200);
  });
  app.openapi(routes.update, async (c) => {
    const policy = toRetentionPolicy(c.req.valid('json'));
    const scope = await requireScope(c, owner);
    const { policy: uuid } = c.req.valid('param');
    await c.var.scope.operations.updateRetentionPolicy(scope, uuid, policy);
    return c.body(null, 204);
  });
  app.openapi(routes.remove, async (c) => {
    const scope = await requireScope(c, owner);
    const { operations } = c.var.scope;
    const { uuid } = await operations.deleteRetentionPolicy(scope, c.req.valid('param').policy);
    return c.json({ uuid }, 200);
  });
}
