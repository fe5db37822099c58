import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0006_labels.sql`, which is the truth; a test compares the two.

export const manifestLabel = sqliteTable('manifest_label', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  manifestId: integer('manifest_id').notNull(),
  repositoryId: integer('repository_id').notNull(),
  key: text('key').notNull(),
  value: text('value').notNull(),
  mediaType: text('media_type').notNull(),
  sourceType: text('source_type').notNull(),
});
