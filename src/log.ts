/** One line of JSON a record, on the standard streams that the platform collects. */
export interface LogRecord {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Writes a record; records of errors go to the error stream. */
export function log(level: 'info' | 'error', record: LogRecord): void {
  const line = JSON.stringify({ level, ...record });
  // The one place that writes to the console.
  // oxlint-disable-next-line no-console
  (level === 'error' ? console.error : console.log)(line);
}

const ERRORS_MAX = 10;

/**
 * An error as a record's field: its chain of causes, and those of an aggregate, with stacks. For
 * operators only.
 */
export function describeError(error: unknown): readonly string[] {
  const described: string[] = [];
  const waiting: unknown[] = [error];
  while (waiting.length > 0 && described.length < ERRORS_MAX) {
    const at = waiting.shift();
    if (at instanceof Error) {
      described.push(at.stack ?? at.message);
      waiting.push(...(at instanceof AggregateError ? (at.errors as unknown[]) : []));
      waiting.push(...(at.cause === undefined ? [] : [at.cause]));
    } else {
      described.push(`not an error: ${JSON.stringify(at)}`);
    }
  }
  return described;
}
