import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { NamespaceName } from '../../model/names.ts';
import {
  formatByteCount,
  parseByteCount,
  type Quota,
  type QuotaLimits,
} from '../../model/quota.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireAdministrator, requireNamespaceAdmin } from './access.ts';
import { ManagementError } from './errors.ts';
import {
  NAMESPACE_OWNERS,
  type NamespaceOwner,
  requireReadableNamespace,
} from './namespace-owners.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  done,
  ofOrganization,
  organizationParams,
  refusals,
  takes,
} from './schemas.ts';

const TAGS = ['Quotas'];

/** A namespace has one quota, with one limit of each type: they need no other names. */
const QUOTA_ID = 1;
const LIMIT_IDS = { Warning: 1, Reject: 2 } as const;

const limitType = z.enum(['Warning', 'Reject']);
const percent = z.int().min(1).max(100);

const quotaView = z
  .strictObject({
    id: z.int(),
    limit_bytes: z.int(),
    limit: z.string().openapi({ example: '10 GiB' }),
    used_bytes: z.int().min(0).openapi({ description: 'Every blob counts once.' }),
    default_config: z.boolean(),
    limits: z.array(z.strictObject({ id: z.int(), type: limitType, limit_percent: percent })),
  })
  .openapi('Quota');

const quotaContent = z
  .strictObject({
    limit_bytes: z.int().min(1).optional(),
    limit: z.string().optional().openapi({ example: '10 GiB' }),
    limits: z
      .array(z.strictObject({ type: limitType, limit_percent: percent }))
      .max(2)
      .default([])
      .openapi({ description: 'Of how much of it who pushes is warned, or refused.' }),
  })
  .refine(({ limit_bytes: bytes, limit }) => (bytes === undefined) !== (limit === undefined), {
    message: 'expected limit_bytes or limit',
  })
  .openapi('QuotaContent');

const quotaParam = z.object({
  quota: z
    .literal(String(QUOTA_ID))
    .openapi({ description: 'The only one that a namespace can have.' }),
});
const quotaParams = organizationParams.extend(quotaParam.shape);

/** The endpoints that read a quota, for one kind of owner. */
function describeReads(owner: NamespaceOwner) {
  const { at, params, suffix } = NAMESPACE_OWNERS[owner];
  return {
    list: createRoute({
      method: 'get',
      path: at('/quota'),
      operationId: `listQuotas${suffix}`,
      tags: TAGS,
      summary: 'How many bytes may be held here, and are; one quota or none. For all members',
      request: { params },
      responses: {
        200: answers(z.array(quotaView), 'The quota.'),
        ...refusals(...ACCESS_REFUSALS),
      },
    }),
    read: createRoute({
      method: 'get',
      path: at('/quota/{quota}'),
      operationId: `readQuota${suffix}`,
      tags: TAGS,
      summary: 'The quota, for all members',
      request: { params: params.extend(quotaParam.shape) },
      responses: { 200: answers(quotaView, 'The quota.'), ...refusals(...ACCESS_REFUSALS) },
    }),
  };
}

const createQuota = createRoute({
  method: 'post',
  path: ofOrganization('/quota'),
  operationId: 'createQuota',
  tags: TAGS,
  summary: 'Sets a quota where there is none',
  request: { params: organizationParams, body: takes(quotaContent) },
  responses: { 201: answers(quotaView, 'It holds.'), ...refusals(...ACCESS_REFUSALS, 'conflict') },
});

const replaceQuota = createRoute({
  method: 'put',
  path: ofOrganization('/quota/{quota}'),
  operationId: 'replaceQuota',
  tags: TAGS,
  summary: 'Replaces the quota and its limits; nothing is removed that is above it',
  request: { params: quotaParams, body: takes(quotaContent) },
  responses: { 200: answers(quotaView, 'It holds.'), ...refusals(...ACCESS_REFUSALS) },
});

const removeQuota = createRoute({
  method: 'delete',
  path: ofOrganization('/quota/{quota}'),
  operationId: 'removeQuota',
  tags: TAGS,
  summary: 'Takes the quota away',
  request: { params: quotaParams },
  responses: { 204: done('There is none.'), ...refusals(...ACCESS_REFUSALS) },
});

