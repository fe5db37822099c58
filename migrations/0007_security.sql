-- What a scanner said of a manifest, who wants to hear of it, and where content is not served.

CREATE TABLE manifest_security_status (
  manifest_id INTEGER PRIMARY KEY REFERENCES manifest (id) ON DELETE CASCADE,
  repository_id INTEGER NOT NULL,
  -- -4 retries exhausted, -3 layer too large, -2 unsupported, -1 failed, 0 pending,
  -- 1 in progress, 2 completed.
  index_status INTEGER NOT NULL CHECK (index_status BETWEEN -4 AND 2),
  error_json TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(error_json)),
  last_indexed_ms INTEGER NOT NULL,
  indexer_hash TEXT NOT NULL CHECK (length(indexer_hash) <= 128),
  indexer_version INTEGER NOT NULL CHECK (indexer_version IN (2, 4)),
  metadata_json TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata_json))
) STRICT;
CREATE INDEX manifest_security_queue ON manifest_security_status (index_status, last_indexed_ms);

CREATE TABLE repository_notification (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  repository_id INTEGER NOT NULL REFERENCES repository (id),
  event TEXT NOT NULL,
  method TEXT NOT NULL,
  title TEXT,
  config_json TEXT NOT NULL,
  event_config_json TEXT NOT NULL DEFAULT '{}',
  number_of_failures INTEGER NOT NULL DEFAULT 0,
  last_ran_ms INTEGER
) STRICT;
CREATE INDEX repository_notification_event ON repository_notification (repository_id, event);

-- Which tags a notification was already sent for.
CREATE TABLE tag_notification_success (
  notification_id INTEGER NOT NULL REFERENCES repository_notification (id) ON DELETE CASCADE,
  tag_id INTEGER NOT NULL REFERENCES tag (id) ON DELETE CASCADE,
  method TEXT NOT NULL,
  PRIMARY KEY (notification_id, tag_id, method)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_notification_success_tag ON tag_notification_success (tag_id);

CREATE TABLE namespace_geo_restriction (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace_id INTEGER NOT NULL REFERENCES namespace (id),
  restricted_region_iso_code TEXT NOT NULL
    CHECK (length(restricted_region_iso_code) = 2
      AND restricted_region_iso_code = upper(restricted_region_iso_code)),
  description TEXT,
  added_ms INTEGER NOT NULL,
  extra TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(extra)),
  UNIQUE (namespace_id, restricted_region_iso_code)
) STRICT;
