import { sql } from 'drizzle-orm';

import type { TrustRule } from '../../model/federation.ts';
import { account } from './schema/accounts.ts';
import { robotFederation } from './schema/federation.ts';
import { namespace } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

type OfRobot = { robotId: number };

/** Says that the robot is there. */
export const robotStatement = defineStatement<OfRobot, { id: number }>(
  (p) => sql`SELECT a.id AS id FROM ${account} a WHERE a.id = ${p.robotId} AND a.kind = 'robot'`,
);

/** The trust rules of a robot, by issuer and subject. */
export const trustRulesStatement = defineStatement<OfRobot, TrustRule>(
  (p) => sql`
    SELECT rule.issuer AS issuer, rule.subject AS subject
    FROM ${robotFederation} rule WHERE rule.account_id = ${p.robotId}
    ORDER BY rule.issuer, rule.subject`,
);

/** Takes away a robot's rules but those of a JSON list of `[issuer, subject]`. */
export const deleteOtherTrustRulesStatement = defineStatement<OfRobot & { rules: string }>(
  (p) => sql`
    DELETE FROM ${robotFederation} WHERE account_id = ${p.robotId}
      AND NOT EXISTS (SELECT 1 FROM json_each(${p.rules}) kept
        WHERE kept.value ->> 0 = issuer AND kept.value ->> 1 = subject)`,
);

/** Gives a robot each rule of a JSON list of `[issuer, subject]` that it has not; if it is there. */
export const insertTrustRulesStatement = defineStatement<OfRobot & { rules: string }>(
  (p) => sql`
    INSERT INTO ${robotFederation} (account_id, issuer, subject)
    SELECT a.id, added.value ->> 0, added.value ->> 1
    FROM ${account} a CROSS JOIN json_each(${p.rules}) added
    WHERE a.id = ${p.robotId} AND a.kind = 'robot' ON CONFLICT DO NOTHING`,
);

/** One subject that a robot trusts an issuer with. */
export interface TrustedSubject {
  readonly robotId: number;
  /** Whether the robot may log in: neither it nor its namespace is disabled. */
  readonly isEnabled: boolean;
  readonly subject: string;
}

/** The subjects that the robot of a name trusts an issuer with; none for an unknown robot. */
export const trustedSubjectsStatement = defineStatement<
  { robotName: string; issuer: string },
  { robotId: number; isEnabled: number; subject: string },
  TrustedSubject
>(
  (p) => sql`
    SELECT a.id AS robotId, (a.enabled = 1 AND own.enabled = 1) AS isEnabled,
      rule.subject AS subject
    FROM ${account} a
      CROSS JOIN ${namespace} own ON own.id = a.namespace_id
      CROSS JOIN ${robotFederation} rule ON rule.account_id = a.id AND rule.issuer = ${p.issuer}
    WHERE a.name = ${p.robotName}`,
  (row) => ({ ...row, isEnabled: row.isEnabled === 1 }),
);
