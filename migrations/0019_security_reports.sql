-- What scanners reported of manifests.

-- Apart from the status, so that who wants that alone reads a short row.
CREATE TABLE manifest_security_report (
  manifest_id INTEGER PRIMARY KEY REFERENCES manifest (id) ON DELETE CASCADE,
  report TEXT NOT NULL CHECK (json_valid(report))
) STRICT;
