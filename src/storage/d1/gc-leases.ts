import { sql } from 'drizzle-orm';

import { gcLease } from './schema/garbage.ts';
import { defineStatement } from './statement.ts';

/**
 * The right to do one kind of clearing up, so that two runs do not do the same work. Nothing rests
 * on it: every step is right without it.
 */

type Lease = { leaseName: string; token: string };

/** Takes a lease that nobody holds, or whose holder is overdue; a row comes back if it was got. */
export const takeGcLeaseStatement = defineStatement<
  Lease & { expiresMs: number; nowMs: number },
  { token: string }
>(
  (p) => sql`
    INSERT INTO ${gcLease} (name, token, expires_ms)
    VALUES (${p.leaseName}, ${p.token}, ${p.expiresMs})
    ON CONFLICT (name) DO UPDATE SET token = excluded.token, expires_ms = excluded.expires_ms
    WHERE gc_lease.expires_ms <= ${p.nowMs} OR gc_lease.token = excluded.token
    RETURNING token AS token`,
);

/** Gives a lease back, if it is still this holder's. */
export const releaseGcLeaseStatement = defineStatement<Lease>(
  (p) => sql`DELETE FROM ${gcLease} WHERE name = ${p.leaseName} AND token = ${p.token}`,
);
