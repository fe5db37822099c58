-- Whose tokens stand for a robot, so that nobody keeps its secret where jobs run.

CREATE TABLE robot_federation (
  account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  -- The `iss` of the tokens, exactly.
  issuer TEXT NOT NULL CHECK (length(issuer) BETWEEN 1 AND 255),
  -- What their `sub` must match as a whole; '*' stands for any run of characters.
  subject TEXT NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
  PRIMARY KEY (account_id, issuer, subject)
) STRICT, WITHOUT ROWID;
