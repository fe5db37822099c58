import type { Member, MemberRole, Membership } from '../../model/access.ts';
import type { Account, AccountName } from '../../model/accounts.ts';
import type { Page } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { MEMBERS_PER_ORGANIZATION_MAX } from '../../model/limits.ts';
import type { NamespaceName } from '../../model/names.ts';
import {
  deleteMemberStatement,
  deleteRightsOfMemberStatement,
  membershipsPageStatement,
  membersPageStatement,
  memberStatement,
  setMemberStatement,
} from '../../storage/d1/members.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { type PageOptions, readPage } from './pages.ts';

/** Says who belongs to organizations: people, and an organization's own robots. */
export interface Members {
  /** By name in byte order; nothing for an unknown organization. */
  listMembers(organization: NamespaceName, options?: PageOptions): Promise<Page<Member>>;
  /** Null: they do not belong to it, or there is no such organization. */
  getMember(organization: NamespaceName, name: AccountName): Promise<Member | null>;
  /**
   * Takes somebody in, or gives a member another role. `roleBefore` is null for who was no member;
   * where the answer to a first sending was lost, it is what that made of it.
   * Errors: NamespaceNotFound, NotAnOrganization, AccountNotFound, RobotNotAllowed (another
   * namespace's, or as an admin), LimitReached.
   */
  setMember(
    organization: NamespaceName,
    name: AccountName,
    role: MemberRole,
  ): Promise<{ readonly member: Member; readonly roleBefore: MemberRole | null }>;
  /**
   * Ends a membership; false: there was none. A person's rights in the organization's repositories
   * go with it; a robot keeps those that it was given, for it stays the organization's.
   */
  removeMember(organization: NamespaceName, name: AccountName): Promise<boolean>;
  /** The organizations that somebody belongs to, by name in byte order. */
  listMemberships(account: Pick<Account, 'id'>, options?: PageOptions): Promise<Page<Membership>>;
}

export function createMembers({ database }: RegistryDeps): Members {
  const { primary } = database;
  return {
    listMembers: (organization, options = {}) =>
      readPage(
        options,
        ({ name }) => name,
        (after, limit) =>
          primary.all(
            membersPageStatement({ namespace: organization, afterName: after ?? '', limit }),
          ),
      ),

    async getMember(organization, name) {
      const found = await primary.first(
        memberStatement({ namespace: organization, accountName: name }),
      );
      return found === null ? null : toMember(found, name);
    },

    async setMember(organization, name, role) {
      const named = { namespace: organization, accountName: name };
      const max = MEMBERS_PER_ORGANIZATION_MAX;
      const [[before], , [found]] = await sendAgain(() =>
        primary.batch([
          memberStatement(named),
          setMemberStatement({ ...named, role, max }),
          memberStatement(named),
        ]),
      );
      const member = found === undefined ? null : toMember(found, name);
      if (found === undefined || member?.role !== role) {
        throw refusal(found, { organization, name, role });
      }
      return { member, roleBefore: before?.role ?? null };
    },

    async removeMember(organization, name) {
      const named = { namespace: organization, accountName: name };
      return sendAgain(async (isAgain) => {
        const [, removed] = await primary.batch([
          deleteRightsOfMemberStatement(named),
          deleteMemberStatement(named),
        ]);
        // Gone at the second time, it went at the first, whose answer was lost.
        return removed.length > 0 || isAgain;
      });
    },

    listMemberships: ({ id }, options = {}) =>
      readPage(
        options,
        ({ name }) => name,
        (after, limit) =>
          primary.all(membershipsPageStatement({ accountId: id, afterName: after ?? '', limit })),
      ),
  };
}

type Found = ReturnType<ReturnType<typeof memberStatement>['toRow']>;

function toMember({ account, role }: Found, name: AccountName): Member | null {
  return account === null || role === null
    ? null
    : { accountId: account.id, name, kind: account.kind, role };
}

/** Why somebody could not be given a role. */
function refusal(
  found: Found | undefined,
  {
    organization,
    name,
    role,
  }: {
    readonly organization: NamespaceName;
    readonly name: AccountName;
    readonly role: MemberRole;
  },
): RegistryError {
  const { namespaceKind = null, account = null } = found ?? {};
  if (namespaceKind === null) {
    return new RegistryError('NamespaceNotFound', { name: organization });
  }
  if (namespaceKind !== 'organization') {
    return new RegistryError('NotAnOrganization', { name: organization });
  }
  if (account === null) {
    return new RegistryError('AccountNotFound', { name });
  }
  if (account.kind === 'robot' && !account.isOfNamespace) {
    return new RegistryError('RobotNotAllowed', { name, reason: 'foreign' });
  }
  return account.kind === 'robot' && role === 'admin'
    ? new RegistryError('RobotNotAllowed', { name, reason: 'admin' })
    : new RegistryError('LimitReached', { what: 'members', max: MEMBERS_PER_ORGANIZATION_MAX });
}
