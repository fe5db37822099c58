import { type SQL, sql } from 'drizzle-orm';

import type { CredentialInfo } from '../../model/accounts.ts';
import type { EpochMs } from '../../model/time.ts';
import { precedingStatementWrote } from './conditions.ts';
import { account, credential } from './schema/accounts.ts';
import { namespace } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

type CredentialKind = 'app_token' | 'robot_token';

/** Notes that a secret was used, unless that was noted after `beforeMs` already. */
export const touchCredentialStatement = defineStatement<{
  credentialId: number;
  nowMs: number;
  beforeMs: number;
}>(
  (p) => sql`
    UPDATE ${credential} SET last_used_ms = ${p.nowMs}
    WHERE id = ${p.credentialId} AND (last_used_ms IS NULL OR last_used_ms < ${p.beforeMs})`,
);

/** Of `credential c`; never its hash. */
export const credentialColumns: SQL = sql.raw(`
  c.uuid AS credentialUuid, c.title AS credentialTitle, c.created_ms AS credentialCreatedMs,
  c.expires_ms AS credentialExpiresMs, c.last_used_ms AS credentialLastUsedMs`);

export interface CredentialRow {
  credentialUuid: string;
  credentialTitle: string;
  credentialCreatedMs: number;
  credentialExpiresMs: number | null;
  credentialLastUsedMs: number | null;
}

export function toCredentialInfo(row: CredentialRow): CredentialInfo {
  return {
    uuid: row.credentialUuid,
    title: row.credentialTitle,
    createdMs: row.credentialCreatedMs as EpochMs,
    expiresMs: row.credentialExpiresMs as EpochMs | null,
    lastUsedMs: row.credentialLastUsedMs as EpochMs | null,
  };
}

/** What is kept of a secret, under the name that recognizes it if it is written again. */
export type CredentialValues = { uuid: string; prefix: string; secretHash: string };

/** Stands directly behind the making of an account, and gives it its first secret. */
export const insertFirstCredentialStatement = defineStatement<
  CredentialValues & { accountName: string; kind: CredentialKind; title: string; nowMs: number }
>(
  (p) => sql`
    INSERT INTO ${credential} (uuid, account_id, kind, title, prefix, secret_hash, created_ms)
    SELECT ${p.uuid}, a.id, ${p.kind}, ${p.title}, ${p.prefix}, ${p.secretHash}, ${p.nowMs}
    FROM ${account} a WHERE a.name = ${p.accountName} AND ${precedingStatementWrote}`,
);

/** The secret of this name, and only if it is this account's. */
export const credentialOfAccountStatement = defineStatement<
  { accountName: string; uuid: string },
  CredentialRow,
  CredentialInfo
>(
  (p) => sql`
    SELECT ${credentialColumns} FROM ${credential} c
      CROSS JOIN ${account} a ON a.id = c.account_id AND a.name = ${p.accountName}
    WHERE c.uuid = ${p.uuid}`,
  toCredentialInfo,
);

type Owner = { accountId: number };

/** Forgets the tokens of a person that are over. */
export const deleteEndedTokensStatement = defineStatement<Owner & { nowMs: number }>(
  (p) => sql`
    DELETE FROM ${credential}
    WHERE account_id = ${p.accountId} AND kind = 'app_token' AND expires_ms <= ${p.nowMs}`,
);

/** Gives a person a token, unless they may not log in, have so many, or have this one. */
export const insertAppTokenStatement = defineStatement<
  CredentialValues & Owner & { title: string; nowMs: number; expiresMs: number | null; max: number }
>(
  (p) => sql`
    INSERT INTO ${credential}
      (uuid, account_id, kind, title, prefix, secret_hash, created_ms, expires_ms)
    SELECT ${p.uuid}, a.id, 'app_token', ${p.title}, ${p.prefix}, ${p.secretHash}, ${p.nowMs},
      ${p.expiresMs}
    FROM ${account} a CROSS JOIN ${namespace} own ON own.id = a.namespace_id AND own.enabled = 1
    WHERE a.id = ${p.accountId} AND a.kind = 'user' AND a.enabled = 1
      AND NOT EXISTS (SELECT 1 FROM ${credential} mine WHERE mine.uuid = ${p.uuid})
      AND (SELECT count(*) FROM ${credential} other WHERE other.account_id = a.id) < ${p.max}`,
);

export const appTokenStatement = defineStatement<
  Owner & { uuid: string },
  CredentialRow,
  CredentialInfo
>(
  (p) => sql`
    SELECT ${credentialColumns} FROM ${credential} c
    WHERE c.uuid = ${p.uuid} AND c.account_id = ${p.accountId} AND c.kind = 'app_token'`,
  toCredentialInfo,
);

/** All tokens of a person, oldest first. */
export const appTokensStatement = defineStatement<Owner, CredentialRow, CredentialInfo>(
  (p) => sql`
    SELECT ${credentialColumns} FROM ${credential} c
    WHERE c.account_id = ${p.accountId} AND c.kind = 'app_token' ORDER BY c.id`,
  toCredentialInfo,
);

export const deleteAppTokenStatement = defineStatement<Owner & { uuid: string }, { uuid: string }>(
  (p) => sql`
    DELETE FROM ${credential}
    WHERE uuid = ${p.uuid} AND account_id = ${p.accountId} AND kind = 'app_token'
    RETURNING uuid AS uuid`,
);

/** Puts a new secret in the place of a robot's, which so is good no more. */
export const replaceRobotTokenStatement = defineStatement<
  CredentialValues & { robotName: string; nowMs: number }
>(
  (p) => sql`
    UPDATE ${credential} SET uuid = ${p.uuid}, prefix = ${p.prefix},
      secret_hash = ${p.secretHash}, created_ms = ${p.nowMs}, last_used_ms = NULL
    WHERE kind = 'robot_token' AND uuid <> ${p.uuid} AND account_id = (
      SELECT a.id FROM ${account} a WHERE a.name = ${p.robotName} AND a.kind = 'robot')`,
);
