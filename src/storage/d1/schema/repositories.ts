import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0001_repositories.sql`, which is the truth; a test compares the two.

export const namespace = sqliteTable('namespace', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  name: text('name').notNull(),
  kind: text('kind').notNull().default('organization'),
  memberRole: text('member_role').notNull().default('none'),
  enabled: integer('enabled').notNull().default(1),
  removedTagExpirationS: integer('removed_tag_expiration_s').notNull().default(1209600),
  immutabilityEpoch: integer('immutability_epoch').notNull().default(0),
  regionMode: text('region_mode').notNull().default('off'),
  heldByPullDays: integer('held_by_pull_days').notNull().default(0),
});

export const repository = sqliteTable('repository', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  namespaceId: integer('namespace_id').notNull(),
  name: text('name').notNull(),
  kind: text('kind').notNull().default('image'),
  visibility: text('visibility').notNull().default('private'),
  state: integer('state').notNull().default(0),
  tagsGeneration: integer('tags_generation').notNull().default(0),
  contentEpoch: integer('content_epoch').notNull().default(0),
  immutabilityEpoch: integer('immutability_epoch').notNull().default(0),
  description: text('description').notNull().default(''),
});

export const namespaceImmutabilityPolicy = sqliteTable('namespace_immutability_policy', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  namespaceId: integer('namespace_id').notNull(),
  tagPattern: text('tag_pattern').notNull(),
  tagPatternMatches: integer('tag_pattern_matches').notNull().default(1),
});

export const repositoryImmutabilityPolicy = sqliteTable('repository_immutability_policy', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  repositoryId: integer('repository_id').notNull(),
  tagPattern: text('tag_pattern').notNull(),
  tagPatternMatches: integer('tag_pattern_matches').notNull().default(1),
});
