import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import {
  NOTIFICATION_FAILURES_MAX,
  NOTIFICATIONS_WAITING_MAX,
} from '../../model/notification-limits.ts';
import { precedingStatementWrote } from './conditions.ts';
import { notificationDelivery } from './schema/notifications.ts';
import { repositoryNotification } from './schema/security.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * What waits to be told. A batch that changes something of which a repository may tell adds two
 * statements: one writes a row for each notification that is about it, the other has those sent.
 * Where no notification is, neither writes anything.
 */

/** The notification is not switched off, and has room for one message more. */
export const takesMore = (alias: string): SQL => sql`
    ${sql.raw(alias)}.number_of_failures < ${sql.raw(String(NOTIFICATION_FAILURES_MAX))}
      AND (SELECT count(*) FROM ${notificationDelivery} waiting
        WHERE waiting.notification_id = ${sql.raw(alias)}.id)
        < ${sql.raw(String(NOTIFICATIONS_WAITING_MAX))}`;

/** A message, for all that want it. */
export type Message = { repositoryId: number; messageId: string; nowMs: number; body: string };
/** Writes it down for each notification `wanted` of the repository of which something is true. */
export const insertMessages = (
  p: Parameters<Omit<Message, 'repositoryId'>> & { readonly repositoryId: Placeholder | SQL },
  wanted: SQL,
  { body = sql`${p.body}`, joined = sql`` }: { body?: SQL; joined?: SQL } = {},
): SQL => sql`
    INSERT INTO ${notificationDelivery} (notification_id, created_ms, message_id, body)
    SELECT wanted.id, ${p.nowMs}, ${p.messageId}, ${body}
    FROM ${repositoryNotification} wanted INDEXED BY repository_notification_event ${joined}
    WHERE wanted.repository_id = ${p.repositoryId} AND ${wanted} AND ${takesMore('wanted')}`;

/** Writes down what whoever wants to hear of pushes is to be told. */
export const tellOfPushStatement = defineStatement<Message>((p) =>
  insertMessages(p, sql`wanted.event = 'repo_push'`),
);

/**
 * The same of vulnerabilities: for those that want to hear of any, or of one of the severities in this
 * JSON list. Stands directly behind what writes down that the manifest was scanned, and does nothing
 * if that did nothing.
 */
export const tellOfVulnerabilitiesStatement = defineStatement<Message & { severities: string }>(
  (p) =>
    insertMessages(
      p,
      sql`${precedingStatementWrote} AND wanted.event = 'vulnerability_found' AND coalesce(${prioritySql('wanted')} IN (
      SELECT severity.value FROM json_each(${p.severities}) severity), 1)`,
    ),
);

/** Writes a message down for one notification; a row comes back unless it was there already. */
export const tellOneStatement = defineStatement<
  Message & { uuid: string },
  { notificationId: number }
>(
  (p) => sql`${insertMessages(p, sql`wanted.uuid = ${p.uuid}`)}
    ON CONFLICT DO NOTHING RETURNING notification_id AS notificationId`,
);

/** The least severity that a notification is about; null: any. */
const prioritySql = (alias: string): SQL => configValue(alias, '$.vulnerability.priority');

/** A value of an event's configuration; null too where that is no JSON. */
export const configValue = (alias: string, path: string): SQL => {
  const json = sql.raw(`${alias}.event_config_json`);
  return sql`CASE WHEN json_valid(${json}) THEN ${json} ->> ${sql.raw(`'${path}'`)} END`;
};

/** Something waits for the row of the table. */
const somethingWaits: SQL = sql`EXISTS (SELECT 1 FROM ${notificationDelivery} waiting
      WHERE waiting.notification_id = repository_notification.id)`;

/**
 * Stands directly behind the statements above: has what they wrote sent, unless its receiver is put
 * off, or held, when who sends finds it.
 */
export const wakeNotificationsStatement = defineStatement<{ repositoryId: number; nowMs: number }>(
  (p) => sql`
    UPDATE ${repositoryNotification} INDEXED BY repository_notification_event SET due_ms = ${p.nowMs}
    WHERE ${precedingStatementWrote} AND repository_id = ${p.repositoryId} AND due_ms IS NULL
      AND ${somethingWaits}`,
);

/**
 * A row if something is to be sent in a repository now. It stands behind the statements above, which
 * do not say so themselves: what they would return is paid by those that write nothing, too.
 */
export const isDueStatement = defineStatement<
  { repositoryId: number; nowMs: number },
  { isDue: number }
>(
  (p) => sql`
    SELECT 1 AS isDue FROM ${repositoryNotification} due INDEXED BY repository_notification_event
    WHERE due.repository_id = ${p.repositoryId} AND due.due_ms <= ${p.nowMs} LIMIT 1`,
);

type Claim = { claimToken: string; claimUntilMs: number };
type Taking = Claim & { nowMs: number; limit: number };

const take = (p: Parameters<Taking>, which: SQL): SQL => sql`
    UPDATE ${repositoryNotification} SET due_ms = ${p.claimUntilMs}, claim_token = ${p.claimToken}
    WHERE id IN (SELECT due.id FROM ${repositoryNotification} due ${which}
      AND due.due_ms <= ${p.nowMs} ORDER BY due.due_ms LIMIT ${p.limit})`;

/** Takes up those that have been due for the longest. */
export const takeDueNotificationsStatement = defineStatement<Taking>((p) =>
  take(p, sql`INDEXED BY repository_notification_due WHERE due.due_ms IS NOT NULL`),
);

/** Takes up those of a repository that are due. */
export const takeNotificationsOfRepositoryStatement = defineStatement<
  Taking & { repositoryId: number }
>((p) =>
  take(
    p,
    sql`INDEXED BY repository_notification_event WHERE due.repository_id = ${p.repositoryId}`,
  ),
);

