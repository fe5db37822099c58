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

const CAUSES_MAX = 5;

/** An error as a record's field: its chain of causes, with stacks, for operators only. */
export function describeError(error: unknown): readonly string[] {
  const chain: string[] = [];
  let at: unknown = error;
  while (at instanceof Error && chain.length < CAUSES_MAX) {
    chain.push(at.stack ?? at.message);
    at = at.cause;
  }
  return chain.length === 0 ? [`not an error: ${JSON.stringify(error)}`] : chain;
}
