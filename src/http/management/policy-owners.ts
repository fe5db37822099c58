import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { PolicyScope } from '../../model/references.ts';
import type { Deed } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireNamespace, requirePerson, requireRepositoryRole } from './access.ts';
import {
  ofOrganization,
  ofRepository,
  ofUser,
  organizationParams,
  repositoryParams,
} from './schemas.ts';

/** Whose policies endpoints are about, and how they are called in a path. */
export const POLICY_OWNERS = {
  repository: { name: 'Repository', at: ofRepository, params: repositoryParams },
  organization: { name: 'Organization', at: ofOrganization, params: organizationParams },
  /** Whoever calls: what holds in their own namespace. */
  user: { name: 'User', at: ofUser, params: z.object({}) },
} as const;

export type PolicyOwner = keyof typeof POLICY_OWNERS;

/** A policy in a path. */
export const policyParam = z.object({
  policy: z.uuid().openapi({ description: 'The id of a policy.' }),
});

/** What a request's policies are about, for the domain and for the audit log. */
export interface OwnerOfPolicies {
  readonly scope: PolicyScope;
  readonly place: Pick<Deed, 'repository' | 'namespace'>;
}

/** What a request's policies are about, if the caller may change them. */
export async function requireOwner(
  c: Context<AppEnv>,
  owner: PolicyOwner,
): Promise<OwnerOfPolicies> {
  switch (owner) {
    case 'repository': {
      const repository = await requireRepositoryRole(c, c.req.param(owner) ?? '', 'admin');
      return { scope: { kind: 'repository', id: repository.id }, place: { repository } };
    }
    case 'organization': {
      const { id, name } = await requireNamespace(c, c.req.param(owner) ?? '');
      return { scope: { kind: 'namespace', id }, place: { namespace: name } };
    }
    case 'user': {
      const { namespaceId: id, namespaceName } = await requirePerson(c);
      return { scope: { kind: 'namespace', id }, place: { namespace: namespaceName } };
    }
  }
}
