import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0016_audit_log.sql`, which is the truth; a test compares the two.

export const auditLog = sqliteTable('audit_log', {
  id: integer('id').primaryKey(),
  uuid: text('uuid').notNull(),
  kind: text('kind').notNull(),
  namespaceId: integer('namespace_id'),
  namespaceName: text('namespace_name'),
  repositoryId: integer('repository_id'),
  repositoryName: text('repository_name'),
  performerKind: text('performer_kind').notNull(),
  performerName: text('performer_name'),
  ip: text('ip'),
  country: text('country'),
  metadata: text('metadata').notNull(),
});
