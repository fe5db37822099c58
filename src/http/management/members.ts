import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

import { MEMBER_ROLES, type Member } from '../../model/access.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireNamespaceAdmin } from './access.ts';
import { ManagementError } from './errors.ts';
import { listOf, nextPageOf, pageQuery, toPageOptions } from './pages.ts';
import { requireAccountName, requireKnownAccount } from './parse.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  accountNameText,
  accountParam,
  answers,
  done,
  nextPage,
  ofOrganization,
  organizationParams,
  refusals,
  takes,
} from './schemas.ts';

const TAGS = ['Members'];

const memberParams = organizationParams.extend({ account: accountParam });

const memberView = z
  .strictObject({
    name: accountNameText,
    is_robot: z.boolean(),
    role: z.enum(MEMBER_ROLES).openapi({
      description: 'A creator makes repositories, an admin may do everything.',
    }),
  })
  .openapi('Member');

const listMembers = createRoute({
  method: 'get',
  path: ofOrganization('/members'),
  operationId: 'listMembers',
  tags: TAGS,
  summary: 'Who belongs to an organization, by name',
  request: { params: organizationParams, query: pageQuery },
  responses: {
    200: answers(
      z.strictObject({ members: z.array(memberView), next_page: nextPage }),
      'A page of members.',
    ),
    ...refusals(...ACCESS_REFUSALS),
  },
});

const setMember = createRoute({
  method: 'put',
  path: ofOrganization('/members/{account}'),
  operationId: 'setMember',
  tags: TAGS,
  summary: 'Takes a person or a robot of its own in, or gives a member another role',
  request: {
    params: memberParams,
    body: takes(z.strictObject({ role: z.enum(MEMBER_ROLES) }).openapi('MemberRole')),
  },
  responses: {
    200: answers(memberView, 'The member.'),
    ...refusals(...ACCESS_REFUSALS, 'exceeds_license'),
  },
});

const removeMember = createRoute({
  method: 'delete',
  path: ofOrganization('/members/{account}'),
  operationId: 'removeMember',
  tags: TAGS,
  summary: 'Ends a membership; a person loses their rights in its repositories with it',
  request: { params: memberParams },
  responses: { 204: done('They are out.'), ...refusals(...ACCESS_REFUSALS) },
});

/** Who belongs to an organization, and as what. */
export function memberRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(listMembers, async (c) => {
    const organization = await requireNamespaceAdmin(c, c.req.valid('param').organization);
    const options = toPageOptions(c, c.req.valid('query'));
    const { items, cursor } = await c.var.scope.operations.listMembers(organization, options);
    const next = nextPageOf(listOf(c), cursor);
    return c.json({ members: items.map(toView), ...next }, 200);
  });
  app.openapi(setMember, async (c) => {
    const { organization: text, account } = c.req.valid('param');
    const { role } = c.req.valid('json');
    const organization = await requireNamespaceAdmin(c, text);
    const name = requireAccountName(account);
    const { operations } = c.var.scope;
    const change = operations.setMember(organization, name, role);
    const { member, roleBefore } = await requireKnownAccount(name, change);
    recordAudit(c, {
      kind: roleBefore === null ? 'org_add_member' : 'org_change_member',
      namespace: organization,
      metadata: { member: name, role },
    });
    return c.json(toView(member), 200);
  });
  app.openapi(removeMember, async (c) => {
    const { organization: text, account } = c.req.valid('param');
    const organization = await requireNamespaceAdmin(c, text);
    const name = requireAccountName(account);
    if (!(await c.var.scope.operations.removeMember(organization, name))) {
      throw new ManagementError('not_found', `'${name}' is no member`);
    }
    recordAudit(c, {
      kind: 'org_remove_member',
      namespace: organization,
      metadata: { member: name },
    });
    return c.body(null, 204);
  });
  return app;
}

function toView({ name, kind, role }: Member): z.infer<typeof memberView> {
  return { name, is_robot: kind === 'robot', role };
}
