-- Who may log in, with what, and what they may do where.

-- People, and the robots of a namespace. A person's namespace is their own, and has their name.
CREATE TABLE account (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Of a robot: '<namespace>+<short name>'.
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('user', 'robot')),
  namespace_id INTEGER NOT NULL REFERENCES namespace (id),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  -- What a robot is for; it may do no more than that, whatever its rights are.
  purpose TEXT NOT NULL DEFAULT 'pull_push' CHECK (purpose IN ('pull', 'push', 'pull_push')),
  description TEXT NOT NULL DEFAULT '' CHECK (length(description) <= 255),
  metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
  created_ms INTEGER NOT NULL,
  CHECK ((kind = 'robot') = (instr(name, '+') > 0)),
  CHECK (kind = 'robot' OR purpose = 'pull_push')
) STRICT;
-- The robots of a namespace by name, and the one person of it.
CREATE INDEX account_namespace ON account (namespace_id, kind, name);

-- Secrets that were shown once. The first characters find the row; the hash proves the rest.
CREATE TABLE credential (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('app_token', 'robot_token')),
  title TEXT NOT NULL,
  prefix TEXT NOT NULL UNIQUE,
  -- SHA-256 of the whole secret, hexadecimal. The secret is random, so that is enough.
  secret_hash TEXT NOT NULL CHECK (length(secret_hash) = 64),
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  -- Written once a day at most.
  last_used_ms INTEGER
) STRICT;
CREATE INDEX credential_account ON credential (account_id, id);
-- A robot has one token; a new one replaces it.
CREATE UNIQUE INDEX credential_robot ON credential (account_id) WHERE kind = 'robot_token';

-- Who belongs to an organization: people, and its own robots.
CREATE TABLE namespace_member (
  namespace_id INTEGER NOT NULL REFERENCES namespace (id),
  account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('member', 'creator', 'admin')),
  PRIMARY KEY (namespace_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX namespace_member_account ON namespace_member (account_id);

-- What an account may do in one repository.
CREATE TABLE repository_right (
  repository_id INTEGER NOT NULL REFERENCES repository (id),
  account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('read', 'write', 'admin')),
  PRIMARY KEY (repository_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_right_account ON repository_right (account_id);
