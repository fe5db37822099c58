import type { NamespaceName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import type { NamespaceReads } from '../../registry/interface.ts';
import { denied, type OciError } from '../oci/errors.ts';
import type { AuthContext } from './access.ts';

/**
 * A disabled namespace is closed to everybody, whatever their rights. That is decided where
 * credentials are taken: when a token is issued, which is good until it ends, or with the request
 * itself where they come with it. Refusals are 405 `DENIED`.
 */

/** What tells which namespaces are disabled. */
export type DisabledNamespaces = Pick<NamespaceReads, 'isExistingDisabledNamespace'>;

/** Whether the caller came with a token, and so was let in when that was issued. */
export function hasToken(c: AuthContext): boolean {
  return c.var.actor.kind === 'bearer';
}

/** Whether the repository's namespace is disabled, and the caller without a token. */
export function isClosed(c: AuthContext, { isNamespaceEnabled }: RepositoryRef): boolean {
  return !isNamespaceEnabled && !hasToken(c);
}

/** Refuses such a caller. */
export function requireEnabledNamespaceOf(c: AuthContext, repository: RepositoryRef): void {
  if (isClosed(c, repository)) {
    throw namespaceDisabled(repository.namespaceName);
  }
}

/** The same where no row of the namespace was read. */
export async function requireEnabledNamespace(
  c: AuthContext,
  name: NamespaceName,
  { namespaces, forPush }: { readonly namespaces: DisabledNamespaces; readonly forPush: boolean },
): Promise<void> {
  if (!hasToken(c) && (await namespaces.isExistingDisabledNamespace(name, { forPush }))) {
    throw namespaceDisabled(name);
  }
}

/** 405 `DENIED`. */
export function namespaceDisabled(name: NamespaceName): OciError {
  return denied(405, {
    message: `namespace '${name}' is disabled`,
    detail: { reason: 'NAMESPACE_DISABLED' },
  });
}
