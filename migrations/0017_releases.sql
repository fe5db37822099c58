-- Releases: several tags of a namespace moved by one step, which can be undone as one.

CREATE TABLE tag_release (
  id INTEGER PRIMARY KEY,
  -- What callers call it by, and what the generations carry that it began.
  uuid TEXT NOT NULL UNIQUE,
  namespace_id INTEGER NOT NULL REFERENCES namespace (id),
  released_ms INTEGER NOT NULL,
  performer_kind TEXT NOT NULL
    CHECK (performer_kind IN ('administrator', 'user', 'robot', 'anonymous')),
  performer_name TEXT CHECK ((performer_name IS NULL) = (performer_kind = 'anonymous')),
  -- The release that this one undid, and the one that undid this one. No references: the older of
  -- the two is forgotten first.
  undoes_uuid TEXT,
  undone_by_uuid TEXT,
  -- A list of the tags with their digests before and after; it is never searched.
  moves TEXT NOT NULL CHECK (json_valid(moves))
) STRICT;
CREATE INDEX tag_release_namespace ON tag_release (namespace_id, id);

-- NULL for almost all rows. Nothing is looked up by it, so it has no index.
ALTER TABLE tag ADD COLUMN release_uuid TEXT;
