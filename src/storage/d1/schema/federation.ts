import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0015_robot_federation.sql`, which is the truth; a test compares the two.

export const robotFederation = sqliteTable(
  'robot_federation',
  {
    accountId: integer('account_id').notNull(),
    issuer: text('issuer').notNull(),
    subject: text('subject').notNull(),
  },
  (table) => [primaryKey({ columns: [table.accountId, table.issuer, table.subject] })],
);
