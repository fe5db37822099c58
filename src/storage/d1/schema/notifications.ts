import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0021_notifications.sql`, which is the truth; a test compares the two. What it
// adds to `repository_notification` is in `security.ts`.

export const notificationDelivery = sqliteTable(
  'notification_delivery',
  {
    notificationId: integer('notification_id').notNull(),
    createdMs: integer('created_ms').notNull(),
    messageId: text('message_id').notNull(),
    body: text('body').notNull(),
  },
  (table) => [primaryKey({ columns: [table.notificationId, table.createdMs, table.messageId] })],
);
