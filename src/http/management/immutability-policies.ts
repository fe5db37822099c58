import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { StoredPolicy, SweptPolicy } from '../../registry/tags/policies.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { ManagementError } from './errors.ts';
import { nextPageOf, openToken } from './pages.ts';
import { describePolicies, type PolicyKind } from './policy-endpoints.ts';
import {
  type OwnerOfPolicies,
  POLICY_OWNERS,
  policyParam,
  type PolicyOwner,
  requireOwner,
} from './policy-owners.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  nextPage,
  nextPageParam,
  refusals,
  tagPatternText,
  takes,
} from './schemas.ts';

const TAGS = ['Immutability policies'];

const content = z
  .strictObject({
    tagPattern: tagPatternText.openapi({
      description: 'A regular expression (RE2) for whole names of tags.',
    }),
    tagPatternMatches: z.boolean().default(true).openapi({
      description: 'False: names that do not match are locked.',
    }),
  })
  .openapi('ImmutabilityPolicyContent');

const policyView = z
  .strictObject({ uuid: z.uuid(), tagPattern: tagPatternText, tagPatternMatches: z.boolean() })
  .openapi('ImmutabilityPolicy');

const sweepPage = nextPage.openapi({
  description: 'There if tags are left to be locked: it is where the next sweep goes on.',
});

function toPolicyView({
  uuid,
  tagPattern,
  tagPatternMatches,
}: StoredPolicy): z.infer<typeof policyView> {
  return { uuid, tagPattern, tagPatternMatches };
}

const KIND = {
  path: 'immutabilitypolicy',
  noun: 'Immutability',
  tags: TAGS,
  view: policyView,
  content,
  made: z.strictObject({ uuid: z.uuid(), next_page: sweepPage }),
  refusals: ['too_many_requests'],
  says: {
    list: 'The patterns of tag names that are locked here',
    create: 'Locks tags by name: those that are there, and all that come',
    update: 'Gives a policy another content; what it locked stays locked',
    remove: 'Removes a policy; what it locked stays locked',
    inForce: 'It is in force.',
  },
} as const satisfies PolicyKind<unknown, unknown, unknown>;

/** The endpoint that goes on where the making of a policy had to stop. */
function describeSweep(owner: PolicyOwner) {
  const { at, name, params } = POLICY_OWNERS[owner];
  return createRoute({
    method: 'post',
    path: at('/immutabilitypolicy/{policy}/sweep'),
    operationId: `sweepImmutabilityPolicyOf${name}`,
    tags: TAGS,
    summary: 'Goes on locking the tags that were there before a policy',
    request: {
      params: params.extend(policyParam.shape),
      body: takes(z.strictObject({ next_page: nextPageParam }).openapi('Sweep')),
    },
    responses: {
      200: answers(
        z.strictObject({ locked: z.int().min(0), next_page: sweepPage }),
        'How many tags it locked.',
      ),
      ...refusals(...ACCESS_REFUSALS),
    },
  });
}

/** Which tags repositories and organizations lock by name. */
export function immutabilityPolicyRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  addRoutes(app, 'repository');
  addRoutes(app, 'organization');
  addRoutes(app, 'user');
  return app;
}

function addRoutes(app: OpenAPIHono<AppEnv>, owner: PolicyOwner): void {
  const routes = describePolicies(KIND, owner);
  app.openapi(routes.list, async (c) => {
    const { scope } = await requireOwner(c, owner);
    const policies = await c.var.scope.operations.listImmutabilityPolicies(scope);
    return c.json({ policies: policies.map(toPolicyView) }, 200);
  });
  app.openapi(routes.create, async (c) => {
    const { scope, place } = await requireOwner(c, owner);
    const { operations } = c.var.scope;
    const made = await operations.createImmutabilityPolicy(scope, c.req.valid('json'));
    if (made === null) {
      throw new ManagementError('not_found', `${owner} not found`);
    }
    recordPolicy(c, 'create_immutability_policy', { ...made, place });
    return c.json(
      { uuid: made.policy.uuid, ...nextPageOf(sweepOf(made.policy), made.cursor) },
      201,
    );
  });
  app.openapi(routes.read, async (c) => {
    const { policy: uuid } = c.req.valid('param');
    const { scope } = await requireOwner(c, owner);
    const policy = await c.var.scope.operations.getImmutabilityPolicy(scope, uuid);
    if (policy === null) {
      throw new ManagementError('not_found', `policy ${uuid} not found`);
    }
    return c.json(toPolicyView(policy), 200);
  });
  app.openapi(routes.update, async (c) => {
    const { scope, place } = await requireOwner(c, owner);
    const { policy: uuid } = c.req.valid('param');
    const { operations } = c.var.scope;
    const updated = await operations.updateImmutabilityPolicy(scope, uuid, c.req.valid('json'));
    recordPolicy(c, 'update_immutability_policy', { ...updated, place });
    return c.body(null, 204);
  });
  app.openapi(routes.remove, async (c) => {
    const { scope, place } = await requireOwner(c, owner);
    const { policy: uuid } = c.req.valid('param');
    const policy = await c.var.scope.operations.deleteImmutabilityPolicy(scope, uuid);
    recordPolicy(c, 'delete_immutability_policy', { policy, lockedTags: 0, place });
    return c.json({ uuid: policy.uuid }, 200);
  });
  app.openapi(describeSweep(owner), async (c) => {
    const { scope, place } = await requireOwner(c, owner);
    const { policy: uuid } = c.req.valid('param');
    const cursor = openToken(sweepOf({ uuid }), c.req.valid('json').next_page);
    const swept = await c.var.scope.operations.sweepImmutabilityPolicy(scope, uuid, cursor);
    recordSweep(c, { ...swept, place });
    return c.json(
      { locked: swept.lockedTags, ...nextPageOf(sweepOf(swept.policy), swept.cursor) },
      200,
    );
  });
}

type OfPolicy = Omit<SweptPolicy, 'cursor'> & Pick<OwnerOfPolicies, 'place'>;

/** Has it written down what became of a policy, and of the tags that were there before it. */
function recordPolicy(
  c: Context<AppEnv>,
  kind: `${'create' | 'update' | 'delete'}_immutability_policy`,
  swept: OfPolicy,
): void {
  const { uuid, tagPattern, tagPatternMatches } = swept.policy;
  const metadata = { uuid, tag_pattern: tagPattern, tag_pattern_matches: tagPatternMatches };
  recordAudit(c, { kind, ...swept.place, metadata });
  recordSweep(c, swept);
}

function recordSweep(c: Context<AppEnv>, { policy, lockedTags, place }: OfPolicy): void {
  if (lockedTags > 0) {
    const metadata = { uuid: policy.uuid, tag_pattern: policy.tagPattern, locked: lockedTags };
    recordAudit(c, { kind: 'tags_made_immutable_by_policy', ...place, metadata });
  }
}

/** Which sweep a token goes on with: it is that of a policy, whoever began it. */
function sweepOf({ uuid }: Pick<StoredPolicy, 'uuid'>): string {
  return `sweep ${uuid}`;
}
