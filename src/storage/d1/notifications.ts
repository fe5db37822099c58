import { sql } from 'drizzle-orm';

import type {
  Notification,
  NotificationEvent,
  NotificationEventConfig,
} from '../../model/notifications.ts';
import { repositoryIsLive } from './conditions.ts';
import { notificationDelivery } from './schema/notifications.ts';
import { repositoryNotification } from './schema/security.ts';
import { defineStatement } from './statement.ts';

/** Whom repositories tell of events, and of which. */

type OfRepository = { repositoryId: number };
type OneOfRepository = OfRepository & { uuid: string };

/**
 * Makes a notification, unless the repository has as many as it may. One of tags that will end is
 * looked at by the next sweep.
 */
export const insertNotificationStatement = defineStatement<
  OneOfRepository & {
    event: string;
    title: string | null;
    configJson: string;
    eventConfigJson: string;
    max: number;
  }
>(
  (p) => sql`
    INSERT INTO ${repositoryNotification} (uuid, repository_id, event, method, title, config_json,
      event_config_json, last_ran_ms)
    SELECT ${p.uuid}, ${p.repositoryId}, ${p.event}, 'webhook', ${p.title}, ${p.configJson},
      ${p.eventConfigJson}, iif(${p.event} = 'repo_image_expiry', 0, NULL)
    WHERE ${repositoryIsLive(p.repositoryId)} AND (
      SELECT count(*) FROM ${repositoryNotification} made
      WHERE made.repository_id = ${p.repositoryId}) < ${p.max}
    ON CONFLICT (uuid) DO NOTHING`,
);

interface NotificationRow {
  uuid: string;
  event: string;
  title: string | null;
  configJson: string;
  eventConfigJson: string;
  numberOfFailures: number;
  lastError: string | null;
  waiting: number;
}

const notificationColumns = sql`
      n.uuid AS uuid, n.event AS event, n.title AS title, n.config_json AS configJson,
      n.event_config_json AS eventConfigJson, n.number_of_failures AS numberOfFailures,
      n.last_error AS lastError, (SELECT count(*) FROM ${notificationDelivery} waiting
        WHERE waiting.notification_id = n.id) AS waiting`;

const toNotification = ({
  configJson,
  eventConfigJson,
  ...row
}: NotificationRow): Notification => ({
  ...row,
  event: row.event as NotificationEvent,
  url: (JSON.parse(configJson) as { url: string }).url,
  eventConfig: JSON.parse(eventConfigJson) as NotificationEventConfig,
});

/** A notification of a repository. */
export const notificationStatement = defineStatement<
  OneOfRepository,
  NotificationRow,
  Notification
>(
  (p) => sql`
    SELECT ${notificationColumns} FROM ${repositoryNotification} n
    WHERE n.uuid = ${p.uuid} AND n.repository_id = ${p.repositoryId}`,
  toNotification,
);

/** All notifications of a repository, the oldest first. */
export const notificationsStatement = defineStatement<OfRepository, NotificationRow, Notification>(
  (p) => sql`
    SELECT ${notificationColumns} FROM ${repositoryNotification} n
    WHERE n.repository_id = ${p.repositoryId} ORDER BY n.id`,
  toNotification,
);

/** Removes a notification, and with it what waits and which tags it was sent for. */
export const deleteNotificationStatement = defineStatement<OneOfRepository, { uuid: string }>(
  (p) => sql`
    DELETE FROM ${repositoryNotification}
    WHERE uuid = ${p.uuid} AND repository_id = ${p.repositoryId} RETURNING uuid AS uuid`,
);

/** Switches a notification on again; what waits for it is due. A row comes back if it is there. */
export const resetNotificationStatement = defineStatement<
  OneOfRepository & { nowMs: number },
  { uuid: string }
>(
  (p) => sql`
    UPDATE ${repositoryNotification} SET number_of_failures = 0, attempts = 0, last_error = NULL,
      due_ms = iif(claim_token IS NULL AND due_ms > ${p.nowMs}, ${p.nowMs}, due_ms)
    WHERE uuid = ${p.uuid} AND repository_id = ${p.repositoryId} RETURNING uuid AS uuid`,
);
