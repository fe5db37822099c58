-- Notifications: what repositories have to tell, until it was told.

-- When what waits for the receiver is sent next; NULL: nothing waits. Who sends moves it on and
-- writes a token down, so that nobody else sends meanwhile.
ALTER TABLE repository_notification ADD COLUMN due_ms INTEGER;
ALTER TABLE repository_notification ADD COLUMN claim_token TEXT;
-- How often the first of what waits was sent in vain. `number_of_failures` counts what was given up
-- since something was taken last.
ALTER TABLE repository_notification ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
-- Why it was not taken.
ALTER TABLE repository_notification ADD COLUMN last_error TEXT;
CREATE INDEX repository_notification_due ON repository_notification (due_ms)
  WHERE due_ms IS NOT NULL;
-- `last_ran_ms`: when it was last looked for tags that will end.
CREATE INDEX repository_notification_expiry ON repository_notification (last_ran_ms)
  WHERE event = 'repo_image_expiry';

-- What waits for a receiver, in the order in which it is sent. Written in the batch that makes it so,
-- and gone once it was taken or given up.
CREATE TABLE notification_delivery (
  notification_id INTEGER NOT NULL REFERENCES repository_notification (id) ON DELETE CASCADE,
  created_ms INTEGER NOT NULL,
  -- The same at every attempt, so that a receiver knows what it has got already.
  message_id TEXT NOT NULL,
  body TEXT NOT NULL CHECK (json_valid(body)),
  PRIMARY KEY (notification_id, created_ms, message_id)
) STRICT, WITHOUT ROWID;
