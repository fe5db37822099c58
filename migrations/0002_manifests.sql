-- Manifests and the links between them. What a manifest owns goes with it by cascade.

CREATE TABLE manifest (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  repository_id INTEGER NOT NULL REFERENCES repository (id),
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  config_media_type TEXT,
  layers_compressed_size INTEGER,
  subject_digest TEXT,
  artifact_type TEXT,
  created_ms INTEGER NOT NULL,
  -- When it was last deleted by digest, in a namespace that holds what is pulled: pulls before that
  -- hold nothing.
  deleted_ms INTEGER,
  -- The body is here, or in R2 above 1,000,000 bytes. It stands last, so that a read of the other
  -- columns does not touch its pages.
  bytes_key TEXT,
  bytes TEXT,
  CHECK ((bytes IS NULL) <> (bytes_key IS NULL))
) STRICT;
CREATE UNIQUE INDEX manifest_repo_digest ON manifest (repository_id, digest);
CREATE INDEX manifest_subject ON manifest (repository_id, subject_digest, id)
  WHERE subject_digest IS NOT NULL;
-- Security notifications arrive by digest alone.
CREATE INDEX manifest_digest ON manifest (digest);
-- The audit asks which row owns an object.
CREATE INDEX manifest_bytes_key ON manifest (bytes_key) WHERE bytes_key IS NOT NULL;

CREATE TABLE manifest_child (
  manifest_id INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
  child_digest TEXT NOT NULL,
  -- NULL while a sparse index waits for the child to be pushed.
  child_manifest_id INTEGER REFERENCES manifest (id),
  repository_id INTEGER NOT NULL,
  PRIMARY KEY (manifest_id, child_digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX child_up ON manifest_child (child_manifest_id, manifest_id)
  WHERE child_manifest_id IS NOT NULL;
CREATE INDEX child_waiting ON manifest_child (repository_id, child_digest)
  WHERE child_manifest_id IS NULL;
