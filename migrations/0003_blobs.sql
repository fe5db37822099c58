-- Blobs, what links them to repositories, and the leases that hold them until a manifest does.

CREATE TABLE blob (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  uncompressed_size INTEGER,
  -- Opaque, never derived from the digest, never used twice: a late delete can hit no newer bytes.
  object_key TEXT NOT NULL UNIQUE,
  location TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE manifest_blob (
  repository_id INTEGER NOT NULL,
  manifest_id INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
  blob_id INTEGER NOT NULL REFERENCES blob (id),
  PRIMARY KEY (manifest_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blob_blob ON manifest_blob (blob_id, repository_id);

-- A lease: the blob is visible in the repository, for certain until expires_ms.
CREATE TABLE uploaded_blob (
  repository_id INTEGER NOT NULL REFERENCES repository (id),
  blob_id INTEGER NOT NULL REFERENCES blob (id),
  uploaded_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  PRIMARY KEY (blob_id, repository_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX uploaded_blob_expiry ON uploaded_blob (repository_id, expires_ms);
