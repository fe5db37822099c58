import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';

import {
  NOTIFICATION_DAYS_MAX,
  NOTIFICATION_FAILURES_MAX,
  NOTIFICATION_TITLE_LENGTH_MAX,
  NOTIFICATION_URL_LENGTH_MAX,
  NOTIFICATIONS_PER_REPOSITORY_MAX,
} from '../../model/notification-limits.ts';
import { type Notification, NOTIFICATION_EVENTS, SEVERITIES } from '../../model/notifications.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { recordAudit } from '../audit-log.ts';
import type { AppEnv } from '../scope.ts';
import { requireRepositoryRole } from './access.ts';
import { ManagementError } from './errors.ts';
import { createManagementRouter } from './router.ts';
import {
  ACCESS_REFUSALS,
  answers,
  done,
  ofRepository,
  refusals,
  repositoryParams,
  takes,
} from './schemas.ts';

const TAGS = ['Notifications'];

const config = z.strictObject({
  url: z.string().min(1).max(NOTIFICATION_URL_LENGTH_MAX).openapi({
    description: 'Where messages are posted to, by https, on the public internet.',
    example: 'https://hooks.example.com/registry',
  }),
});
const vulnerability = z.strictObject({
  priority: z.enum(SEVERITIES).openapi({ description: 'The least severity that is told of.' }),
});
const days = z.int().min(1).max(NOTIFICATION_DAYS_MAX).openapi({
  description: 'How many days before its end a tag is told of.',
});
const title = z.string().max(NOTIFICATION_TITLE_LENGTH_MAX).nullable();

const common = { method: z.literal('webhook'), config, title: title.default(null) };

const content = z
  .discriminatedUnion('event', [
    z.strictObject({
      event: z.enum(['repo_push', 'quota_warning', 'quota_error']),
      ...common,
      eventConfig: z.strictObject({}).default({}),
    }),
    z.strictObject({
      event: z.literal('vulnerability_found'),
      ...common,
      eventConfig: z.strictObject({ vulnerability: vulnerability.optional() }).default({}),
    }),
    z.strictObject({
      event: z.literal('repo_image_expiry'),
      ...common,
      eventConfig: z.strictObject({ days }),
    }),
  ])
  .openapi('NewNotification');

const viewFields = {
  uuid: z.uuid(),
  event: z.enum(NOTIFICATION_EVENTS),
  method: z.literal('webhook'),
  config,
  event_config: z.strictObject({
    vulnerability: vulnerability.optional(),
    days: days.optional(),
  }),
  title,
  number_of_failures: z
    .int()
    .min(0)
    .openapi({
      description:
        'Events that were given up since the receiver took one last. With ' +
        `${NOTIFICATION_FAILURES_MAX} nothing is told any more, until they are reset.`,
    }),
  last_error: z.string().nullable().openapi({
    description: 'Why the receiver did not take the last message; null: it did.',
  }),
  waiting: z.int().min(0).openapi({ description: 'Messages that it did not take yet.' }),
};

const notificationView = z.strictObject(viewFields).openapi('Notification');
const madeView = z
  .strictObject({
    ...viewFields,
    secret: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]{43}=$/)
      .openapi({ description: 'What messages are verified by. It is shown this once.' }),
  })
  .openapi('MadeNotification');

const notificationParams = repositoryParams.extend({
  notification: z.uuid().openapi({
    param: { name: 'notification', in: 'path' },
    description: 'The id of a notification.',
  }),
});

const ALL = ofRepository('/notification');
const ONE = ofRepository('/notification/{notification}');
const REFUSALS = refusals(...ACCESS_REFUSALS);

const list = createRoute({
  method: 'get',
  path: ALL,
  operationId: 'listNotifications',
  tags: TAGS,
  summary: 'Whom a repository tells of events, and of which',
  request: { params: repositoryParams },
  responses: {
    200: answers(z.strictObject({ notifications: z.array(notificationView) }), 'Oldest first.'),
    ...REFUSALS,
  },
});

const create = createRoute({
  method: 'post',
  path: ALL,
  operationId: 'createNotification',
  tags: TAGS,
  summary: 'Has a receiver told of an event from now on',
  description: `A repository has ${NOTIFICATIONS_PER_REPOSITORY_MAX} notifications at most.`,
  request: { params: repositoryParams, body: takes(content) },
  responses: {
    201: answers(madeView, 'The notification, and the secret that its messages are verified by.'),
    ...refusals(...ACCESS_REFUSALS, 'exceeds_license'),
  },
});

const read = createRoute({
  method: 'get',
  path: ONE,
  operationId: 'readNotification',
  tags: TAGS,
  summary: 'A notification, and how its receiver does',
  request: { params: notificationParams },
  responses: { 200: answers(notificationView, 'The notification.'), ...REFUSALS },
});

