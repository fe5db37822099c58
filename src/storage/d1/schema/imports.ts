import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0018_imports.sql`, which is the truth; a test compares the two.

export const repositoryImport = sqliteTable('repository_import', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  repositoryId: integer('repository_id').notNull(),
  source: text('source').notNull(),
  credentials: text('credentials'),
  state: text('state').notNull().default('waiting'),
  error: text('error'),
  attempts: integer('attempts').notNull().default(0),
  dueMs: integer('due_ms'),
  claimToken: text('claim_token'),
  createdMs: integer('created_ms').notNull(),
  endedMs: integer('ended_ms'),
});

export const importTag = sqliteTable(
  'import_tag',
  {
    importId: integer('import_id').notNull(),
    tagName: text('tag_name').notNull(),
    reference: text('reference').notNull(),
    digest: text('digest'),
  },
  (table) => [primaryKey({ columns: [table.importId, table.tagName] })],
);

export const importItem = sqliteTable('import_item', {
  id: integer('id').primaryKey(),
  importId: integer('import_id').notNull(),
  kind: text('kind').notNull(),
  digest: text('digest').notNull(),
  sizeBytes: integer('size_bytes').notNull(),
  level: integer('level').notNull().default(0),
  state: text('state').notNull().default('found'),
  uploadUuid: text('upload_uuid'),
});
