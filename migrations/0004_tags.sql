-- Tags: one row per generation of a name, so the table is the present and the history at once.

CREATE TABLE tag (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- No foreign key: the manifest's suffices, and every index that begins with the repository is
  -- partial, so the probe on deleting a repository would scan every tag of the registry.
  repository_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  manifest_id INTEGER NOT NULL REFERENCES manifest (id),
  lifetime_start_ms INTEGER NOT NULL,
  lifetime_end_ms INTEGER,
  is_current INTEGER NOT NULL CHECK (is_current IN (0, 1)),
  hidden INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1)),
  reversion INTEGER NOT NULL DEFAULT 0 CHECK (reversion IN (0, 1)),
  immutable INTEGER NOT NULL DEFAULT 0 CHECK (immutable IN (0, 1))
) STRICT;
-- The slot of a name: at most one row is the newest generation that nobody ended.
CREATE UNIQUE INDEX tag_current_name ON tag (repository_id, name) WHERE is_current = 1;
CREATE INDEX tag_history ON tag (repository_id, lifetime_start_ms DESC, name, id DESC)
  WHERE hidden = 0;
CREATE INDEX tag_current_history ON tag (repository_id, lifetime_start_ms DESC, name, id DESC)
  WHERE is_current = 1 AND hidden = 0;
CREATE INDEX tag_name_history ON tag (repository_id, name, lifetime_start_ms DESC, id DESC)
  WHERE hidden = 0;
CREATE INDEX tag_manifest ON tag (manifest_id, is_current, hidden, name);
-- Garbage collection: what ended in a repository, oldest first.
CREATE INDEX tag_repo_end ON tag (repository_id, lifetime_end_ms)
  WHERE lifetime_end_ms IS NOT NULL;
-- The sweep: rows that died by passing their end and still hold their slot.
CREATE INDEX tag_sweep ON tag (lifetime_end_ms)
  WHERE is_current = 1 AND lifetime_end_ms IS NOT NULL;

CREATE TABLE tag_pull_statistics (
  repository_id INTEGER NOT NULL REFERENCES repository (id),
  tag_name TEXT NOT NULL,
  pull_count INTEGER NOT NULL DEFAULT 0,
  last_pull_ms INTEGER,
  PRIMARY KEY (repository_id, tag_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifest_pull_statistics (
  manifest_id INTEGER PRIMARY KEY REFERENCES manifest (id) ON DELETE CASCADE,
  pull_count INTEGER NOT NULL DEFAULT 0,
  last_pull_ms INTEGER
) STRICT;
