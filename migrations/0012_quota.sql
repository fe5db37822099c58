-- How many bytes a namespace may hold, and how many it holds.

-- One a namespace. The limits are percentages of `limit_bytes`; NULL: there is none of that kind.
CREATE TABLE namespace_quota (
  namespace_id INTEGER PRIMARY KEY REFERENCES namespace (id),
  -- Up to 2^53 - 1, which JavaScript tells exactly; a hundred times that fits an INTEGER.
  limit_bytes INTEGER NOT NULL CHECK (limit_bytes BETWEEN 1 AND 9007199254740991),
  warning_percent INTEGER CHECK (warning_percent BETWEEN 1 AND 100),
  reject_percent INTEGER CHECK (reject_percent BETWEEN 1 AND 100)
) STRICT;

-- The bytes of the distinct blobs that manifests link, the empty layer apart. Kept for namespaces
-- that have a quota, and right after every transaction.
CREATE TABLE quota_namespace_size (
  namespace_id INTEGER PRIMARY KEY REFERENCES namespace (id),
  size_bytes INTEGER NOT NULL
) STRICT;
-- A repository without a row has none.
CREATE TABLE quota_repository_size (
  repository_id INTEGER PRIMARY KEY REFERENCES repository (id),
  size_bytes INTEGER NOT NULL
) STRICT;
