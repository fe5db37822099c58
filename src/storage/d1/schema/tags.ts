import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0004_tags.sql`, which is the truth, and of the column that 0017 added; a
// test compares the two.

export const tag = sqliteTable('tag', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  repositoryId: integer('repository_id').notNull(),
  name: text('name').notNull(),
  manifestId: integer('manifest_id').notNull(),
  lifetimeStartMs: integer('lifetime_start_ms').notNull(),
  lifetimeEndMs: integer('lifetime_end_ms'),
  isCurrent: integer('is_current').notNull(),
  hidden: integer('hidden').notNull().default(0),
  reversion: integer('reversion').notNull().default(0),
  immutable: integer('immutable').notNull().default(0),
  releaseUuid: text('release_uuid'),
});

export const tagPullStatistics = sqliteTable(
  'tag_pull_statistics',
  {
    repositoryId: integer('repository_id').notNull(),
    tagName: text('tag_name').notNull(),
    pullCount: integer('pull_count').notNull().default(0),
    lastPullMs: integer('last_pull_ms'),
  },
  (table) => [primaryKey({ columns: [table.repositoryId, table.tagName] })],
);

export const manifestPullStatistics = sqliteTable('manifest_pull_statistics', {
  manifestId: integer('manifest_id').primaryKey(),
  pullCount: integer('pull_count').notNull().default(0),
  lastPullMs: integer('last_pull_ms'),
});
