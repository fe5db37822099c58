import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0007_security.sql`, `0019_security_reports.sql`, and of what
// `0021_notifications.sql` adds; these are the truth, and a test compares them.

export const manifestSecurityStatus = sqliteTable('manifest_security_status', {
  manifestId: integer('manifest_id').primaryKey(),
  repositoryId: integer('repository_id').notNull(),
  indexStatus: integer('index_status').notNull(),
  errorJson: text('error_json').notNull().default('{}'),
  lastIndexedMs: integer('last_indexed_ms').notNull(),
  indexerHash: text('indexer_hash').notNull(),
  indexerVersion: integer('indexer_version').notNull(),
  metadataJson: text('metadata_json').notNull().default('{}'),
});

export const repositoryNotification = sqliteTable('repository_notification', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  repositoryId: integer('repository_id').notNull(),
  event: text('event').notNull(),
  method: text('method').notNull(),
  title: text('title'),
  configJson: text('config_json').notNull(),
  eventConfigJson: text('event_config_json').notNull().default('{}'),
  numberOfFailures: integer('number_of_failures').notNull().default(0),
  lastRanMs: integer('last_ran_ms'),
  dueMs: integer('due_ms'),
  claimToken: text('claim_token'),
  attempts: integer('attempts').notNull().default(0),
  lastError: text('last_error'),
});

export const tagNotificationSuccess = sqliteTable(
  'tag_notification_success',
  {
    notificationId: integer('notification_id').notNull(),
    tagId: integer('tag_id').notNull(),
    method: text('method').notNull(),
  },
  (table) => [primaryKey({ columns: [table.notificationId, table.tagId, table.method] })],
);

export const namespaceGeoRestriction = sqliteTable('namespace_geo_restriction', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  namespaceId: integer('namespace_id').notNull(),
  restrictedRegionIsoCode: text('restricted_region_iso_code').notNull(),
  description: text('description'),
  addedMs: integer('added_ms').notNull(),
  extra: text('extra').notNull().default('{}'),
});

export const manifestSecurityReport = sqliteTable('manifest_security_report', {
  manifestId: integer('manifest_id').primaryKey(),
  report: text('report').notNull(),
});
