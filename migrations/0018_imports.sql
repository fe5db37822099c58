-- Imports: images that are copied here from another registry, in steps that cron goes on with.

CREATE TABLE repository_import (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  repository_id INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
  -- As it was asked for, without credentials.
  source TEXT NOT NULL,
  -- Name and password for the source, encrypted.
  credentials TEXT,
  state TEXT NOT NULL DEFAULT 'waiting'
    CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
  -- Why it failed, or why its last run stopped.
  error TEXT,
  -- Failures since the last step that brought it on.
  attempts INTEGER NOT NULL DEFAULT 0,
  -- When a run may take it up; one that has it moves this on. NULL: it has ended.
  due_ms INTEGER,
  claim_token TEXT,
  created_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  CHECK ((due_ms IS NULL) = (ended_ms IS NOT NULL)),
  CHECK ((due_ms IS NULL) = (state IN ('done', 'failed', 'cancelled'))),
  CHECK ((state = 'running') = (claim_token IS NOT NULL)),
  -- Nobody needs them any more.
  CHECK (ended_ms IS NULL OR credentials IS NULL)
) STRICT;
CREATE INDEX repository_import_repository ON repository_import (repository_id);
CREATE INDEX repository_import_due ON repository_import (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX repository_import_ended ON repository_import (ended_ms) WHERE ended_ms IS NOT NULL;

-- A tag that the import is to set, and what the source calls it: a tag, or a digest.
CREATE TABLE import_tag (
  import_id INTEGER NOT NULL REFERENCES repository_import (id) ON DELETE CASCADE,
  tag_name TEXT NOT NULL,
  reference TEXT NOT NULL,
  -- What the source's reference meant when it was looked up; later moves of it change nothing.
  digest TEXT,
  PRIMARY KEY (import_id, tag_name)
) STRICT, WITHOUT ROWID;

-- A manifest or a blob that the import is to bring.
CREATE TABLE import_item (
  id INTEGER PRIMARY KEY,
  import_id INTEGER NOT NULL REFERENCES repository_import (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('manifest', 'blob')),
  digest TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  -- Of a manifest: how many indexes are above it at most. The deepest are stored first.
  level INTEGER NOT NULL DEFAULT 0,
  -- 'found': a manifest still to be read; 'read': what it names is listed; 'done': it is here.
  state TEXT NOT NULL DEFAULT 'found' CHECK (state IN ('found', 'read', 'done')),
  -- The upload that receives a blob.
  upload_uuid TEXT,
  UNIQUE (import_id, kind, digest)
) STRICT;
CREATE INDEX import_item_next ON import_item (import_id, state, kind, level);
