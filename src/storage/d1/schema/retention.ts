import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0009_retention.sql`, which is the truth; a test compares the two.

export const namespaceRetentionPolicy = sqliteTable('namespace_retention_policy', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  namespaceId: integer('namespace_id').notNull(),
  revision: integer('revision').notNull().default(0),
  tagsMax: integer('tags_max'),
  ageMaxS: integer('age_max_s'),
  tagPattern: text('tag_pattern'),
  tagPatternMatches: integer('tag_pattern_matches').notNull().default(1),
});

export const repositoryRetentionPolicy = sqliteTable('repository_retention_policy', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  repositoryId: integer('repository_id').notNull(),
  revision: integer('revision').notNull().default(0),
  tagsMax: integer('tags_max'),
  ageMaxS: integer('age_max_s'),
  tagPattern: text('tag_pattern'),
  tagPatternMatches: integer('tag_pattern_matches').notNull().default(1),
});

export const retentionTask = sqliteTable('retention_task', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  namespaceId: integer('namespace_id'),
  repositoryId: integer('repository_id'),
  dueMs: integer('due_ms').notNull(),
  afterRepository: text('after_repository').notNull().default(''),
  version: integer('version').notNull().default(0),
});
