import { type SQL, sql } from 'drizzle-orm';

import { NOTIFIED_TAGS_MAX } from '../../model/notification-limits.ts';
import { configValue, takesMore } from './notification-outbox.ts';
import { notificationDelivery } from './schema/notifications.ts';
import { namespace, repository } from './schema/repositories.ts';
import { repositoryNotification, tagNotificationSuccess } from './schema/security.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The statements by which tags are told of before they end, each once; together they are one batch,
 * in this order. All of them are about the same notifications: those that were not looked at for the
 * longest, which the last one notes.
 */

type Sweep = { nowMs: number; sweptUntilMs: number; limit: number };
type Messages = Sweep & { time: string; messageId: string };

/** Notifications that are due to be looked at, and how many days ahead. */
const dueNotifications = (p: Parameters<Sweep>): SQL => sql`
    SELECT n.id AS id, n.repository_id AS repository_id, n.number_of_failures AS number_of_failures,
      ${configValue('n', '$.days')} AS days
    FROM ${repositoryNotification} n INDEXED BY repository_notification_expiry
    WHERE n.event = 'repo_image_expiry' AND n.last_ran_ms <= ${p.sweptUntilMs}
    ORDER BY n.last_ran_ms, n.id LIMIT ${p.limit}`;

/** The tags of a notification `wanted` that will end and were not told of, the first to end first. */
const endingTags = (p: Parameters<Sweep>): SQL => sql`
    SELECT t.id AS id, t.name AS name, t.lifetime_end_ms AS end_ms
    FROM ${tag} t INDEXED BY tag_repo_end
    WHERE t.repository_id = wanted.repository_id AND t.lifetime_end_ms > ${p.nowMs}
      AND t.lifetime_end_ms <= ${p.nowMs} + wanted.days * 86400000
      AND t.is_current = 1 AND t.hidden = 0 AND NOT EXISTS (
        SELECT 1 FROM ${tagNotificationSuccess} told
        WHERE told.notification_id = wanted.id AND told.tag_id = t.id AND told.method = 'webhook')
    ORDER BY t.lifetime_end_ms, t.id LIMIT ${sql.raw(String(NOTIFIED_TAGS_MAX))}`;

/** A message for each notification that has something to tell, of so many tags at most. */
export const tellOfEndingTagsStatement = defineStatement<Messages, { notificationId: number }>(
  (p) => sql`
    INSERT INTO ${notificationDelivery} (notification_id, created_ms, message_id, body)
    SELECT found.id, ${p.nowMs}, ${p.messageId} || '-' || found.id, json_object(
      'event', 'repo_image_expiry', 'time', ${p.time}, 'repository', n.name || '/' || r.name,
      'namespace', n.name, 'name', r.name,
      'expiring_in', found.days || iif(found.days = 1, ' day', ' days'), 'tags', json(found.tags))
    FROM (SELECT wanted.id AS id, wanted.repository_id AS repository_id, wanted.days AS days, (
        SELECT json_group_array(ending.name) FROM (${endingTags(p)}) ending) AS tags
      FROM (${dueNotifications(p)}) wanted WHERE ${takesMore('wanted')}) found
      CROSS JOIN ${repository} r ON r.id = found.repository_id AND r.state <> 3
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id AND n.enabled = 1
    WHERE found.tags <> '[]'
    RETURNING notification_id AS notificationId`,
);

/** Notes for which tags there is such a message now. */
export const markEndingTagsStatement = defineStatement<Omit<Messages, 'time'>>(
  (p) => sql`
    INSERT INTO ${tagNotificationSuccess} (notification_id, tag_id, method)
    SELECT wanted.id, t.id, 'webhook'
    FROM (${dueNotifications(p)}) wanted
      CROSS JOIN ${notificationDelivery} made ON made.notification_id = wanted.id
        AND made.created_ms = ${p.nowMs} AND made.message_id = ${p.messageId} || '-' || wanted.id
      CROSS JOIN ${tag} t ON t.id IN (SELECT ending.id FROM (${endingTags(p)}) ending)`,
);

/** Has those messages sent. */
export const wakeEndingTagsStatement = defineStatement<Sweep>(
  (p) => sql`
    UPDATE ${repositoryNotification} SET due_ms = ${p.nowMs}
    WHERE id IN (SELECT wanted.id FROM (${dueNotifications(p)}) wanted
        CROSS JOIN ${notificationDelivery} made ON made.notification_id = wanted.id)
      AND due_ms IS NULL`,
);

/** Notes that the notifications were looked at. */
export const sweepExpiryNotificationsStatement = defineStatement<Sweep, { notificationId: number }>(
  (p) => sql`
    UPDATE ${repositoryNotification} SET last_ran_ms = ${p.nowMs}
    WHERE id IN (SELECT wanted.id FROM (${dueNotifications(p)}) wanted)
    RETURNING id AS notificationId`,
);
