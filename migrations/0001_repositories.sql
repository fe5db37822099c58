-- Namespaces, repositories, and the policies that lock their tags.

CREATE TABLE namespace (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  -- A person's own namespace, or one that people share.
  kind TEXT NOT NULL DEFAULT 'organization' CHECK (kind IN ('user', 'organization')),
  -- How far its members get in its repositories without a right of their own.
  member_role TEXT NOT NULL DEFAULT 'none'
    CHECK (member_role IN ('none', 'read', 'write', 'admin')),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  -- How long an ended tag stays restorable: 0 s, 1 d, 1 w, 2 w or 4 w.
  removed_tag_expiration_s INTEGER NOT NULL DEFAULT 1209600 CHECK (removed_tag_expiration_s >= 0),
  immutability_epoch INTEGER NOT NULL DEFAULT 0,
  region_mode TEXT NOT NULL DEFAULT 'off' CHECK (region_mode IN ('off', 'observe', 'enforce')),
  -- How long a manifest is kept after it was pulled by digest, tagged or not; 0: not for that.
  held_by_pull_days INTEGER NOT NULL DEFAULT 0 CHECK (held_by_pull_days BETWEEN 0 AND 365)
) STRICT;

-- The order of whole names, `namespace/name`, which the catalog lists them in.
CREATE INDEX namespace_path ON namespace (name || '/');

CREATE TABLE repository (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace_id INTEGER NOT NULL REFERENCES namespace (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL DEFAULT 'image' CHECK (kind IN ('image', 'application')),
  visibility TEXT NOT NULL DEFAULT 'private' CHECK (visibility IN ('public', 'private')),
  -- 0 normal, 1 read-only, 2 mirror, 3 marked for deletion, 4 organization mirror.
  state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
  -- Raised by every change to the set of alive visible tags; versions cached tag pages.
  tags_generation INTEGER NOT NULL DEFAULT 0,
  -- Raised whenever a blob may have become invisible here; versions cached blob answers.
  content_epoch INTEGER NOT NULL DEFAULT 0,
  -- Raised by every change of a policy; a push that evaluated older ones begins again.
  immutability_epoch INTEGER NOT NULL DEFAULT 0,
  -- Last, so that no read of what stands before it goes through the text.
  description TEXT NOT NULL DEFAULT '' CHECK (length(description) <= 25000),
  UNIQUE (namespace_id, name)
) STRICT;

CREATE TABLE namespace_immutability_policy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  namespace_id INTEGER NOT NULL REFERENCES namespace (id),
  tag_pattern TEXT NOT NULL CHECK (length(tag_pattern) BETWEEN 1 AND 256),
  tag_pattern_matches INTEGER NOT NULL DEFAULT 1 CHECK (tag_pattern_matches IN (0, 1)),
  UNIQUE (namespace_id, tag_pattern)
) STRICT;

-- Its namespace is its repository's, so there is no second reference that could disagree.
CREATE TABLE repository_immutability_policy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  repository_id INTEGER NOT NULL REFERENCES repository (id),
  tag_pattern TEXT NOT NULL CHECK (length(tag_pattern) BETWEEN 1 AND 256),
  tag_pattern_matches INTEGER NOT NULL DEFAULT 1 CHECK (tag_pattern_matches IN (0, 1)),
  UNIQUE (repository_id, tag_pattern)
) STRICT;
