import { type SQL, sql } from 'drizzle-orm';

import {
  type AccountName,
  type Robot,
  type RobotPurpose,
  robotShortName,
} from '../../model/accounts.ts';
import type { JsonObject } from '../../model/datatypes.ts';
import type { EpochMs } from '../../model/time.ts';
import { namespaceIsLive } from './conditions.ts';
import { account, credential } from './schema/accounts.ts';
import { namespace } from './schema/repositories.ts';
import { defineStatement } from './statement.ts';

interface RobotRow {
  accountId: number;
  accountName: string;
  purpose: string;
  description: string;
  metadata: string;
  accountEnabled: number;
  accountCreatedMs: number;
  lastUsedMs: number | null;
}

/** Of `account a` and its `credential c`. */
const robotColumns: SQL = sql.raw(`
  a.id AS accountId, a.name AS accountName, a.purpose AS purpose, a.description AS description,
  a.metadata AS metadata, a.enabled AS accountEnabled, a.created_ms AS accountCreatedMs,
  c.last_used_ms AS lastUsedMs`);

function toRobot(row: RobotRow): Robot {
  const name = row.accountName as AccountName;
  return {
    id: row.accountId,
    name,
    shortName: robotShortName(name),
    purpose: row.purpose as RobotPurpose,
    description: row.description,
    metadata: JSON.parse(row.metadata) as JsonObject,
    isEnabled: row.accountEnabled === 1,
    createdMs: row.accountCreatedMs as EpochMs,
    lastUsedMs: row.lastUsedMs as EpochMs | null,
  };
}

/** Makes a robot of a namespace, unless that has so many or the name is taken. */
export const insertRobotStatement = defineStatement<{
  namespace: string;
  name: string;
  purpose: RobotPurpose;
  description: string;
  metadata: string;
  nowMs: number;
  max: number;
}>(
  (p) => sql`
    INSERT INTO ${account} (name, kind, namespace_id, purpose, description, metadata, created_ms)
    SELECT ${p.name}, 'robot', n.id, ${p.purpose}, ${p.description}, ${p.metadata}, ${p.nowMs}
    FROM ${namespace} n
    WHERE n.name = ${p.namespace} AND ${namespaceIsLive(sql`n.id`)}
      AND NOT EXISTS (SELECT 1 FROM ${account} taken WHERE taken.name = ${p.name})
      AND (SELECT count(*) FROM ${account} other
        WHERE other.namespace_id = n.id AND other.kind = 'robot') < ${p.max}`,
);

/** What decides whether a robot can be made; no row if there is no such namespace. */
export const robotPlaceStatement = defineStatement<
  { namespace: string; name: string },
  { isTaken: number },
  { isTaken: boolean }
>(
  (p) => sql`
    SELECT EXISTS (SELECT 1 FROM ${account} taken WHERE taken.name = ${p.name}) AS isTaken
    FROM ${namespace} n WHERE n.name = ${p.namespace} AND ${namespaceIsLive(sql`n.id`)}`,
  ({ isTaken }) => ({ isTaken: isTaken === 1 }),
);

export const robotStatement = defineStatement<{ name: string }, RobotRow, Robot>(
  (p) => sql`
    SELECT ${robotColumns} FROM ${account} a
      LEFT JOIN ${credential} c ON c.account_id = a.id AND c.kind = 'robot_token'
    WHERE a.name = ${p.name} AND a.kind = 'robot'`,
  toRobot,
);

/** The robots of a namespace after a name, in byte order. */
export const robotsPageStatement = defineStatement<
  { namespace: string; afterName: string; limit: number },
  RobotRow,
  Robot
>(
  (p) => sql`
    SELECT ${robotColumns} FROM ${namespace} n
      CROSS JOIN ${account} a
        ON a.namespace_id = n.id AND a.kind = 'robot' AND a.name > ${p.afterName}
      LEFT JOIN ${credential} c ON c.account_id = a.id AND c.kind = 'robot_token'
    WHERE n.name = ${p.namespace} AND ${namespaceIsLive(sql`n.id`)}
    ORDER BY a.name LIMIT ${p.limit}`,
  toRobot,
);

/** What a robot becomes; null: as it is. */
export type RobotChangeValues = {
  purpose: RobotPurpose | null;
  description: string | null;
  metadata: string | null;
  enabled: number | null;
};

/** Changes a robot, unless it is like that. */
export const changeRobotStatement = defineStatement<{ name: string } & RobotChangeValues>(
  (p) => sql`
    UPDATE ${account} SET purpose = coalesce(${p.purpose}, purpose),
      description = coalesce(${p.description}, description),
      metadata = coalesce(${p.metadata}, metadata), enabled = coalesce(${p.enabled}, enabled)
    WHERE name = ${p.name} AND kind = 'robot'
      AND (purpose <> ${p.purpose} OR description <> ${p.description}
        OR metadata <> ${p.metadata} OR enabled <> ${p.enabled})`,
);

/** Removes a robot; with it go its secret, its rights and its memberships. */
export const deleteRobotStatement = defineStatement<{ robotId: number }, { robotId: number }>(
  (p) => sql`
    DELETE FROM ${account} WHERE id = ${p.robotId} AND kind = 'robot' RETURNING id AS robotId`,
);
