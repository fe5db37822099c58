import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import { DEFAULT_ROLES, type NamespaceInfo } from '../../model/access.ts';
import type { AuditMetadata } from '../../model/audit-log.ts';
import { HELD_BY_PULL_DAYS_MAX, TIME_MACHINE_WINDOWS_SEC } from '../../model/limits.ts';
import { type CountryCode, parseCountryCode, type RegionRules } from '../../model/regions.ts';
import type { NamespaceChange } from '../../registry/namespaces.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import {
  requireAdministrator,
  requireNamespace,
  requireNamespaceAdmin,
  requireNewNamespace,
  requirePerson,
} from './access.ts';
import { ManagementError } from './errors.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  done,
  namespaceNameText,
  ofOrganization,
  ofUser,
  organizationParams,
  refusals,
  takes,
} from './schemas.ts';

const TAGS = ['Organizations'];

const organizationView = z
  .strictObject({
    name: namespaceNameText,
    kind: z.enum(['user', 'organization']),
    enabled: z.boolean(),
    tag_expiration_s: z.int().min(0).openapi({ description: "The time machine's window." }),
    held_by_pull_days: z.int().min(0),
    member_role: z.enum(DEFAULT_ROLES).openapi({
      description: 'What all its members may do in its repositories.',
    }),
  })
  .openapi('Organization');

