import { StoreUnavailable } from '../../model/errors.ts';

/**
 * D1 tells of failures in prose. This is the one place that reads it; everything above catches
 * the classes below.
 */

/** The codes that a batch can fail by on purpose: one CHECK of `batch_assert` each. */
const ASSERTION_CODES = [
  'repo_gone',
  'manifest_gone',
  'tag_immutable',
  'blob_unknown',
  'child_gone',
  'retry',
] as const;
export type AssertionCode = (typeof ASSERTION_CODES)[number];

/** A condition that the batch stated about the world did not hold; nothing was written. */
export class AssertionFailed extends Error {
  readonly assertion: AssertionCode;
  constructor(assertion: AssertionCode, cause: unknown) {
    super(`assertion ${assertion} failed`, { cause });
    this.name = 'AssertionFailed';
    this.assertion = assertion;
  }
}

/** A unique index refused a row, because somebody else was faster; nothing was written. */
export class UniqueViolation extends Error {
  /** `table.column, table.column` as SQLite names them. */
  readonly columns: string;
  constructor(columns: string, cause: unknown) {
    super(`unique constraint on ${columns}`, { cause });
    this.name = 'UniqueViolation';
    this.columns = columns;
  }
}

/** What a row refers to was removed meanwhile; nothing was written. */
export class ForeignKeyViolation extends Error {
  constructor(cause: unknown) {
    super('foreign key constraint', { cause });
    this.name = 'ForeignKeyViolation';
  }
}

/**
 * The answer did not arrive, so the write may have been committed or not. D1 sends reads again by
 * itself, writes never.
 */
export class AnswerLost extends StoreUnavailable {
  constructor(cause: unknown) {
    super('database', 'the answer of the database was lost', cause);
    this.name = 'AnswerLost';
  }
}

const ASSERTION = /CHECK constraint failed: assert_(\w+)/;
const UNIQUE = /UNIQUE constraint failed: ([\w., ]+)/;
const FOREIGN_KEY = /FOREIGN KEY constraint failed/;
/** Failures between the Worker and the database; all others come from the database itself. */
const LOST =
  /Network connection lost|storage operation exceeded timeout|caused object to be reset|reset because its code was updated|limit and was reset|Internal error|Cannot resolve D1 DB due to transient issue|connection was closed|client disconnected|Replica disconnected/i;
/** It did not begin: too many others wait. To send it again at once would make that worse. */
const OVERLOADED = /D1 DB is overloaded/i;

/** The failure as one of the classes above, or as it came. */
export function translateDatabaseError(error: unknown): unknown {
  const text = messagesOf(error);
  const assertion = ASSERTION.exec(text)?.[1];
  if (assertion !== undefined && isAssertionCode(assertion)) {
    return new AssertionFailed(assertion, error);
  }
  const columns = UNIQUE.exec(text)?.[1];
  if (columns !== undefined) {
    return new UniqueViolation(columns, error);
  }
  if (FOREIGN_KEY.test(text)) {
    return new ForeignKeyViolation(error);
  }
  if (OVERLOADED.test(text)) {
    return new StoreUnavailable('database', 'the database is overloaded', error);
  }
  return LOST.test(text) ? new AnswerLost(error) : error;
}

function isAssertionCode(text: string): text is AssertionCode {
  return (ASSERTION_CODES as readonly string[]).includes(text);
}

/** Inside a batch the failure comes bare, elsewhere D1 may wrap it in a `cause`. */
function messagesOf(error: unknown): string {
  const messages: string[] = [];
  for (let at = error; at instanceof Error && messages.length < 5; at = at.cause) {
    messages.push(at.message);
  }
  return messages.join('\n');
}
