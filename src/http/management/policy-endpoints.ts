import { createRoute, z } from '@hono/zod-openapi';

import type { ManagementErrorType } from './errors.ts';
import { POLICY_OWNERS, policyParam, type PolicyOwner } from './policy-owners.ts';
import { ACCESS_REFUSALS, answers, done, refusals, takes } from './schemas.ts';

/** What sets one kind of policy apart from another in its endpoints. */
export interface PolicyKind<View, Content, Made> {
  /** What follows the owner in a path. */
  readonly path: string;
  /** What stands before `Policy` in the ids of the endpoints. */
  readonly noun: string;
  readonly tags: readonly string[];
  readonly view: View;
  readonly content: Content;
  /** What the making of one answers. */
  readonly made: Made;
  readonly refusals?: readonly ManagementErrorType[];
  readonly says: {
    readonly list: string;
    readonly create: string;
    readonly update: string;
    readonly remove: string;
    /** What is so once it is made or changed. */
    readonly inForce: string;
  };
}

/** The endpoints that every kind of policy has, for one kind of owner. */
export function describePolicies<
  View extends z.ZodType,
  Content extends z.ZodType,
  Made extends z.ZodType,
>(kind: PolicyKind<View, Content, Made>, owner: PolicyOwner) {
  const { at, name, params } = POLICY_OWNERS[owner];
  const { view, content, says } = kind;
  const tags = [...kind.tags];
  const one = params.extend(policyParam.shape);
  const REFUSALS = refusals(...ACCESS_REFUSALS, ...(kind.refusals ?? []));
  const all = at(`/${kind.path}`);
  const each = at(`/${kind.path}/{policy}`);
  const operationId = (verb: string, ending = 'y') => `${verb}${kind.noun}Polic${ending}Of${name}`;
  return {
    list: createRoute({
      method: 'get',
      path: all,
      operationId: operationId('list', 'ies'),
      tags,
      summary: says.list,
      request: { params },
      responses: {
        200: answers(z.strictObject({ policies: z.array(view) }), 'Oldest first.'),
        ...REFUSALS,
      },
    }),
    create: createRoute({
      method: 'post',
      path: all,
      operationId: operationId('create'),
      tags,
      summary: says.create,
      request: { params, body: takes(content) },
      responses: { 201: answers(kind.made, says.inForce), ...REFUSALS },
    }),
    read: createRoute({
      method: 'get',
      path: each,
      operationId: operationId('read'),
      tags,
      summary: 'One policy',
      request: { params: one },
      responses: { 200: answers(view, 'The policy.'), ...REFUSALS },
    }),
    update: createRoute({
      method: 'put',
      path: each,
      operationId: operationId('update'),
      tags,
      summary: says.update,
      request: { params: one, body: takes(content) },
      responses: { 204: done(says.inForce), ...REFUSALS },
    }),
    remove: createRoute({
      method: 'delete',
      path: each,
      operationId: operationId('delete'),
      tags,
      summary: says.remove,
      request: { params: one },
      responses: {
        200: answers(z.strictObject({ uuid: z.uuid() }), 'It is gone.'),
        ...REFUSALS,
      },
    }),
  };
}
