import type { Account, AccountKind, AccountName, RobotPurpose } from './accounts.ts';
import type { NamespaceName, RepositoryName } from './names.ts';
import type { RepositoryState } from './references.ts';
import type { RegionMode } from './regions.ts';

/** What may be done with one repository; each includes those before it. */
export const REPOSITORY_ROLES = ['read', 'write', 'admin'] as const;
export type RepositoryRole = (typeof REPOSITORY_ROLES)[number];

/** What a member of an organization is: a creator makes repositories, an admin may do everything. */
export const MEMBER_ROLES = ['member', 'creator', 'admin'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

/** How far members get in repositories where they have no right of their own. */
export const DEFAULT_ROLES = ['none', ...REPOSITORY_ROLES] as const;
export type DefaultRole = (typeof DEFAULT_ROLES)[number];

/** A namespace as those see it who may change it. */
export interface NamespaceInfo {
  readonly id: number;
  readonly name: NamespaceName;
  readonly kind: 'user' | 'organization';
  readonly isEnabled: boolean;
  /** What all its members may do in its repositories. */
  readonly memberRole: DefaultRole;
  /** The time machine's window, in seconds. */
  readonly windowSec: number;
  /** For how many days what is pulled by digest is kept; 0: not at all. */
  readonly heldByPullDays: number;
  /** What it does about pulls from the countries that it blocks. */
  readonly regionMode: RegionMode;
}

/** Someone who belongs to an organization. */
export interface Member {
  readonly accountId: number;
  readonly name: AccountName;
  readonly kind: AccountKind;
  readonly role: MemberRole;
}

/** An organization that someone belongs to. */
export interface Membership {
  readonly namespaceId: number;
  readonly name: NamespaceName;
  readonly role: MemberRole;
}

/** What someone was given in one repository. */
export interface RepositoryRight {
  readonly accountId: number;
  readonly name: AccountName;
  readonly kind: AccountKind;
  readonly role: RepositoryRole;
  /** Whether they belong to the repository's organization too. */
  readonly isMember: boolean;
}

/** Where someone was given something. */
export interface RightOfAccount {
  readonly repositoryId: number;
  readonly repository: RepositoryName;
  readonly isPublic: boolean;
  readonly role: RepositoryRole;
}

/** What the stores say of someone and a repository: all that rights are decided by. */
export interface AccessFacts {
  /** Null: nobody is named, or there is none of that name. */
  readonly account: Account | null;
  /** Null: there is no such namespace. */
  readonly namespace: {
    readonly id: number;
    readonly kind: 'user' | 'organization';
    readonly isEnabled: boolean;
    readonly memberRole: DefaultRole;
  } | null;
  /** Null: there is no such repository, or it is marked for deletion. */
  readonly repository: {
    readonly id: number;
    readonly isPublic: boolean;
    readonly state: RepositoryState;
  } | null;
  /** What the account is in the namespace; null: no member. */
  readonly membership: MemberRole | null;
  /** The account's own right in the repository, or null. */
  readonly right: RepositoryRole | null;
}

/**
 * What someone may do something by: it is in their own namespace; they are an admin of its
 * organization; all members of that are given so much; they have a right of their own there; it is
 * public.
 */
export const GRANT_KINDS = [
  'owner',
  'organization-admin',
  'member-role',
  'right',
  'public',
] as const;

/** One reason for which someone may do something with a repository that exists. */
export interface Grant {
  readonly kind: (typeof GRANT_KINDS)[number];
  readonly role: RepositoryRole;
}

/** What someone may do with a repository, whether or not it exists. */
export interface Access {
  /** Null: nothing. Of a repository that does not exist: what its maker would have. */
  readonly role: RepositoryRole | null;
  /** Whether they may make repositories in the namespace. */
  readonly mayCreate: boolean;
  /** Whether they belong to the namespace, which is their own or whose member they are. */
  readonly isNamespaceMember: boolean;
  /** Whether they may change the namespace itself. */
  readonly isNamespaceAdmin: boolean;
  /** What the robot is for; `pull_push` for all others. */
  readonly purpose: RobotPurpose;
}

export const NO_ACCESS: Access = {
  role: null,
  mayCreate: false,
  isNamespaceMember: false,
  isNamespaceAdmin: false,
  purpose: 'pull_push',
};
/** Whether one role includes another. */
export function includesRole(role: RepositoryRole | null, wanted: RepositoryRole): boolean {
  return role !== null && REPOSITORY_ROLES.indexOf(role) >= REPOSITORY_ROLES.indexOf(wanted);
}

/**
 * What an account may do. A person is the admin of their own namespace; an organization's admins
 * are of theirs. Others have the right that they were given, what the organization gives all its
 * members, or the reading of what is public, whichever goes furthest. A disabled account has nothing.
 */
export function accessOf(facts: AccessFacts): Access {
  const { account, namespace, repository, membership } = facts;
  if (account === null || !account.isEnabled || namespace === null) {
    return NO_ACCESS;
  }
  const isNamespaceAdmin = isOwner(facts) || membership === 'admin';
  const mayCreate = isNamespaceAdmin || membership === 'creator';
  const role = repository === null ? (mayCreate ? 'admin' : null) : furthest(grantsOf(facts));
  return {
    role,
    mayCreate,
    isNamespaceMember: isNamespaceAdmin || membership !== null,
    isNamespaceAdmin,
    purpose: account.purpose,
  };
}

/** Every reason for which an account may do something with a repository; none if it may nothing. */
export function grantsOf(facts: AccessFacts): readonly Grant[] {
  const { account, namespace, repository, membership, right } = facts;
  if (account?.isEnabled !== true || namespace === null || repository === null) {
    return [];
  }
  const { memberRole } = namespace;
  const grants: Grant[] = [];
  if (isOwner(facts)) {
    grants.push({ kind: 'owner', role: 'admin' });
  }
  if (membership === 'admin') {
    grants.push({ kind: 'organization-admin', role: 'admin' });
  }
  if (membership !== null && memberRole !== 'none') {
    grants.push({ kind: 'member-role', role: memberRole });
  }
  if (right !== null) {
    grants.push({ kind: 'right', role: right });
  }
  if (repository.isPublic) {
    grants.push({ kind: 'public', role: 'read' });
  }
  return grants;
}

function isOwner({ account, namespace }: AccessFacts): boolean {
  return account?.kind === 'user' && account.namespaceId === namespace?.id;
}

/** What somebody may do who gave no credentials: read what is public, where that is allowed. */
export function anonymousAccess(
  { repository }: AccessFacts,
  { anonymousPull }: { readonly anonymousPull: boolean },
): Access {
  const isReadable = anonymousPull && repository?.isPublic === true;
  return isReadable ? { ...NO_ACCESS, role: 'read' } : NO_ACCESS;
}

function furthest(grants: readonly Grant[]): RepositoryRole | null {
  return grants.reduce<RepositoryRole | null>(
    (best, { role }) => (includesRole(best, role) ? best : role),
    null,
  );
}
