import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0010_audit.sql`, which is the truth; a test compares the two.

export const gcAudit = sqliteTable('gc_audit', {
  id: integer('id').primaryKey(),
  beganMs: integer('began_ms').notNull(),
  endedMs: integer('ended_ms'),
  stage: text('stage').notNull().default('hints'),
  afterId: integer('after_id').notNull().default(0),
  afterKey: text('after_key').notNull().default(''),
  repositoriesChecked: integer('repositories_checked').notNull().default(0),
  manifestsChecked: integer('manifests_checked').notNull().default(0),
  blobsChecked: integer('blobs_checked').notNull().default(0),
  objectsChecked: integer('objects_checked').notNull().default(0),
  blobsSampled: integer('blobs_sampled').notNull().default(0),
  lateHints: integer('late_hints').notNull().default(0),
  unlistedManifests: integer('unlisted_manifests').notNull().default(0),
  unlistedBlobs: integer('unlisted_blobs').notNull().default(0),
  unownedObjects: integer('unowned_objects').notNull().default(0),
  damagedBlobs: integer('damaged_blobs').notNull().default(0),
});

export const gcAuditFinding = sqliteTable(
  'gc_audit_finding',
  {
    auditId: integer('audit_id').notNull(),
    kind: text('kind').notNull(),
    subject: text('subject').notNull(),
  },
  (table) => [primaryKey({ columns: [table.auditId, table.kind, table.subject] })],
);
