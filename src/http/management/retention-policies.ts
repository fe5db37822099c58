import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { StoredRetentionPolicy } from '../../registry/tags/retention-policies.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireRepositoryRole } from './access.ts';
import { ManagementError } from './errors.ts';
import { describePolicies, type PolicyKind } from './policy-endpoints.ts';
import { type OwnerOfPolicies, type PolicyOwner, requireOwner } from './policy-owners.ts';
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
  addRoutes(app, 'user');
  return app;
}

function addRoutes(app: OpenAPIHono<AppEnv>, owner: PolicyOwner): void {
  const routes = describePolicies(KIND, owner);
  app.openapi(routes.list, async (c) => {
    const { scope } = await requireOwner(c, owner);
    const policies = await c.var.scope.operations.listRetentionPolicies(scope);
    return c.json({ policies: policies.map(toRetentionView) }, 200);
  });
  app.openapi(routes.create, async (c) => {
    const policy = toRetentionPolicy(c.req.valid('json'));
    const { scope, place } = await requireOwner(c, owner);
    const made = await c.var.scope.operations.createRetentionPolicy(scope, policy);
    if (made === null) {
      throw new ManagementError('not_found', `${owner} not found`);
    }
    recordPolicy(c, 'create', { policy: made, place });
    return c.json({ uuid: made.uuid }, 201);
  });
  app.openapi(routes.read, async (c) => {
    const { policy: uuid } = c.req.valid('param');
    const { scope } = await requireOwner(c, owner);
    const policy = await c.var.scope.operations.getRetentionPolicy(scope, uuid);
    if (policy === null) {
      throw new ManagementError('not_found', `policy ${uuid} not found`);
    }
    return c.json(toRetentionView(policy), 200);
  });
  app.openapi(routes.update, async (c) => {
    const policy = toRetentionPolicy(c.req.valid('json'));
    const { scope, place } = await requireOwner(c, owner);
    const { policy: uuid } = c.req.valid('param');
    const updated = await c.var.scope.operations.updateRetentionPolicy(scope, uuid, policy);
    recordPolicy(c, 'update', { policy: updated, place });
    return c.body(null, 204);
  });
  app.openapi(routes.remove, async (c) => {
    const { scope, place } = await requireOwner(c, owner);
    const { policy: uuid } = c.req.valid('param');
    const policy = await c.var.scope.operations.deleteRetentionPolicy(scope, uuid);
    recordPolicy(c, 'delete', { policy, place });
    return c.json({ uuid: policy.uuid }, 200);
  });
}

function recordPolicy(
  c: Context<AppEnv>,
  verb: 'create' | 'update' | 'delete',
  { policy, place }: Pick<OwnerOfPolicies, 'place'> & { readonly policy: StoredRetentionPolicy },
): void {
  const { uuid, method, value, tagPattern } = toRetentionView(policy);
  const owner = place.repository === undefined ? 'namespace' : 'repository';
  const metadata = { uuid, method, value, tag_pattern: tagPattern };
  recordAudit(c, { kind: `${verb}_${owner}_autoprune_policy`, ...place, metadata });
}
