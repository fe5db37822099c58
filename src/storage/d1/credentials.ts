import { sql } from 'drizzle-orm';

import { credential } from './schema/accounts.ts';
import { defineStatement } from './statement.ts';

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
