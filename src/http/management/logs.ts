import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import { ADMINISTRATOR_NAME } from '../../model/accounts.ts';
import type { AuditRecord } from '../../model/audit-log.ts';
import { formatRfc2822 } from '../../model/rfc2822.ts';
import { type EpochMs, epochMs, MS_PER_DAY } from '../../model/time.ts';
import type { AuditFilter, AuditScope } from '../../registry/audit-log.ts';
import type { AppEnv } from '../scope.ts';
import {
  requireAdministrator,
  requireNamespaceAdmin,
  requirePerson,
  requireRepositoryRole,
} from './access.ts';
import { ManagementError } from './errors.ts';
import { listOf, nextPageOf, openToken } from './pages.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  accountNameText,
  answers,
  nextPage,
  nextPageParam,
  ofOrganization,
  ofRepository,
  organizationParams,
  refusals,
  repositoryParams,
  rfc2822,
} from './schemas.ts';

const TAGS = ['Logs'];

const day = z
  .string()
  .regex(/^\d{2}\/\d{2}\/\d{4}$/, 'expected MM/DD/YYYY')
  .openapi({ description: 'A day in UTC, `MM/DD/YYYY`.', example: '11/28/2026' });

/** What both kinds of endpoints take: the days from and to which, and who did it. */
const filterQuery = z.strictObject({
  starttime: day.optional(),
  endtime: day.optional(),
  performer: z.string().max(511).optional().openapi({
    description: 'Who did it.',
    example: 'ada',
  }),
});
const pageQuery = filterQuery.extend({
  next_page: nextPageParam,
});

const kindText = z.string().openapi({ example: 'delete_tag' });

const recordView = z
  .strictObject({
    kind: kindText,
    metadata: z.record(z.string(), z.unknown()).openapi({
      description: 'What it was done to, and how.',
      example: { namespace: 'acme', repo: 'app', tag: '1.2' },
    }),
    ip: z.string().nullable().openapi({ example: '192.0.2.7' }),
    country: z.string().nullable().openapi({ example: 'US' }),
    datetime: rfc2822,
    performer: z
      .strictObject({
        kind: z.enum(['administrator', 'user', 'robot']),
        name: accountNameText,
        is_robot: z.boolean(),
      })
      .optional(),
  })
  .openapi('AuditRecord');

const logsView = z
  .strictObject({
    start_time: rfc2822,
    end_time: rfc2822,
    logs: z.array(recordView),
    next_page: nextPage,
  })
  .openapi('AuditLog');

const countsView = z
  .strictObject({
    aggregated: z.array(
      z.strictObject({ kind: kindText, count: z.number().int(), datetime: rfc2822 }),
    ),
    complete: z.boolean(),
  })
  .openapi('AuditCounts');

/** Whose log it is, and how the two endpoints of it are called. */
interface LogOwner<Params> {
  readonly path: (suffix: string) => string;
  readonly params: Params;
  readonly noun: string;
  readonly of: string;
}

const listRoute = <Params extends z.ZodObject>({ path, params, noun, of }: LogOwner<Params>) =>
  createRoute({
    method: 'get',
    path: path('/logs'),
    operationId: `list${noun}Logs`,
    tags: TAGS,
    summary: `Who did what ${of}, the last first, 20 a page; the last week unless told`,
    request: { params, query: pageQuery },
    responses: { 200: answers(logsView, 'A page of it.'), ...refusals(...ACCESS_REFUSALS) },
  });

const countRoute = <Params extends z.ZodObject>({ path, params, noun, of }: LogOwner<Params>) =>
  createRoute({
    method: 'get',
    path: path('/aggregatelogs'),
    operationId: `count${noun}Logs`,
    tags: TAGS,
    summary: `How often what was done ${of}, by kind and day`,
    request: { params, query: filterQuery },
    responses: { 200: answers(countsView, 'The counts.'), ...refusals(...ACCESS_REFUSALS) },
  });

const NO_PARAMS = z.object({});
const under = (prefix: string) => (suffix: string) => `${prefix}${suffix}`;
const OF_REPOSITORY = {
  path: ofRepository,
  params: repositoryParams,
  noun: 'Repository',
  of: 'in a repository',
};
const OF_ORGANIZATION = {
  path: ofOrganization,
  params: organizationParams,
  noun: 'Organization',
  of: 'in a namespace',
};
const OF_USER = {
  path: under('/user'),
  params: NO_PARAMS,
  noun: 'User',
  of: "in one's own namespace",
};
const OF_ALL = { path: under('/superuser'), params: NO_PARAMS, noun: 'All', of: 'anywhere' };

