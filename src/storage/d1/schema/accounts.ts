import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0014_accounts.sql`, which is the truth; a test compares the two.

export const account = sqliteTable('account', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  name: text('name').notNull(),
  kind: text('kind').notNull(),
  namespaceId: integer('namespace_id').notNull(),
  enabled: integer('enabled').notNull().default(1),
  purpose: text('purpose').notNull().default('pull_push'),
  description: text('description').notNull().default(''),
  metadata: text('metadata').notNull().default('{}'),
  createdMs: integer('created_ms').notNull(),
});

export const credential = sqliteTable('credential', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  accountId: integer('account_id').notNull(),
  kind: text('kind').notNull(),
  title: text('title').notNull(),
  prefix: text('prefix').notNull(),
  secretHash: text('secret_hash').notNull(),
  createdMs: integer('created_ms').notNull(),
  expiresMs: integer('expires_ms'),
  lastUsedMs: integer('last_used_ms'),
});

export const namespaceMember = sqliteTable(
  'namespace_member',
  {
    namespaceId: integer('namespace_id').notNull(),
    accountId: integer('account_id').notNull(),
    role: text('role').notNull(),
  },
  (table) => [primaryKey({ columns: [table.namespaceId, table.accountId] })],
);

export const repositoryRight = sqliteTable(
  'repository_right',
  {
    repositoryId: integer('repository_id').notNull(),
    accountId: integer('account_id').notNull(),
    role: text('role').notNull(),
  },
  (table) => [primaryKey({ columns: [table.repositoryId, table.accountId] })],
);
