import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0017_releases.sql`, which is the truth; a test compares the two.

export const tagRelease = sqliteTable('tag_release', {
  id: integer('id').primaryKey(),
  uuid: text('uuid').notNull(),
  namespaceId: integer('namespace_id').notNull(),
  releasedMs: integer('released_ms').notNull(),
  performerKind: text('performer_kind').notNull(),
  performerName: text('performer_name'),
  undoesUuid: text('undoes_uuid'),
  undoneByUuid: text('undone_by_uuid'),
  moves: text('moves').notNull(),
});
