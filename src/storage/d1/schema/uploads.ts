import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0005_uploads.sql`, which is the truth; a test compares the two.

export const blobUpload = sqliteTable('blob_upload', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  uuid: text('uuid').notNull(),
  repositoryId: integer('repository_id').notNull(),
  location: text('location').notNull(),
  objectKey: text('object_key').notNull(),
  r2UploadId: text('r2_upload_id'),
  partSize: integer('part_size').notNull(),
  partCount: integer('part_count').notNull().default(0),
  tailKey: text('tail_key'),
  tailSize: integer('tail_size').notNull().default(0),
  byteCount: integer('byte_count').notNull().default(0),
  uncompressedByteCount: integer('uncompressed_byte_count'),
  chunkCount: integer('chunk_count').notNull().default(0),
  shaState: text('sha_state').notNull(),
  storageMetadata: text('storage_metadata').notNull(),
  state: text('state').notNull().default('open'),
  version: integer('version').notNull().default(0),
  claimToken: text('claim_token'),
  claimUntilMs: integer('claim_until_ms'),
  createdMs: integer('created_ms').notNull(),
  updatedMs: integer('updated_ms').notNull(),
});

export const blobUploadPart = sqliteTable(
  'blob_upload_part',
  {
    uploadId: integer('upload_id').notNull(),
    partNumber: integer('part_number').notNull(),
    etag: text('etag').notNull(),
  },
  (table) => [primaryKey({ columns: [table.uploadId, table.partNumber] })],
);
