import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import type { NamespaceName } from '../../model/names.ts';
import type { AppEnv } from '../scope.ts';
import { requireNamespaceAdmin, requireNamespaceMember, requirePerson } from './access.ts';
import { ofOrganization, ofUser, organizationParams } from './schemas.ts';

/**
 * Whose namespace endpoints are about: one that the path names, or that of the person who calls. The
 * suffix is what the ids of the latter's operations end with.
 */
export const NAMESPACE_OWNERS = {
  organization: { suffix: '', at: ofOrganization, params: organizationParams },
  user: { suffix: 'OfUser', at: ofUser, params: z.object({}) },
} as const;

export type NamespaceOwner = keyof typeof NAMESPACE_OWNERS;

/** The namespace that a request is about, if the caller may change it. */
export async function requireChangeableNamespace(
  c: Context<AppEnv>,
  owner: NamespaceOwner,
): Promise<NamespaceName> {
  return owner === 'user'
    ? (await requirePerson(c)).namespaceName
    : requireNamespaceAdmin(c, c.req.param('organization') ?? '');
}

/** The namespace that a request is about, if the caller belongs to it. */
export async function requireReadableNamespace(
  c: Context<AppEnv>,
  owner: NamespaceOwner,
): Promise<NamespaceName> {
  return owner === 'user'
    ? (await requirePerson(c)).namespaceName
    : requireNamespaceMember(c, c.req.param('organization') ?? '');
}
