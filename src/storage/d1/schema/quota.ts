import { integer, sqliteTable } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0012_quota.sql`, which is the truth; a test compares the two.

export const namespaceQuota = sqliteTable('namespace_quota', {
  namespaceId: integer('namespace_id').primaryKey(),
  limitBytes: integer('limit_bytes').notNull(),
  warningPercent: integer('warning_percent'),
  rejectPercent: integer('reject_percent'),
});

export const quotaNamespaceSize = sqliteTable('quota_namespace_size', {
  namespaceId: integer('namespace_id').primaryKey(),
  sizeBytes: integer('size_bytes').notNull(),
});

export const quotaRepositorySize = sqliteTable('quota_repository_size', {
  repositoryId: integer('repository_id').primaryKey(),
  sizeBytes: integer('size_bytes').notNull(),
});
