import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0008_garbage.sql`, which is the truth; a test compares the two.

export const repositoryGc = sqliteTable('repository_gc', {
  repositoryId: integer('repository_id').primaryKey(),
  policyS: integer('policy_s').notNull(),
  earliestEndMs: integer('earliest_end_ms'),
  earliestLeaseMs: integer('earliest_lease_ms'),
});

export const gcManifestCandidate = sqliteTable('gc_manifest_candidate', {
  manifestId: integer('manifest_id').primaryKey(),
});

export const gcBlobCandidate = sqliteTable('gc_blob_candidate', {
  blobId: integer('blob_id').primaryKey(),
});

export const r2Tombstone = sqliteTable(
  'r2_tombstone',
  {
    objectKey: text('object_key').notNull(),
    kind: text('kind').notNull(),
    r2UploadId: text('r2_upload_id'),
    notBeforeMs: integer('not_before_ms').notNull(),
    createdMs: integer('created_ms').notNull(),
    attempts: integer('attempts').notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.objectKey, table.kind] })],
);

export const gcRemoval = sqliteTable('gc_removal', {
  id: integer('id').primaryKey(),
  removedMs: integer('removed_ms').notNull(),
  kind: text('kind').notNull(),
  reason: text('reason').notNull(),
  repositoryId: integer('repository_id'),
  digest: text('digest').notNull(),
  sizeBytes: integer('size_bytes'),
  tagName: text('tag_name'),
  endedMs: integer('ended_ms'),
});

export const deletedRepository = sqliteTable('deleted_repository', {
  repositoryId: integer('repository_id').primaryKey(),
  originalName: text('original_name').notNull(),
  markedMs: integer('marked_ms').notNull(),
  availableAfterMs: integer('available_after_ms').notNull(),
  attempts: integer('attempts').notNull().default(0),
});

export const deletedNamespace = sqliteTable('deleted_namespace', {
  namespaceId: integer('namespace_id').primaryKey(),
  originalName: text('original_name').notNull(),
  markedMs: integer('marked_ms').notNull(),
  availableAfterMs: integer('available_after_ms').notNull(),
  attempts: integer('attempts').notNull().default(0),
});

export const gcLease = sqliteTable('gc_lease', {
  name: text('name').primaryKey(),
  token: text('token').notNull(),
  expiresMs: integer('expires_ms').notNull(),
});

export const batchAssert = sqliteTable('batch_assert', {
  code: text('code').notNull(),
});
