import { type SQL, sql } from 'drizzle-orm';

import { precedingStatementWrote } from './conditions.ts';
import { insertMessages, type Message } from './notification-outbox.ts';
import { quotaOf } from './quota.ts';
import type { RepositoryNameValues } from './repositories.ts';
import { notificationDelivery } from './schema/notifications.ts';
import { namespace, repository } from './schema/repositories.ts';
import { repositoryNotification } from './schema/security.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** What is told of quotas. */

const WARNING: SQL = sql`q.limit_bytes * q.warning_percent / 100`;

/**
 * Writes down that a push brought its namespace above the warning of its quota; behind what adds its
 * bytes. One above it already is not warned of again.
 */
export const tellOfQuotaWarningStatement = defineStatement<Message & { addedBytes: number }>((p) =>
  insertMessages(
    p,
    sql`wanted.event = 'quota_warning' AND held.size_bytes > ${WARNING}
      AND held.size_bytes - ${p.addedBytes} <= ${WARNING}`,
    {
      joined: sql`CROSS JOIN ${repository} r ON r.id = wanted.repository_id
        ${quotaOf(sql`r.namespace_id`)}`,
      body: sql`json_set(${p.body}, '$.limit_bytes', q.limit_bytes,
        '$.warning_percent', q.warning_percent, '$.used_bytes', held.size_bytes)`,
    },
  ),
);

const repositoryIdOf = (p: Parameters<RepositoryNameValues>): SQL => sql`(
      SELECT r.id FROM ${namespace} n CROSS JOIN ${repository} r
        ON r.namespace_id = n.id AND r.name = ${p.repository}
      WHERE n.name = ${p.namespace})`;

type Refusal = Omit<Message, 'repositoryId'> & RepositoryNameValues;

/** Writes down that a push was refused for the quota, for whoever was told of none since a time. */
export const tellOfRefusalStatement = defineStatement<Refusal & { toldUntilMs: number }>((p) =>
  insertMessages(
    { ...pick(p), repositoryId: repositoryIdOf(p) },
    sql`wanted.event = 'quota_error' AND coalesce(wanted.last_ran_ms, 0) <= ${p.toldUntilMs}`,
  ),
);

/** Parameters have no properties of their own that could be spread. */
const pick = ({ messageId, nowMs, body }: Parameters<Omit<Message, 'repositoryId'>>) => ({
  messageId,
  nowMs,
  body,
});

/** Stands directly behind: has it sent, and notes when that was told. Those come back that it was for. */
export const wakeRefusalStatement = defineStatement<
  Omit<Refusal, 'body'>,
  { repositoryId: number }
>(
  (p) => sql`
    UPDATE ${repositoryNotification} INDEXED BY repository_notification_event
    SET last_ran_ms = ${p.nowMs}, due_ms = coalesce(due_ms, ${p.nowMs})
    WHERE ${precedingStatementWrote} AND repository_id = ${repositoryIdOf(p)}
      AND event = 'quota_error' AND EXISTS (
        SELECT 1 FROM ${notificationDelivery} made
        WHERE made.notification_id = repository_notification.id AND made.created_ms = ${p.nowMs}
          AND made.message_id = ${p.messageId})
    RETURNING repository_id AS repositoryId`,
);
