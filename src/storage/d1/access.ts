import { type SQL, sql } from 'drizzle-orm';

import type { AccessFacts, DefaultRole, MemberRole, RepositoryRole } from '../../model/access.ts';
import type { Account, AccountKind, AccountName, RobotPurpose } from '../../model/accounts.ts';
import type { NamespaceName } from '../../model/names.ts';
import type { RepositoryState } from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import { account, credential, namespaceMember, repositoryRight } from './schema/accounts.ts';
import { namespace, repository } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

/**
 * Who someone is and what they may do, in one statement: it travels with the pull that it decides
 * about. It reads as much for a repository that is not there as for one that may not be seen.
 */

/** Of `account a` and `namespace own`, the one it belongs to. */
export const accountColumns: SQL = sql.raw(`
  a.id AS accountId, a.kind AS accountKind, a.name AS accountName,
  a.namespace_id AS accountNamespaceId, own.name AS accountNamespaceName,
  (a.enabled = 1 AND own.enabled = 1) AS accountEnabled, a.purpose AS purpose`);

export interface AccountRow {
  accountId: number;
  accountKind: string;
  accountName: string;
  accountNamespaceId: number;
  accountNamespaceName: string;
  accountEnabled: number;
  purpose: string;
}

export function toAccount(row: AccountRow): Account {
  return {
    id: row.accountId,
    kind: row.accountKind as AccountKind,
    name: row.accountName as AccountName,
    namespaceId: row.accountNamespaceId,
    namespaceName: row.accountNamespaceName as NamespaceName,
    isEnabled: row.accountEnabled === 1,
    purpose: row.purpose as RobotPurpose,
  };
}

/** A secret as it is kept. */
export interface StoredCredential {
  readonly id: number;
  readonly secretHash: string;
  readonly expiresMs: EpochMs | null;
  readonly lastUsedMs: EpochMs | null;
}

/** What is known of one repository, and of who asks for it. */
export interface FoundAccess {
  /** The place of the repository in the list that was asked about. */
  readonly index: number;
  /** What the account is to be proven by; null if none was found, or none was asked for. */
  readonly credential: StoredCredential | null;
  readonly facts: AccessFacts;
}

/**
 * `repositories` is a JSON list of `[namespace, repository]`, and has a row each; names may be
 * null. The account is the one that a secret with this prefix belongs to, or else the one of this
 * name.
 */
export type AccessQuestion = {
  credentialPrefix: string | null;
  accountName: string | null;
  repositories: string;
};

type Maybe<Row> = { [Column in keyof Row]: Row[Column] | null };
type AccessRow = { position: number } & Maybe<
  AccountRow & {
    credentialId: number;
    secretHash: string;
    credentialExpiresMs: number;
    lastUsedMs: number;
    namespaceId: number;
    namespaceKind: string;
    namespaceEnabled: number;
    memberRole: string;
    repositoryId: number;
    visibility: string;
    repositoryState: number;
    membership: string;
    rightRole: string;
  }
>;

export const accessStatement = defineStatement<AccessQuestion, AccessRow, FoundAccess>(
  (p) => sql`
    SELECT asked.key AS position, c.id AS credentialId, c.secret_hash AS secretHash,
      c.expires_ms AS credentialExpiresMs, c.last_used_ms AS lastUsedMs, ${accountColumns},
      n.id AS namespaceId, n.kind AS namespaceKind, n.enabled AS namespaceEnabled,
      n.member_role AS memberRole, r.id AS repositoryId, r.visibility AS visibility,
      r.state AS repositoryState, belongs.role AS membership, given.role AS rightRole
    FROM json_each(${p.repositories}) asked
      LEFT JOIN ${credential} c ON c.prefix = ${p.credentialPrefix}
      LEFT JOIN ${account} a ON a.id = COALESCE(c.account_id,
        (SELECT named.id FROM ${account} named WHERE named.name = ${p.accountName}))
      LEFT JOIN ${namespace} own ON own.id = a.namespace_id
      LEFT JOIN ${namespace} n ON n.name = asked.value ->> 0
      LEFT JOIN ${repository} r ON r.namespace_id = n.id AND r.name = asked.value ->> 1
        AND r.state <> 3
      LEFT JOIN ${namespaceMember} belongs ON belongs.namespace_id = n.id
        AND belongs.account_id = a.id
      LEFT JOIN ${repositoryRight} given ON given.repository_id = r.id
        AND given.account_id = a.id`,
  (row) => ({
    index: row.position,
    credential: row.credentialId === null ? null : toStoredCredential(row),
    facts: toFacts(row),
  }),
);

function toStoredCredential(row: AccessRow): StoredCredential {
  return {
    id: row.credentialId ?? 0,
    secretHash: row.secretHash ?? '',
    expiresMs: row.credentialExpiresMs as EpochMs | null,
    lastUsedMs: row.lastUsedMs as EpochMs | null,
  };
}

function toFacts(row: AccessRow): AccessFacts {
  const { namespaceId, repositoryId } = row;
  return {
    account: row.accountId === null ? null : toAccount(row as AccountRow),
    namespace:
      namespaceId === null
        ? null
        : {
            id: namespaceId,
            kind: row.namespaceKind as 'user' | 'organization',
            isEnabled: row.namespaceEnabled === 1,
            memberRole: row.memberRole as DefaultRole,
          },
    repository:
      repositoryId === null
        ? null
        : {
            id: repositoryId,
            isPublic: row.visibility === 'public',
            state: row.repositoryState as RepositoryState,
          },
    membership: row.membership as MemberRole | null,
    right: row.rightRole as RepositoryRole | null,
  };
}