const createOrganization = createRoute({
  method: 'post',
  path: '/organization',
  operationId: 'createOrganization',
  tags: TAGS,
  summary: 'Makes an organization, which has no members yet',
  request: { body: takes(z.strictObject({ name: namespaceNameText }).openapi('NewOrganization')) },
  responses: {
    201: answers(z.strictObject({ name: namespaceNameText }), 'It is made.'),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const readOrganization = createRoute({
  method: 'get',
  path: ofOrganization(''),
  operationId: 'readOrganization',
  tags: TAGS,
  summary: 'What an organization, or a person, decides about all their repositories',
  request: { params: organizationParams },
  responses: { 200: answers(organizationView, 'As it is.'), ...refusals(...ACCESS_REFUSALS) },
});

const ownFields = {
  tag_expiration_s: z
    .int()
    .optional()
    .openapi({
      description: `One of ${TIME_MACHINE_WINDOWS_SEC.join(', ')}, or the registry's own.`,
    }),
  held_by_pull_days: z.int().min(0).max(HELD_BY_PULL_DAYS_MAX).optional().openapi({
    description: 'For how many days what is pulled by digest is kept; 0: not for that.',
  }),
};

const organizationChange = z
  .strictObject({
    ...ownFields,
    member_role: z.enum(DEFAULT_ROLES).optional().openapi({
      description: 'What all members may do in its repositories; not for a person.',
    }),
    enabled: z.boolean().optional().openapi({
      description: 'For the administrator. False closes it to everybody.',
    }),
  })
  .refine((change) => Object.values(change).some((value) => value !== undefined), {
    message: 'expected tag_expiration_s, held_by_pull_days, member_role or enabled',
  })
  .openapi('OrganizationChange');
type OrganizationChange = z.infer<typeof organizationChange>;

const userChange = z
  .strictObject(ownFields)
  .refine((change) => Object.values(change).some((value) => value !== undefined), {
    message: 'expected tag_expiration_s or held_by_pull_days',
  })
  .openapi('UserChange');

const readUser = createRoute({
  method: 'get',
  path: ofUser(''),
  operationId: 'readUser',
  tags: TAGS,
  summary: 'The same of the namespace of the person who calls',
  responses: { 200: answers(organizationView, 'As it is.'), ...refusals(...ACCESS_REFUSALS) },
});

const changeUser = createRoute({
  method: 'put',
  path: ofUser(''),
  operationId: 'changeUser',
  tags: TAGS,
  summary: 'Changes what a person decides about their repositories',
  request: { body: takes(userChange) },
  responses: { 200: answers(organizationView, 'As it is now.'), ...refusals(...ACCESS_REFUSALS) },
});

const changeOrganization = createRoute({
  method: 'put',
  path: ofOrganization(''),
  operationId: 'changeOrganization',
  tags: TAGS,
  summary: 'Changes any of it; a shorter window puts what ended before it beyond recovery',
  request: {
    params: organizationParams,
    body: takes(organizationChange),
  },
  responses: { 200: answers(organizationView, 'As it is now.'), ...refusals(...ACCESS_REFUSALS) },
});

const deleteOrganization = createRoute({
  method: 'delete',
  path: ofOrganization(''),
  operationId: 'deleteOrganization',
  tags: TAGS,
  summary: 'Deletes an organization for good, with all its repositories and robots',
  description: 'A person is deleted so too, by the administrator alone. The name is free at once.',
  request: { params: organizationParams },
  responses: { 204: done('It is gone.'), ...refusals(...ACCESS_REFUSALS) },
});

const rules = z
  .strictObject({
    mode: z.enum(['off', 'observe', 'enforce']),
    blocked: z
      .array(z.string())
      .max(676)
      .openapi({
        description: 'Countries by ISO 3166-1 alpha-2.',
        example: ['US'],
      }),
  })
  .openapi('RegionRules');

const readRegions = createRoute({
  method: 'get',
  path: ofOrganization('/regions'),
  operationId: 'readRegions',
  tags: TAGS,
  summary: 'Which countries are not served',
  request: { params: organizationParams },
  responses: { 200: answers(rules, 'The rules.'), ...refusals(...ACCESS_REFUSALS) },
});

const replaceRegions = createRoute({
  method: 'put',
  path: ofOrganization('/regions'),
  operationId: 'replaceRegions',
  tags: TAGS,
  summary: 'Replaces which countries are not served; everywhere within minutes',
  request: { params: organizationParams, body: takes(rules) },
  responses: { 200: answers(rules, 'As they are stored.'), ...refusals(...ACCESS_REFUSALS) },
});

/** What organizations, and persons, decide about all their repositories. */
export function organizationRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(createOrganization, async (c) => {
    const name = requireNewNamespace(c, c.req.valid('json').name, 'name');
    await c.var.scope.operations.createOrganization(name);
    recordAudit(c, { kind: 'org_create', namespace: name });
    return c.json({ name }, 201);
  });
  app.openapi(readOrganization, async (c) =>
    c.json(toView(await requireNamespace(c, c.req.valid('param').organization)), 200),
  );
  app.openapi(changeOrganization, async (c) => {
    const content = c.req.valid('json');
    const change = toChange(content, c.var.scope.settings);
    const name = await requireNamespaceAdmin(c, c.req.valid('param').organization);
    if (change.isEnabled !== undefined) {
      requireAdministrator(c);
    }
    const now = found(await c.var.scope.operations.changeNamespace(name, change), name);
    recordChange(c, now, content);
    return c.json(toView(now), 200);
  });
  app.openapi(deleteOrganization, async (c) => {
    const { name, kind } = await requireNamespace(c, c.req.valid('param').organization);
    if (kind === 'user') {
      requireAdministrator(c);
    }
    if (!(await c.var.scope.operations.markNamespaceForDeletion(name))) {
      throw new ManagementError('not_found', `namespace '${name}' not found`);
    }
    recordAudit(c, { kind: kind === 'user' ? 'user_delete' : 'org_delete', namespace: name });
    return c.body(null, 204);
  });
  addUser(app);
  addRegions(app);
  return app;
}

function addUser(app: OpenAPIHono<AppEnv>): void {
  app.openapi(readUser, async (c) => {
    const { namespaceName: name } = await requirePerson(c);
    return c.json(toView(found(await c.var.scope.operations.getNamespace(name), name)), 200);
  });
  app.openapi(changeUser, async (c) => {
    const content = c.req.valid('json');
    const change = toChange(content, c.var.scope.settings);
    const { namespaceName: name } = await requirePerson(c);
    const now = found(await c.var.scope.operations.changeNamespace(name, change), name);
    recordChange(c, now, content);
    return c.json(toView(now), 200);
  });
}

function addRegions(app: OpenAPIHono<AppEnv>): void {
  app.openapi(readRegions, async (c) => {
    const name = await requireNamespaceAdmin(c, c.req.valid('param').organization);
    const stored = await c.var.scope.operations.readRegionRules(name);
    return c.json(toRules(found(stored, name)), 200);
  });
  app.openapi(replaceRegions, async (c) => {
    const { mode, blocked: texts } = c.req.valid('json');
    const blocked = texts.map((text, index) => requireCountry(text, `blocked.${index}`));
    const name = await requireNamespaceAdmin(c, c.req.valid('param').organization);
    const stored = await c.var.scope.operations.replaceRegionRules(name, { mode, blocked });
    const metadata = { mode, blocked: [...blocked] };
    recordAudit(c, { kind: 'org_change_regions', namespace: name, metadata });
    return c.json(toRules(found(stored, name)), 200);
  });
}

/** Refuses with `invalid_request` a window that is none of those there are. */
function toChange(
  { tag_expiration_s: windowSec, ...content }: OrganizationChange,
  { removedTagExpirationSec }: AppEnv['Variables']['scope']['settings'],
): NamespaceChange {
  const windows = new Set([...TIME_MACHINE_WINDOWS_SEC, removedTagExpirationSec]);
  if (windowSec !== undefined && !windows.has(windowSec)) {
    const message = `tag_expiration_s: is one of ${[...windows].join(', ')}`;
    throw new ManagementError('invalid_request', message);
  }
  const { held_by_pull_days: heldByPullDays, member_role: memberRole, enabled } = content;
  return {
    ...(windowSec === undefined ? {} : { windowSec }),
    ...(heldByPullDays === undefined ? {} : { heldByPullDays }),
    ...(memberRole === undefined ? {} : { memberRole }),
    ...(enabled === undefined ? {} : { isEnabled: enabled }),
  };
}

/** The window has a kind of its own, as it decides what is lost. */
function recordChange(
  c: Context<AppEnv>,
  { name: namespace, kind }: NamespaceInfo,
  { tag_expiration_s: windowSec, ...others }: OrganizationChange,
): void {
  if (windowSec !== undefined) {
    const owner = kind === 'user' ? 'user' : 'org';
    const metadata = { tag_expiration: windowSec };
    recordAudit(c, { kind: `${owner}_change_tag_expiration`, namespace, metadata });
  }
  const metadata = definedOf(others);
  if (Object.keys(metadata).length > 0) {
    recordAudit(c, { kind: 'org_change', namespace, metadata });
  }
}

function definedOf(fields: Readonly<Record<string, AuditMetadata[string] | undefined>>) {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function toView(namespace: NamespaceInfo): z.infer<typeof organizationView> {
  return {
    name: namespace.name,
    kind: namespace.kind,
    enabled: namespace.isEnabled,
    tag_expiration_s: namespace.windowSec,
    held_by_pull_days: namespace.heldByPullDays,
    member_role: namespace.memberRole,
  };
}

function toRules({ mode, blocked }: RegionRules): z.infer<typeof rules> {
  return { mode, blocked: [...blocked] };
}

function requireCountry(text: string, field: string): CountryCode {
  const country = parseCountryCode(text);
  if (country === null) {
    throw new ManagementError('invalid_request', `${field}: '${text}' is no country`);
  }
  return country;
}

function found<Thing>(thing: Thing | null, name: string): Thing {
  if (thing === null) {
    throw new ManagementError('not_found', `namespace '${name}' not found`);
  }
  return thing;
}
