-- Uploads: bytes on their way in, and the parts of them that R2 already has.

CREATE TABLE blob_upload (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  repository_id INTEGER NOT NULL REFERENCES repository (id),
  location TEXT NOT NULL,
  object_key TEXT NOT NULL UNIQUE,
  r2_upload_id TEXT,
  part_size INTEGER NOT NULL,
  part_count INTEGER NOT NULL DEFAULT 0,
  -- The last bytes received, fewer than a part, under a key that only one claimant can write.
  tail_key TEXT,
  tail_size INTEGER NOT NULL DEFAULT 0,
  byte_count INTEGER NOT NULL DEFAULT 0,
  uncompressed_byte_count INTEGER,
  chunk_count INTEGER NOT NULL DEFAULT 0,
  sha_state TEXT NOT NULL,
  storage_metadata TEXT NOT NULL CHECK (json_valid(storage_metadata)),
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'writing', 'committing')),
  version INTEGER NOT NULL DEFAULT 0,
  claim_token TEXT,
  claim_until_ms INTEGER,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  CHECK ((state = 'open') = (claim_token IS NULL)),
  CHECK ((claim_token IS NULL) = (claim_until_ms IS NULL))
) STRICT;
CREATE INDEX blob_upload_repository ON blob_upload (repository_id);
CREATE INDEX blob_upload_updated ON blob_upload (updated_ms);
CREATE INDEX blob_upload_created ON blob_upload (created_ms);

CREATE TABLE blob_upload_part (
  upload_id INTEGER NOT NULL REFERENCES blob_upload (id) ON DELETE CASCADE,
  part_number INTEGER NOT NULL CHECK (part_number BETWEEN 1 AND 10000),
  etag TEXT NOT NULL,
  PRIMARY KEY (upload_id, part_number)
) STRICT, WITHOUT ROWID;
