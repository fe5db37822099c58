-- Labels of manifests. Several may share a key, except those copied from one image at its push.

CREATE TABLE manifest_label (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  manifest_id INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
  repository_id INTEGER NOT NULL,
  key TEXT NOT NULL CHECK (key <> ''),
  value TEXT NOT NULL,
  media_type TEXT NOT NULL,
  source_type TEXT NOT NULL CHECK (source_type IN ('manifest', 'api', 'internal'))
) STRICT;
CREATE INDEX manifest_label_key ON manifest_label (manifest_id, key, id);
CREATE UNIQUE INDEX manifest_label_source ON manifest_label (manifest_id, key)
  WHERE source_type = 'manifest';
