import { type SQL, sql } from 'drizzle-orm';

import type { RepositoryRight, RepositoryRole, RightOfAccount } from '../../model/access.ts';
import type { AccountKind, AccountName } from '../../model/accounts.ts';
import type { NamespaceName, RepositoryPath } from '../../model/names.ts';
import { namespaceIsLive } from './conditions.ts';
import { account, namespaceMember, repositoryRight } from './schema/accounts.ts';
import { namespace, repository } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

type Named = { repositoryId: number; accountName: string };

/** Gives somebody a right in a repository, or another one. A robot is its namespace's own. */
export const setRightStatement = defineStatement<Named & { role: RepositoryRole; max: number }>(
  (p) => sql`
    INSERT INTO ${repositoryRight} (repository_id, account_id, role)
    SELECT r.id, a.id, ${p.role} FROM ${repository} r
      CROSS JOIN ${account} a ON a.name = ${p.accountName}
      LEFT JOIN ${repositoryRight} given ON given.repository_id = r.id AND given.account_id = a.id
    WHERE r.id = ${p.repositoryId} AND r.state <> 3
      AND (a.kind = 'user' OR a.namespace_id = r.namespace_id)
      AND given.role IS NOT ${p.role}
      AND (given.role IS NOT NULL OR (SELECT count(*) FROM ${repositoryRight} other
        WHERE other.repository_id = r.id) < ${p.max})
    ON CONFLICT (repository_id, account_id) DO UPDATE SET role = excluded.role`,
);

/** Of `account a`, its `repository_right given` and what it is in the namespace: `belongs`. */
const rightColumns: SQL = sql.raw(`
  a.id AS accountId, a.name AS accountName, a.kind AS accountKind, given.role AS rightRole,
  belongs.role IS NOT NULL AS isMember`);

interface RightRow {
  accountId: number;
  accountName: string;
  accountKind: string;
  rightRole: string;
  isMember: number;
}

const toRight = (row: RightRow): RepositoryRight => ({
  accountId: row.accountId,
  name: row.accountName as AccountName,
  kind: row.accountKind as AccountKind,
  role: row.rightRole as RepositoryRole,
  isMember: row.isMember === 1,
});

export const rightStatement = defineStatement<Named, RightRow, RepositoryRight>(
  (p) => sql`
    SELECT ${rightColumns} FROM ${repository} r
      CROSS JOIN ${account} a ON a.name = ${p.accountName}
      CROSS JOIN ${repositoryRight} given
        ON given.repository_id = r.id AND given.account_id = a.id
      LEFT JOIN ${namespaceMember} belongs
        ON belongs.namespace_id = r.namespace_id AND belongs.account_id = a.id
    WHERE r.id = ${p.repositoryId} AND r.state <> 3`,
  toRight,
);

/** What decides whether somebody can be given a right; no row if the repository is gone. */
export const rightPlaceStatement = defineStatement<
  Named,
  { accountId: number | null; isForeignRobot: number | null },
  { isAccount: boolean; isForeignRobot: boolean }
>(
  (p) => sql`
    SELECT a.id AS accountId,
      (a.kind = 'robot' AND a.namespace_id <> r.namespace_id) AS isForeignRobot
    FROM ${repository} r LEFT JOIN ${account} a ON a.name = ${p.accountName}
    WHERE r.id = ${p.repositoryId} AND r.state <> 3`,
  ({ accountId, isForeignRobot }) => ({
    isAccount: accountId !== null,
    isForeignRobot: isForeignRobot === 1,
  }),
);

export const deleteRightStatement = defineStatement<Named, { accountId: number }>(
  (p) => sql`
    DELETE FROM ${repositoryRight}
    WHERE repository_id = ${p.repositoryId}
      AND account_id = (SELECT a.id FROM ${account} a WHERE a.name = ${p.accountName})
    RETURNING account_id AS accountId`,
);

/** The rights in a repository after a name, in byte order; of no one who is being deleted. */
export const rightsPageStatement = defineStatement<
  { repositoryId: number; afterName: string; limit: number },
  RightRow,
  RepositoryRight
>(
  (p) => sql`
    SELECT ${rightColumns} FROM ${repository} r
      CROSS JOIN ${repositoryRight} given ON given.repository_id = r.id
      CROSS JOIN ${account} a ON a.id = given.account_id AND a.name > ${p.afterName}
      LEFT JOIN ${namespaceMember} belongs
        ON belongs.namespace_id = r.namespace_id AND belongs.account_id = a.id
    WHERE r.id = ${p.repositoryId} AND r.state <> 3 AND ${namespaceIsLive(sql`a.namespace_id`)}
    ORDER BY a.name LIMIT ${p.limit}`,
  toRight,
);

/** The rights of an account after a repository, in the order of the repositories' ids. */
export const rightsOfAccountPageStatement = defineStatement<
  { accountId: number; afterRepositoryId: number; limit: number },
  {
    repositoryId: number;
    namespaceName: string;
    repositoryName: string;
    visibility: string;
    rightRole: string;
  },
  RightOfAccount
>(
  (p) => sql`
    SELECT r.id AS repositoryId, n.name AS namespaceName, r.name AS repositoryName,
      r.visibility AS visibility, given.role AS rightRole
    FROM ${repositoryRight} given INDEXED BY repository_right_account
      CROSS JOIN ${repository} r ON r.id = given.repository_id AND r.state <> 3
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    WHERE given.account_id = ${p.accountId} AND given.repository_id > ${p.afterRepositoryId}
    ORDER BY given.repository_id LIMIT ${p.limit}`,
  (row) => ({
    repositoryId: row.repositoryId,
    repository: {
      namespace: row.namespaceName as NamespaceName,
      repository: row.repositoryName as RepositoryPath,
    },
    isPublic: row.visibility === 'public',
    role: row.rightRole as RepositoryRole,
  }),
);
