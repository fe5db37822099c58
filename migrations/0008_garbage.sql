-- What garbage collection needs to know, and the table that makes a batch fail by name.

-- A lower bound of when a repository has something to collect. Whoever sets an end lowers it in
-- the same batch; too early costs a wasted visit, too late would be a bug.
CREATE TABLE repository_gc (
  repository_id INTEGER PRIMARY KEY REFERENCES repository (id) ON DELETE CASCADE,
  policy_s INTEGER NOT NULL,
  earliest_end_ms INTEGER,
  earliest_lease_ms INTEGER
) STRICT;
CREATE INDEX repository_gc_policy ON repository_gc (policy_s, earliest_end_ms);
CREATE INDEX repository_gc_lease ON repository_gc (earliest_lease_ms);

-- Rows that lost a reference and may be garbage. Written in the batch that took the reference.
CREATE TABLE gc_manifest_candidate (
  manifest_id INTEGER PRIMARY KEY REFERENCES manifest (id) ON DELETE CASCADE
) STRICT;
CREATE TABLE gc_blob_candidate (
  blob_id INTEGER PRIMARY KEY REFERENCES blob (id) ON DELETE CASCADE
) STRICT;

-- R2 keys that belong to nobody any more, or not yet to somebody. The drain deletes the object
-- first and the row after, so every key that R2 was ever asked to create is named by some row.
CREATE TABLE r2_tombstone (
  object_key TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('key', 'prefix', 'mpu')),
  r2_upload_id TEXT CHECK ((r2_upload_id IS NULL) = (kind <> 'mpu')),
  not_before_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (object_key, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX r2_tombstone_due ON r2_tombstone (not_before_ms);

-- What garbage collection removed and why; written in the batch that removed it.
CREATE TABLE gc_removal (
  id INTEGER PRIMARY KEY,
  removed_ms INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('tag', 'manifest', 'blob')),
  reason TEXT NOT NULL CHECK (reason IN ('window_passed', 'unreferenced', 'repository_deleted')),
  -- NULL for a blob, which belongs to no repository.
  repository_id INTEGER CHECK ((repository_id IS NULL) = (kind = 'blob')),
  -- Of a tag: that of the manifest it pointed to.
  digest TEXT NOT NULL,
  size_bytes INTEGER CHECK ((size_bytes IS NULL) = (kind = 'tag')),
  tag_name TEXT CHECK ((tag_name IS NULL) = (kind <> 'tag')),
  -- When the tag ended; NULL if it was alive when its repository was deleted.
  ended_ms INTEGER
) STRICT;
-- Why is this digest gone, why is this tag; blobs have no repository.
CREATE INDEX gc_removal_digest ON gc_removal (digest, repository_id, id);
CREATE INDEX gc_removal_tag ON gc_removal (repository_id, tag_name, id)
  WHERE tag_name IS NOT NULL;
CREATE INDEX gc_removal_repository ON gc_removal (repository_id, id)
  WHERE repository_id IS NOT NULL;

CREATE TABLE deleted_repository (
  repository_id INTEGER PRIMARY KEY REFERENCES repository (id),
  original_name TEXT NOT NULL,
  marked_ms INTEGER NOT NULL,
  available_after_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX deleted_repository_due ON deleted_repository (available_after_ms);

CREATE TABLE deleted_namespace (
  namespace_id INTEGER PRIMARY KEY REFERENCES namespace (id),
  original_name TEXT NOT NULL,
  marked_ms INTEGER NOT NULL,
  available_after_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX deleted_namespace_due ON deleted_namespace (available_after_ms);

-- Locks that only save work: everything holds without them.
CREATE TABLE gc_lease (
  name TEXT PRIMARY KEY,
  token TEXT NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Always empty. A batch that inserts a code here violates the constraint of that name, which
-- rolls the whole batch back and tells the caller why.
CREATE TABLE batch_assert (
  code TEXT NOT NULL,
  CONSTRAINT assert_repo_gone CHECK (code <> 'repo_gone'),
  CONSTRAINT assert_manifest_gone CHECK (code <> 'manifest_gone'),
  CONSTRAINT assert_tag_immutable CHECK (code <> 'tag_immutable'),
  CONSTRAINT assert_blob_unknown CHECK (code <> 'blob_unknown'),
  CONSTRAINT assert_child_gone CHECK (code <> 'child_gone'),
  CONSTRAINT assert_retry CHECK (code <> 'retry')
) STRICT;