const remove = createRoute({
  method: 'delete',
  path: ONE,
  operationId: 'deleteNotification',
  tags: TAGS,
  summary: 'Removes a notification, and what waits to be sent',
  request: { params: notificationParams },
  responses: { 204: done('It is gone.'), ...REFUSALS },
});

const reset = createRoute({
  method: 'post',
  path: ONE,
  operationId: 'resetNotification',
  tags: TAGS,
  summary: 'Takes failures back, and switches a notification on again',
  request: { params: notificationParams },
  responses: { 204: done('It tells from now on; what waits is sent at once.'), ...REFUSALS },
});

const test = createRoute({
  method: 'post',
  path: ofRepository('/notification/{notification}/test'),
  operationId: 'testNotification',
  tags: TAGS,
  summary: 'Sends a message like those of the event',
  request: { params: notificationParams },
  responses: {
    200: answers(z.strictObject({}), 'It is on its way.'),
    ...refusals(...ACCESS_REFUSALS, 'conflict'),
  },
});

/** Whom repositories tell of what happens in them. */
export function notificationRoutes(): OpenAPIHono<AppEnv> {
  const app = createManagementRouter();
  app.openapi(list, async (c) => {
    const repository = await requireRepositoryRole(c, c.req.valid('param').repository, 'admin');
    const found = await c.var.scope.operations.listNotifications(repository);
    return c.json({ notifications: found.map(toView) }, 200);
  });
  app.openapi(create, async (c) => {
    const { repository: text } = c.req.valid('param');
    const repository = await requireRepositoryRole(c, text, 'admin');
    const { config: where, method: _method, ...wanted } = c.req.valid('json');
    const made = await c.var.scope.operations.createNotification(repository, {
      ...wanted,
      url: where.url,
    });
    if (made === null) {
      throw new ManagementError('not_found', `repository '${text}' not found`);
    }
    const { notification, secret } = made;
    recordChange(c, 'add_repo_notification', { repository, notification });
    return c.json({ ...toView(notification), secret }, 201);
  });
  app.openapi(read, async (c) => {
    const { repository, uuid } = await requireAsked(c, c.req.valid('param'));
    const found = await c.var.scope.operations.getNotification(repository, uuid);
    return c.json(toView(required(found, uuid)), 200);
  });
  app.openapi(remove, async (c) => {
    const { repository, uuid } = await requireAsked(c, c.req.valid('param'));
    const found = await c.var.scope.operations.deleteNotification(repository, uuid);
    const notification = required(found, uuid);
    recordChange(c, 'delete_repo_notification', { repository, notification });
    return c.body(null, 204);
  });
  app.openapi(reset, async (c) => {
    const { repository, uuid } = await requireAsked(c, c.req.valid('param'));
    const found = await c.var.scope.operations.resetNotification(repository, uuid);
    const notification = required(found, uuid);
    recordChange(c, 'reset_repo_notification', { repository, notification });
    return c.body(null, 204);
  });
  app.openapi(test, async (c) => {
    const { repository, uuid } = await requireAsked(c, c.req.valid('param'));
    const tested = await c.var.scope.operations.testNotification(repository, uuid);
    const { notification, isSent } = required(tested, uuid);
    if (!isSent) {
      throw new ManagementError('conflict', 'the notification is switched off, or too much waits');
    }
    recordChange(c, 'test_repo_notification', { repository, notification });
    return c.json({}, 200);
  });
  return app;
}

/** The repository that a notification is asked for in, where the caller is an admin. */
async function requireAsked(
  c: Context<AppEnv>,
  { repository: text, notification: uuid }: z.infer<typeof notificationParams>,
): Promise<{ readonly repository: RepositoryRef; readonly uuid: string }> {
  return { repository: await requireRepositoryRole(c, text, 'admin'), uuid };
}

function required<Found>(found: Found | null, uuid: string): Found {
  if (found === null) {
    throw new ManagementError('not_found', `notification ${uuid} not found`);
  }
  return found;
}

/** Without the URL: services put tokens into its path. */
function recordChange(
  c: Context<AppEnv>,
  kind: `${'add' | 'delete' | 'reset' | 'test'}_repo_notification`,
  { repository, notification }: { repository: RepositoryRef; notification: Notification },
): void {
  const { uuid, event } = notification;
  const metadata = { notification_id: uuid, event, method: 'webhook' };
  recordAudit(c, { kind, repository, metadata });
}

function toView({ eventConfig, ...found }: Notification): z.infer<typeof notificationView> {
  return {
    uuid: found.uuid,
    event: found.event,
    method: 'webhook',
    config: { url: found.url },
    event_config: eventConfig,
    title: found.title,
    number_of_failures: found.numberOfFailures,
    last_error: found.lastError,
    waiting: found.waiting,
  };
}
