import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0003_blobs.sql`, which is the truth; a test compares the two.

export const blob = sqliteTable('blob', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  digest: text('digest').notNull(),
  sizeBytes: integer('size_bytes').notNull(),
  uncompressedSize: integer('uncompressed_size'),
  objectKey: text('object_key').notNull(),
  location: text('location').notNull(),
  createdMs: integer('created_ms').notNull(),
});

export const manifestBlob = sqliteTable(
  'manifest_blob',
  {
    repositoryId: integer('repository_id').notNull(),
    manifestId: integer('manifest_id').notNull(),
    blobId: integer('blob_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.manifestId, table.blobId] })],
);

export const uploadedBlob = sqliteTable(
  'uploaded_blob',
  {
    repositoryId: integer('repository_id').notNull(),
    blobId: integer('blob_id').notNull(),
    uploadedMs: integer('uploaded_ms').notNull(),
    expiresMs: integer('expires_ms').notNull(),
  },
  (table) => [primaryKey({ columns: [table.blobId, table.repositoryId] })],
);
