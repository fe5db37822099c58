-- Pulls as isolates counted them, until cron adds them to the statistics of tags and manifests.

CREATE TABLE pull_report (
  id INTEGER PRIMARY KEY,
  -- {"tags":[[repository id, tag name, count, last ms],…],"manifests":[[id, count, last ms],…]}
  pulls TEXT NOT NULL CHECK (json_valid(pulls))
) STRICT;
