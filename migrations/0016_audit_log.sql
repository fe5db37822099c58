-- Who did what. No foreign keys: a record outlives what it tells about, so it has the names of then.
-- Row ids are never used again, so whoever makes a repository of the same name sees none of it.

CREATE TABLE audit_log (
  -- The time in milliseconds times 1024 (`id >> 10` is it), and the order within the millisecond: so
  -- the key, and with it every index, is in the order of time, and no other column need be.
  id INTEGER PRIMARY KEY,
  -- Names the record, so that who sends it again finds it.
  uuid TEXT NOT NULL,
  kind TEXT NOT NULL,
  -- What it happened to; NULL where it is none, and the id where a name is nobody's.
  namespace_id INTEGER,
  namespace_name TEXT,
  repository_id INTEGER,
  repository_name TEXT,
  performer_kind TEXT NOT NULL
    CHECK (performer_kind IN ('administrator', 'user', 'robot', 'anonymous')),
  performer_name TEXT CHECK ((performer_name IS NULL) = (performer_kind = 'anonymous')),
  ip TEXT,
  country TEXT,
  metadata TEXT NOT NULL CHECK (json_valid(metadata) AND length(metadata) <= 8192)
) STRICT;
-- The pages of a repository, and of a namespace with all that is in it. Whoever wants one performer
-- reads past the others; a third index would be paid with every record.
CREATE INDEX audit_log_repository ON audit_log (repository_id, id)
  WHERE repository_id IS NOT NULL;
CREATE INDEX audit_log_namespace ON audit_log (namespace_id, id)
  WHERE namespace_id IS NOT NULL;
