import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { PolicyScope } from '../../model/references.ts';
import type { Deed } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireNamespace, requireRepositoryRole } from './access.ts';
import { ofOrganization, ofRepository, organizationParams, repositoryParams } from './schemas.ts';

/** Whose policies endpoints are about, and how the two kinds of them are called in a path. */
export const POLICY_OWNERS = {
  repository: { name: 'Repository', at: ofRepository, params: repositoryParams },
  organization: { name: 'Organization', at: ofOrganization, params: organizationParams },
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
  const name = c.req.param(owner) ?? '';
  switch (owner) {
    case 'repository': {
      const repository = await requireRepositoryRole(c, name, 'admin');
      return { scope: { kind: 'repository', id: repository.id }, place: { repository } };
    }
    case 'organization': {
      const { id, name: namespace } = await requireNamespace(c, name);
      return { scope: { kind: 'namespace', id }, place: { namespace } };
    }
  }
}
