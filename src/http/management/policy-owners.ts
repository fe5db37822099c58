import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { PolicyScope } from '../../model/references.ts';
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
export const policyParam = z.object({ policy: z.uuid() });

/** What a request's policies are about, if the caller may change them. */
export async function requireScope(c: Context<AppEnv>, owner: PolicyOwner): Promise<PolicyScope> {
  const name = c.req.param(owner) ?? '';
  switch (owner) {
    case 'repository': {
      const { id } = await requireRepositoryRole(c, name, 'admin');
      return { kind: 'repository', id };
    }
    case 'organization': {
      const { id } = await requireNamespace(c, name);
      return { kind: 'namespace', id };
    }
  }
}
