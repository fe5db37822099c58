import { RegistryError } from '../../model/errors.ts';
import {
  NOTIFICATION_DAYS_MAX,
  NOTIFICATION_TITLE_LENGTH_MAX,
  NOTIFICATIONS_PER_REPOSITORY_MAX,
} from '../../model/notification-limits.ts';
import type { Notification, NotificationContent } from '../../model/notifications.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { Batch } from '../../storage/d1/batch.ts';
import {
  tellOneStatement,
  wakeNotificationsStatement,
} from '../../storage/d1/notification-outbox.ts';
import {
  deleteNotificationStatement,
  insertNotificationStatement,
  notificationsStatement,
  notificationStatement,
  resetNotificationStatement,
} from '../../storage/d1/notifications.ts';
import { requireText } from '../accounts/fields.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { deliverSoon } from './deliveries.ts';
import { sampleMessage } from './events.ts';
import { parseReceiver } from './receiver.ts';
import { webhookSecret } from './signature.ts';

/** Says whom repositories tell of what happens in them. */
export interface Notifications {
  /**
   * Has a receiver told of an event from now on, and gives the secret that it verifies messages by,
   * which nobody is told again; null: the repository is gone. Errors: FieldInvalid (config.url,
   * title, eventConfig.days), LimitReached (20 of a repository).
   */
  createNotification(
    repository: RepositoryRef,
    content: NotificationContent,
  ): Promise<{ readonly notification: Notification; readonly secret: string } | null>;
  /** A notification of the repository; null: it has none of this name. */
  getNotification(repository: RepositoryRef, uuid: string): Promise<Notification | null>;
  /** All notifications of the repository, the oldest first. */
  listNotifications(repository: RepositoryRef): Promise<readonly Notification[]>;
  /** Removes a notification and what waits for it, and gives what it was; null: there is none. */
  deleteNotification(repository: RepositoryRef, uuid: string): Promise<Notification | null>;
  /**
   * Takes the failures of a notification back, so that it is told again if it was switched off, and
   * has what waits sent at once. Null: there is none.
   */
  resetNotification(repository: RepositoryRef, uuid: string): Promise<Notification | null>;
  /**
   * Has a message sent that is like those of the event. Gives the notification and whether it is to
   * be sent: not if it is switched off, or too much waits already. Null: there is none.
   */
  testNotification(
    repository: RepositoryRef,
    uuid: string,
  ): Promise<{ readonly notification: Notification; readonly isSent: boolean } | null>;
}

export function createNotifications(deps: RegistryDeps): Notifications {
  const { database, clock, ids } = deps;
  const { primary } = database;
  const find = ({ id: repositoryId }: RepositoryRef, uuid: string) =>
    primary.first(notificationStatement({ repositoryId, uuid }));
  return {
    createNotification: (repository, content) => create(repository, content, deps),

    getNotification: find,

    listNotifications: ({ id: repositoryId }) =>
      primary.all(notificationsStatement({ repositoryId })),

    async deleteNotification(repository, uuid) {
      const found = await find(repository, uuid);
      const key = { repositoryId: repository.id, uuid };
      const removed =
        found !== null &&
        (await sendAgain(
          async (isAgain) =>
            (await primary.first(deleteNotificationStatement(key))) !== null || isAgain,
        ));
      return removed ? found : null;
    },

    async resetNotification(repository, uuid) {
      const key = { repositoryId: repository.id, uuid };
      const [, [found = null]] = await sendAgain(() =>
        primary.batch([
          resetNotificationStatement({ ...key, nowMs: clock.nowMs() }),
          notificationStatement(key),
        ]),
      );
      if (found !== null && found.waiting > 0) {
        deliverSoon(repository.id, deps);
      }
      return found;
    },

    async testNotification(repository, uuid) {
      const notification = await find(repository, uuid);
      if (notification === null) {
        return null;
      }
      const { id: repositoryId, namespaceName: namespace, name } = repository;
      const nowMs = clock.nowMs();
      const place = { namespace, repository: name, nowMs, isTest: true };
      const body = sampleMessage(notification, place);
      const message = { repositoryId, uuid, messageId: ids.uuid(), nowMs, body };
      const isSent = await sendAgain(async (isAgain) => {
        const batch = new Batch();
        const told = batch.add(tellOneStatement(message));
        batch.add(wakeNotificationsStatement({ repositoryId, nowMs }));
        return (await batch.run(primary)).firstOf(told) !== null || isAgain;
      });
      if (isSent) {
        deliverSoon(repositoryId, deps);
      }
      return { notification, isSent };
    },
  };
}

async function create(
  { id: repositoryId }: RepositoryRef,
  content: NotificationContent,
  { database, ids, settings, legacyImageKey }: RegistryDeps,
): ReturnType<Notifications['createNotification']> {
  requireContent(content, { allowPrivate: settings.notificationPrivateAddresses });
  const { event, eventConfig, url, title } = content;
  const uuid = ids.uuid();
  const secret = await webhookSecret(uuid, legacyImageKey());
  const max = NOTIFICATIONS_PER_REPOSITORY_MAX;
  const [, [made], all] = await sendAgain(() =>
    database.primary.batch([
      insertNotificationStatement({
        uuid,
        repositoryId,
        event,
        title,
        configJson: JSON.stringify({ url }),
        eventConfigJson: JSON.stringify(eventConfig),
        max,
      }),
      notificationStatement({ repositoryId, uuid }),
      notificationsStatement({ repositoryId }),
    ]),
  );
  if (made === undefined && all.length >= max) {
    throw new RegistryError('LimitReached', { what: 'notifications', max });
  }
  return made === undefined ? null : { notification: made, secret };
}

/** Errors: FieldInvalid. */
function requireContent(
  { event, eventConfig, url, title }: NotificationContent,
  rules: { readonly allowPrivate: boolean },
): void {
  requireText('title', title ?? '', { max: NOTIFICATION_TITLE_LENGTH_MAX });
  const receiver = parseReceiver(url, rules);
  if ('problem' in receiver) {
    throw new RegistryError('FieldInvalid', { field: 'config.url', reason: receiver.problem });
  }
  const { days = 0 } = eventConfig;
  if (event === 'repo_image_expiry' && !(days >= 1 && days <= NOTIFICATION_DAYS_MAX)) {
    const reason = `expected 1 to ${NOTIFICATION_DAYS_MAX} days`;
    throw new RegistryError('FieldInvalid', { field: 'eventConfig.days', reason });
  }
}
