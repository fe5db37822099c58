-- The audit of garbage collection: passes over all rows and objects that look for what no list names.

-- A pass, and how far it has come; the last one that ended is kept for whoever asks.
CREATE TABLE gc_audit (
  id INTEGER PRIMARY KEY,
  began_ms INTEGER NOT NULL,
  -- NULL while it is under way.
  ended_ms INTEGER,
  stage TEXT NOT NULL DEFAULT 'hints' CHECK (stage IN (
    'hints', 'manifests', 'blobs', 'blob-objects', 'manifest-objects', 'upload-objects'
  )),
  -- Rows up to this id, or objects up to this key, are done in the stage.
  after_id INTEGER NOT NULL DEFAULT 0,
  after_key TEXT NOT NULL DEFAULT '',
  repositories_checked INTEGER NOT NULL DEFAULT 0,
  manifests_checked INTEGER NOT NULL DEFAULT 0,
  blobs_checked INTEGER NOT NULL DEFAULT 0,
  objects_checked INTEGER NOT NULL DEFAULT 0,
  blobs_sampled INTEGER NOT NULL DEFAULT 0,
  -- What was found; each of them is 0 unless something is wrong.
  late_hints INTEGER NOT NULL DEFAULT 0,
  unlisted_manifests INTEGER NOT NULL DEFAULT 0,
  unlisted_blobs INTEGER NOT NULL DEFAULT 0,
  unowned_objects INTEGER NOT NULL DEFAULT 0,
  damaged_blobs INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Names of some of what a pass found, for whoever has to find out why.
CREATE TABLE gc_audit_finding (
  audit_id INTEGER NOT NULL REFERENCES gc_audit (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN (
    'late_hint', 'unlisted_manifest', 'unlisted_blob', 'unowned_object', 'damaged_blob'
  )),
  subject TEXT NOT NULL,
  PRIMARY KEY (audit_id, kind, subject)
) STRICT, WITHOUT ROWID;