/** How many bytes namespaces may hold; set by the administrator, read by their members. */
export function quotaRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  addReads(app, 'organization');
  addReads(app, 'user');
  app.openapi(createQuota, async (c) => {
    const limits = toLimits(c.req.valid('json'));
    const name = await requireAdministered(c, c.req.valid('param').organization);
    if ((await c.var.scope.operations.readQuota(name)) !== null) {
      throw new ManagementError('conflict', `namespace '${name}' has a quota already`);
    }
    return c.json(await setQuota(c, name, { limits, kind: 'org_create_quota' }), 201);
  });
  app.openapi(replaceQuota, async (c) => {
    const limits = toLimits(c.req.valid('json'));
    const name = await requireAdministered(c, c.req.valid('param').organization);
    if ((await c.var.scope.operations.readQuota(name)) === null) {
      throw noQuota(name);
    }
    return c.json(await setQuota(c, name, { limits, kind: 'org_change_quota' }), 200);
  });
  app.openapi(removeQuota, async (c) => {
    const name = await requireAdministered(c, c.req.valid('param').organization);
    if (!(await c.var.scope.operations.removeQuota(name))) {
      throw noQuota(name);
    }
    recordAudit(c, { kind: 'org_delete_quota', namespace: name });
    return c.body(null, 204);
  });
  return app;
}

function addReads(app: OpenAPIHono<AppEnv>, owner: NamespaceOwner): void {
  const routes = describeReads(owner);
  app.openapi(routes.list, async (c) => {
    const { name, quota } = await readQuota(c, owner);
    if (quota === null && (await c.var.scope.operations.getNamespace(name)) === null) {
      throw new ManagementError('not_found', `namespace '${name}' not found`);
    }
    return c.json(quota === null ? [] : [toQuotaView(quota)], 200);
  });
  app.openapi(routes.read, async (c) => {
    const { name, quota } = await readQuota(c, owner);
    if (quota === null) {
      throw noQuota(name);
    }
    return c.json(toQuotaView(quota), 200);
  });
}

async function readQuota(c: Context<AppEnv>, owner: NamespaceOwner) {
  const name = await requireReadableNamespace(c, owner);
  return { name, quota: await c.var.scope.operations.readQuota(name) };
}

async function requireAdministered(c: Context<AppEnv>, text: string): Promise<NamespaceName> {
  const name = await requireNamespaceAdmin(c, text);
  requireAdministrator(c);
  return name;
}

async function setQuota(
  c: Context<AppEnv>,
  name: NamespaceName,
  {
    limits,
    kind,
  }: {
    readonly limits: QuotaLimits;
    readonly kind: `org_${'create' | 'change'}_quota`;
  },
): Promise<z.infer<typeof quotaView>> {
  const quota = await c.var.scope.operations.setQuota(name, limits);
  if (quota === null) {
    throw new ManagementError('not_found', `namespace '${name}' not found`);
  }
  const metadata = {
    limit_bytes: limits.limitBytes,
    warning_percent: limits.warningPercent,
    reject_percent: limits.rejectPercent,
  };
  recordAudit(c, { kind, namespace: name, metadata });
  return toQuotaView(quota);
}

function noQuota(name: string): ManagementError {
  return new ManagementError('not_found', `namespace '${name}' has no quota of this id`);
}

function toLimits({
  limit_bytes: bytes,
  limit,
  limits,
}: z.infer<typeof quotaContent>): QuotaLimits {
  const limitBytes = bytes ?? parseByteCount(limit ?? '');
  if (limitBytes === null) {
    throw new ManagementError('invalid_request', `limit: '${limit}' is no size as '10 GiB' is`);
  }
  const percents = new Map(limits.map(({ type, limit_percent: each }) => [type, each]));
  if (percents.size < limits.length) {
    throw new ManagementError('invalid_request', 'limits: there is one of each type');
  }
  return {
    limitBytes,
    warningPercent: percents.get('Warning') ?? null,
    rejectPercent: percents.get('Reject') ?? null,
  };
}

/** The limit of a type as a list of one or none. */
function limitOf(type: keyof typeof LIMIT_IDS, limitPercent: number | null) {
  return limitPercent === null ? [] : [{ id: LIMIT_IDS[type], type, limit_percent: limitPercent }];
}

function toQuotaView(quota: Quota): z.infer<typeof quotaView> {
  return {
    id: QUOTA_ID,
    limit_bytes: quota.limitBytes,
    limit: formatByteCount(quota.limitBytes),
    used_bytes: quota.usedBytes,
    default_config: false,
    limits: [
      ...limitOf('Warning', quota.warningPercent),
      ...limitOf('Reject', quota.rejectPercent),
    ],
  };
}
