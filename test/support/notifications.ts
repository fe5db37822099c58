import type { Notification, NotificationContent } from '../../src/model/notifications.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import type { DeliveryLimits } from '../../src/registry/notifications/deliveries.ts';
import { FakeReceiver } from './receiver.ts';
import { openTestRegistry, type TestRegistryOptions } from './registry.ts';
import { openStage, select, type SqlRow } from './stage.ts';

/** Where the receiver of tests is. */
export const RECEIVER = 'https://hooks.example.com/registry';

const PUSHES: NotificationContent = {
  event: 'repo_push',
  eventConfig: {},
  url: RECEIVER,
  title: null,
};

/** A repository whose pushes, or other events, a receiver can be told of. */
export async function openNotificationStage(options: TestRegistryOptions = {}) {
  const receiver = new FakeReceiver();
  const more = { fetch: receiver.fetch, ...options };
  const stage = await openStage(more);
  const { operations, repository, housekeeping, clock } = stage;

  const tell = async (
    content: Partial<NotificationContent> = {},
    target: RepositoryRef = repository,
  ): Promise<Notification & { readonly secret: string }> => {
    const made = await operations.createNotification(target, { ...PUSHES, ...content });
    if (made === null) {
      throw new Error('no notification was made');
    }
    return { ...made.notification, secret: made.secret };
  };
  const read = async ({ uuid }: Pick<Notification, 'uuid'>): Promise<Notification> => {
    const found = await operations.getNotification(repository, uuid);
    if (found === null) {
      throw new Error(`there is no notification ${uuid}`);
    }
    return found;
  };
  return {
    ...stage,
    receiver,
    /** Has the receiver told of something; by default of pushes. */
    tell,
    read,
    /** Pushes an image under tags, and lets what is told be sent, unless it is to wait for cron. */
    pushTags: async (tagNames: readonly string[], { isSent = true } = {}) => {
      const world = openTestRegistry({ ...more, clock });
      const image = await stage.image();
      await world.operations.createManifestAndRetargetTags(repository, image, tagNames);
      if (isSent) {
        await world.settleDeferred();
      }
      return image;
    },
    /** Cron's next run, so much later, and how the notification is then. */
    later: async (
      notification: Pick<Notification, 'uuid'>,
      ms: number,
      limits: Partial<DeliveryLimits> = {},
    ) => {
      clock.advance(ms);
      const report = await housekeeping.deliverNotifications(limits);
      return { ...(await read(notification)), report };
    },
    /** Another run, over its own bindings. */
    runBehind: (gate: NonNullable<TestRegistryOptions['gate']>) =>
      openTestRegistry({ ...more, clock, gate }).housekeeping.deliverNotifications(),
  };
}

/** The messages that wait, as the database has them. */
export const waitingMessages = (): Promise<readonly SqlRow[]> =>
  select('SELECT * FROM notification_delivery ORDER BY created_ms, message_id');
