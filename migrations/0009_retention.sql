-- Retention: which tags end by themselves because newer ones came, or because they are old.

-- A rule keeps the newest so many tags that it is about, or those no older than a period.
CREATE TABLE namespace_retention_policy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  namespace_id INTEGER NOT NULL REFERENCES namespace (id) ON DELETE CASCADE,
  -- Raised by every change: what was planned by an older content is not carried out.
  revision INTEGER NOT NULL DEFAULT 0,
  tags_max INTEGER CHECK (tags_max > 0),
  age_max_s INTEGER CHECK (age_max_s > 0),
  -- NULL: it is about tags of every name.
  tag_pattern TEXT CHECK (length(tag_pattern) BETWEEN 1 AND 256),
  tag_pattern_matches INTEGER NOT NULL DEFAULT 1 CHECK (tag_pattern_matches IN (0, 1)),
  CHECK ((tags_max IS NULL) <> (age_max_s IS NULL))
) STRICT;
CREATE UNIQUE INDEX namespace_retention_policy_content ON namespace_retention_policy (
  namespace_id, coalesce(tags_max, 0), coalesce(age_max_s, 0), coalesce(tag_pattern, ''),
  tag_pattern_matches
);

-- Its namespace is its repository's, so there is no second reference that could disagree.
CREATE TABLE repository_retention_policy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  repository_id INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
  revision INTEGER NOT NULL DEFAULT 0,
  tags_max INTEGER CHECK (tags_max > 0),
  age_max_s INTEGER CHECK (age_max_s > 0),
  tag_pattern TEXT CHECK (length(tag_pattern) BETWEEN 1 AND 256),
  tag_pattern_matches INTEGER NOT NULL DEFAULT 1 CHECK (tag_pattern_matches IN (0, 1)),
  CHECK ((tags_max IS NULL) <> (age_max_s IS NULL))
) STRICT;
CREATE UNIQUE INDEX repository_retention_policy_content ON repository_retention_policy (
  repository_id, coalesce(tags_max, 0), coalesce(age_max_s, 0), coalesce(tag_pattern, ''),
  tag_pattern_matches
);

-- One for each owner of policies: when they are applied next, and how far that has come.
CREATE TABLE retention_task (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace_id INTEGER UNIQUE REFERENCES namespace (id) ON DELETE CASCADE,
  repository_id INTEGER UNIQUE REFERENCES repository (id) ON DELETE CASCADE,
  due_ms INTEGER NOT NULL,
  -- Repositories up to this name are done.
  after_repository TEXT NOT NULL DEFAULT '',
  -- Raised by every new content of a policy: a run that began before does not say that it is done.
  version INTEGER NOT NULL DEFAULT 0,
  CHECK ((namespace_id IS NULL) <> (repository_id IS NULL))
) STRICT;
CREATE INDEX retention_task_due ON retention_task (due_ms);
