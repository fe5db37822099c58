import { sql } from 'drizzle-orm';

import type { Member, MemberRole, Membership } from '../../model/access.ts';
import type { AccountKind, AccountName } from '../../model/accounts.ts';
import type { NamespaceName } from '../../model/names.ts';
import { namespaceIsLive } from './conditions.ts';
import { account, namespaceMember, repositoryRight } from './schema/accounts.ts';
import { namespace, repository } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

type Named = { namespace: string; accountName: string };

/**
 * Takes somebody into an organization, or gives a member another role. People may be any; a robot is
 * the organization's own, and no admin of it.
 */
export const setMemberStatement = defineStatement<Named & { role: MemberRole; max: number }>(
  (p) => sql`
    INSERT INTO ${namespaceMember} (namespace_id, account_id, role)
    SELECT n.id, a.id, ${p.role} FROM ${namespace} n
      CROSS JOIN ${account} a ON a.name = ${p.accountName}
      LEFT JOIN ${namespaceMember} belongs
        ON belongs.namespace_id = n.id AND belongs.account_id = a.id
    WHERE n.name = ${p.namespace} AND n.kind = 'organization' AND ${namespaceIsLive(sql`n.id`)}
      AND (a.kind = 'user' OR (a.namespace_id = n.id AND ${p.role} <> 'admin'))
      AND belongs.role IS NOT ${p.role}
      AND (belongs.role IS NOT NULL OR (SELECT count(*) FROM ${namespaceMember} other
        WHERE other.namespace_id = n.id) < ${p.max})
    ON CONFLICT (namespace_id, account_id) DO UPDATE SET role = excluded.role`,
);

/** An organization and an account, each as far as there is one, and what the one is in the other. */
interface FoundMember {
  readonly namespaceKind: 'user' | 'organization' | null;
  readonly account: {
    readonly id: number;
    readonly kind: AccountKind;
    readonly isOfNamespace: boolean;
  } | null;
  readonly role: MemberRole | null;
}

export const memberStatement = defineStatement<
  Named,
  {
    namespaceKind: string | null;
    accountId: number | null;
    accountKind: string | null;
    isOfNamespace: number | null;
    memberRole: string | null;
  },
  FoundMember
>(
  (p) => sql`
    SELECT n.kind AS namespaceKind, a.id AS accountId, a.kind AS accountKind,
      a.namespace_id = n.id AS isOfNamespace, belongs.role AS memberRole
    FROM (SELECT 1) asked
      LEFT JOIN ${namespace} n ON n.name = ${p.namespace} AND ${namespaceIsLive(sql`n.id`)}
      LEFT JOIN ${account} a ON a.name = ${p.accountName}
      LEFT JOIN ${namespaceMember} belongs
        ON belongs.namespace_id = n.id AND belongs.account_id = a.id`,
  (row) => ({
    namespaceKind: row.namespaceKind as FoundMember['namespaceKind'],
    account:
      row.accountId === null
        ? null
        : {
            id: row.accountId,
            kind: row.accountKind as AccountKind,
            isOfNamespace: row.isOfNamespace === 1,
          },
    role: row.memberRole as MemberRole | null,
  }),
);

/** Takes the rights of a member who is about to leave, in the organization's repositories. */
export const deleteRightsOfMemberStatement = defineStatement<Named>(
  (p) => sql`
    DELETE FROM ${repositoryRight} WHERE account_id = (
        SELECT a.id FROM ${account} a CROSS JOIN ${namespace} n ON n.name = ${p.namespace}
          CROSS JOIN ${namespaceMember} belongs
            ON belongs.namespace_id = n.id AND belongs.account_id = a.id
        WHERE a.name = ${p.accountName} AND a.kind = 'user')
      AND repository_id IN (SELECT r.id FROM ${namespace} n
        CROSS JOIN ${repository} r ON r.namespace_id = n.id WHERE n.name = ${p.namespace})`,
);

export const deleteMemberStatement = defineStatement<Named, { accountId: number }>(
  (p) => sql`
    DELETE FROM ${namespaceMember}
    WHERE namespace_id = (SELECT n.id FROM ${namespace} n WHERE n.name = ${p.namespace})
      AND account_id = (SELECT a.id FROM ${account} a WHERE a.name = ${p.accountName})
    RETURNING account_id AS accountId`,
);

/** The members of an organization after a name, in byte order; no one who is being deleted. */
export const membersPageStatement = defineStatement<
  { namespace: string; afterName: string; limit: number },
  { accountId: number; accountName: string; accountKind: string; memberRole: string },
  Member
>(
  (p) => sql`
    SELECT a.id AS accountId, a.name AS accountName, a.kind AS accountKind,
      belongs.role AS memberRole
    FROM ${namespace} n
      CROSS JOIN ${namespaceMember} belongs ON belongs.namespace_id = n.id
      CROSS JOIN ${account} a ON a.id = belongs.account_id AND a.name > ${p.afterName}
    WHERE n.name = ${p.namespace} AND ${namespaceIsLive(sql`n.id`)}
      AND ${namespaceIsLive(sql`a.namespace_id`)}
    ORDER BY a.name LIMIT ${p.limit}`,
  (row) => ({
    accountId: row.accountId,
    name: row.accountName as AccountName,
    kind: row.accountKind as AccountKind,
    role: row.memberRole as MemberRole,
  }),
);

/** The organizations that an account belongs to after a name, in byte order. */
export const membershipsPageStatement = defineStatement<
  { accountId: number; afterName: string; limit: number },
  { namespaceId: number; namespaceName: string; memberRole: string },
  Membership
>(
  (p) => sql`
    SELECT n.id AS namespaceId, n.name AS namespaceName, belongs.role AS memberRole
    FROM ${namespaceMember} belongs
      CROSS JOIN ${namespace} n ON n.id = belongs.namespace_id AND n.name > ${p.afterName}
    WHERE belongs.account_id = ${p.accountId} AND ${namespaceIsLive(sql`n.id`)}
    ORDER BY n.name LIMIT ${p.limit}`,
  (row) => ({
    namespaceId: row.namespaceId,
    name: row.namespaceName as NamespaceName,
    role: row.memberRole as MemberRole,
  }),
);