/** Who did what, for those who administer what it was done to. */
export function logRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(listRoute(OF_REPOSITORY), async (c) => {
    const scope = await repositoryScope(c, c.req.valid('param').repository);
    return c.json(await list(c, scope, c.req.valid('query')), 200);
  });
  app.openapi(countRoute(OF_REPOSITORY), async (c) => {
    const scope = await repositoryScope(c, c.req.valid('param').repository);
    return c.json(await count(c, scope, c.req.valid('query')), 200);
  });
  app.openapi(listRoute(OF_ORGANIZATION), async (c) => {
    const scope = await namespaceScope(c, c.req.valid('param').organization);
    return c.json(await list(c, scope, c.req.valid('query')), 200);
  });
  app.openapi(countRoute(OF_ORGANIZATION), async (c) => {
    const scope = await namespaceScope(c, c.req.valid('param').organization);
    return c.json(await count(c, scope, c.req.valid('query')), 200);
  });
  app.openapi(listRoute(OF_USER), async (c) => {
    const { scope, own } = await userScope(c);
    return c.json(await list(c, scope, { ...c.req.valid('query'), ...own }), 200);
  });
  app.openapi(countRoute(OF_USER), async (c) => {
    const { scope, own } = await userScope(c);
    return c.json(await count(c, scope, { ...c.req.valid('query'), ...own }), 200);
  });
  app.openapi(listRoute(OF_ALL), async (c) => {
    requireAdministrator(c);
    return c.json(await list(c, { kind: 'all' }, c.req.valid('query')), 200);
  });
  app.openapi(countRoute(OF_ALL), async (c) => {
    requireAdministrator(c);
    return c.json(await count(c, { kind: 'all' }, c.req.valid('query')), 200);
  });
  return app;
}

async function repositoryScope(c: Context<AppEnv>, name: string): Promise<AuditScope> {
  const { id } = await requireRepositoryRole(c, name, 'admin');
  return { kind: 'repository', repositoryId: id };
}

async function namespaceScope(c: Context<AppEnv>, text: string): Promise<AuditScope> {
  return { kind: 'namespace', name: await requireNamespaceAdmin(c, text) };
}

/** Of the administrator, who has no namespace, it is what they did, wherever that was. */
async function userScope(c: Context<AppEnv>): Promise<{
  readonly scope: AuditScope;
  readonly own?: { readonly performer: string };
}> {
  if (c.var.actor.kind === 'administrator') {
    return { scope: { kind: 'all' }, own: { performer: ADMINISTRATOR_NAME } };
  }
  const { namespaceName } = await requirePerson(c);
  return { scope: { kind: 'namespace', name: namespaceName } };
}

type Asked = z.infer<typeof filterQuery>;

async function list(
  c: Context<AppEnv>,
  scope: AuditScope,
  { next_page: token, ...asked }: Asked & { readonly next_page?: string | undefined },
): Promise<z.infer<typeof logsView>> {
  const { operations } = c.var.scope;
  const page = await operations.listAuditLog(scope, {
    ...toFilter(asked),
    cursor: openToken(listOf(c), token),
  });
  return {
    start_time: formatRfc2822(page.fromMs),
    end_time: formatRfc2822(page.toMs),
    logs: page.items.map(toRecordView),
    ...nextPageOf(listOf(c), page.cursor),
  };
}

async function count(
  c: Context<AppEnv>,
  scope: AuditScope,
  asked: Asked,
): Promise<z.infer<typeof countsView>> {
  const { operations } = c.var.scope;
  const { counts, isComplete } = await operations.aggregateAuditLog(scope, toFilter(asked));
  return {
    aggregated: counts.map((each) => ({
      kind: each.kind,
      count: each.count,
      datetime: formatRfc2822(each.dayMs),
    })),
    complete: isComplete,
  };
}

/** The last day is meant with all its hours. */
function toFilter({ starttime, endtime, performer }: Asked): AuditFilter {
  const lastDayMs = endtime === undefined ? null : parseDay('endtime', endtime);
  return {
    fromMs: starttime === undefined ? null : parseDay('starttime', starttime),
    toMs: lastDayMs === null ? null : epochMs(lastDayMs + MS_PER_DAY),
    performer: performer ?? null,
  };
}

/** The first moment of a day that the schema let through; the calendar may not have it. */
function parseDay(field: string, text: string): EpochMs {
  const [month, date, year] = text.split('/').map(Number);
  const iso = `${text.slice(6)}-${text.slice(0, 2)}-${text.slice(3, 5)}`;
  const timeMs = Date.UTC(year ?? 0, (month ?? 0) - 1, date);
  if (timeMs < 0 || new Date(timeMs).toISOString().slice(0, iso.length) !== iso) {
    throw new ManagementError('invalid_request', `${field}: there is no day '${text}'`);
  }
  return epochMs(timeMs);
}

function toRecordView(record: AuditRecord): z.infer<typeof recordView> {
  const { kind, performer, namespaceName, repositoryName, ip, country, metadata, atMs } = record;
  return {
    kind,
    metadata: {
      ...(namespaceName !== null && { namespace: namespaceName }),
      ...(repositoryName !== null && { repo: repositoryName }),
      ...metadata,
    },
    ip,
    country,
    datetime: formatRfc2822(atMs),
    ...(performer.kind !== 'anonymous' && {
      performer: {
        kind: performer.kind,
        name: performer.name,
        is_robot: performer.kind === 'robot',
      },
    }),
  };
}