/** A message that waits. */
export interface WaitingMessage {
  readonly createdMs: number;
  readonly messageId: string;
  readonly body: string;
}

/** A notification that was taken up. */
export interface TakenNotification {
  readonly notificationId: number;
  readonly uuid: string;
  readonly configJson: string;
  readonly attempts: number;
  /** What is sent first; null: nothing waits. */
  readonly first: WaitingMessage | null;
}

interface MessageRow {
  createdMs: number | null;
  messageId: string | null;
  body: string | null;
}

const toMessage = ({ createdMs, messageId, body }: MessageRow): WaitingMessage | null =>
  createdMs === null || messageId === null || body === null ? null : { createdMs, messageId, body };

/** What was taken up by a claim, each with what is to be sent first. */
export const takenNotificationsStatement = defineStatement<
  Claim,
  Omit<TakenNotification, 'first'> & MessageRow,
  TakenNotification
>(
  (p) => sql`
    SELECT n.id AS notificationId, n.uuid AS uuid, n.config_json AS configJson,
      n.attempts AS attempts, waits.created_ms AS createdMs, waits.message_id AS messageId,
      waits.body AS body
    FROM ${repositoryNotification} n INDEXED BY repository_notification_due
      LEFT JOIN ${notificationDelivery} waits ON waits.notification_id = n.id
        AND (waits.created_ms, waits.message_id) = (
          SELECT head.created_ms, head.message_id FROM ${notificationDelivery} head
          WHERE head.notification_id = n.id ORDER BY head.created_ms, head.message_id LIMIT 1)
    WHERE n.due_ms = ${p.claimUntilMs} AND n.claim_token = ${p.claimToken}`,
  ({ notificationId, uuid, configJson, attempts, ...message }) => ({
    notificationId,
    uuid,
    configJson,
    attempts,
    first: toMessage(message),
  }),
);

type OfNotification = { notificationId: number };
type Held = OfNotification & { claimToken: string };
type OneMessage = { createdMs: number; messageId: string };

const isMessage = (p: Parameters<OfNotification & OneMessage>): SQL => sql`
    notification_id = ${p.notificationId} AND created_ms = ${p.createdMs}
      AND message_id = ${p.messageId}`;

/** Forgets a message that was taken, whoever sent it. */
export const deleteMessageStatement = defineStatement<OfNotification & OneMessage>(
  (p) => sql`DELETE FROM ${notificationDelivery} WHERE ${isMessage(p)}`,
);

const isHeld = (p: { readonly [Name in keyof Held]: Placeholder }): SQL => sql`EXISTS (
      SELECT 1 FROM ${repositoryNotification} held
      WHERE held.id = ${p.notificationId} AND held.claim_token = ${p.claimToken})`;

/** What is to be sent next by who holds the notification; no row for anybody else. */
export const nextMessageStatement = defineStatement<Held, WaitingMessage>(
  (p) => sql`
    SELECT next.created_ms AS createdMs, next.message_id AS messageId, next.body AS body
    FROM ${notificationDelivery} next
    WHERE next.notification_id = ${p.notificationId} AND ${isHeld(p)}
    ORDER BY next.created_ms, next.message_id LIMIT 1`,
);

/**
 * Lets a notification go; what waits is due. With `onlyIfDone` it does so only if nothing waits. A
 * message that was taken takes all failures back.
 */
export const releaseNotificationStatement = defineStatement<
  Held & { nowMs: number; onlyIfDone: number; isProgress: number }
>(
  (p) => sql`
    UPDATE ${repositoryNotification} SET claim_token = NULL,
      due_ms = iif(${somethingWaits}, ${p.nowMs}, NULL),
      attempts = iif(${p.isProgress}, 0, attempts),
      number_of_failures = iif(${p.isProgress}, 0, number_of_failures),
      last_error = iif(${p.isProgress}, NULL, last_error)
    WHERE id = ${p.notificationId} AND claim_token = ${p.claimToken}
      AND (NOT ${p.onlyIfDone} OR NOT ${somethingWaits})`,
);

/** Gives a message up, if its notification is still held. */
export const giveMessageUpStatement = defineStatement<Held & OneMessage>(
  (p) => sql`
    DELETE FROM ${notificationDelivery} WHERE ${isMessage(p)} AND ${isHeld(p)}`,
);

/**
 * Lets a notification go whose receiver did not take a message, until later. One that gave up too much
 * is switched off: nothing is due any more.
 */
export const failNotificationStatement = defineStatement<
  Held & {
    dueMs: number;
    attempts: number;
    isProgress: number;
    isGivenUp: number;
    error: string;
  }
>((p) => {
  const failures = sql`iif(${p.isProgress}, 0, number_of_failures) + ${p.isGivenUp}`;
  const isOff = sql`${failures} >= ${sql.raw(String(NOTIFICATION_FAILURES_MAX))}`;
  return sql`
    UPDATE ${repositoryNotification} SET claim_token = NULL, last_error = ${p.error},
      attempts = ${p.attempts}, number_of_failures = ${failures},
      due_ms = iif(${isOff} OR NOT ${somethingWaits}, NULL, ${p.dueMs})
    WHERE id = ${p.notificationId} AND claim_token = ${p.claimToken}`;
});

/** Forgets what waits for a notification that is switched off. */
export const deleteMessagesOfSwitchedOffStatement = defineStatement<OfNotification>(
  (p) => sql`
    DELETE FROM ${notificationDelivery} WHERE notification_id IN (
      SELECT off.id FROM ${repositoryNotification} off WHERE off.id = ${p.notificationId}
        AND off.number_of_failures >= ${sql.raw(String(NOTIFICATION_FAILURES_MAX))})`,
);
