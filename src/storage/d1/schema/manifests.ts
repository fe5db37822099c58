import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

// Mirror of `migrations/0002_manifests.sql`, which is the truth; a test compares the two.

export const manifest = sqliteTable('manifest', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  repositoryId: integer('repository_id').notNull(),
  digest: text('digest').notNull(),
  mediaType: text('media_type').notNull(),
  sizeBytes: integer('size_bytes').notNull(),
  configMediaType: text('config_media_type'),
  layersCompressedSize: integer('layers_compressed_size'),
  subjectDigest: text('subject_digest'),
  artifactType: text('artifact_type'),
  createdMs: integer('created_ms').notNull(),
  deletedMs: integer('deleted_ms'),
  bytesKey: text('bytes_key'),
  bytes: text('bytes'),
});

export const manifestChild = sqliteTable(
  'manifest_child',
  {
    manifestId: integer('manifest_id').notNull(),
    childDigest: text('child_digest').notNull(),
    childManifestId: integer('child_manifest_id'),
    repositoryId: integer('repository_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.manifestId, table.childDigest] })],
);
