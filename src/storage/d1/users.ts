import { sql } from 'drizzle-orm';

import type { AccountName, User } from '../../model/accounts.ts';
import type { EpochMs } from '../../model/time.ts';
import { precedingStatementWrote } from './conditions.ts';
import { account } from './schema/accounts.ts';
import { namespace } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

/** Stands directly behind the making of a namespace, and makes its person. */
export const insertUserStatement = defineStatement<{ name: string; nowMs: number }>(
  (p) => sql`
    INSERT INTO ${account} (name, kind, namespace_id, created_ms)
    SELECT n.name, 'user', n.id, ${p.nowMs} FROM ${namespace} n
    WHERE n.name = ${p.name} AND ${precedingStatementWrote}`,
);

interface UserRow {
  accountId: number;
  accountName: string;
  accountNamespaceId: number;
  accountEnabled: number;
  accountCreatedMs: number;
}

/** The person of this name. */
export const userStatement = defineStatement<{ name: string }, UserRow, User>(
  (p) => sql`
    SELECT a.id AS accountId, a.name AS accountName, a.namespace_id AS accountNamespaceId,
      (a.enabled = 1 AND own.enabled = 1) AS accountEnabled, a.created_ms AS accountCreatedMs
    FROM ${account} a CROSS JOIN ${namespace} own ON own.id = a.namespace_id
    WHERE a.name = ${p.name} AND a.kind = 'user'`,
  (row) => ({
    id: row.accountId,
    name: row.accountName as AccountName,
    namespaceId: row.accountNamespaceId,
    isEnabled: row.accountEnabled === 1,
    createdMs: row.accountCreatedMs as EpochMs,
  }),
);
