import type { Meter } from '../meter.ts';
import { AnswerLost, translateDatabaseError } from './errors.ts';
import { Riders } from './riders.ts';
import { isRead, type Statement } from './statement.ts';

type Rows<Statements extends readonly Statement<unknown>[]> = {
  readonly [Index in keyof Statements]: Statements[Index] extends Statement<infer Row>
    ? readonly Row[]
    : never;
};

/**
 * Runs statements in one D1 session. Each call is one round trip; reads whose answer was lost are sent
 * once more, to the primary, since it may be the nearest copy that fails. Writes never are.
 */
export interface StatementRunner {
  /** The first row, or null. */
  first<Row>(statement: Statement<Row>): Promise<Row | null>;
  all<Row>(statement: Statement<Row>): Promise<readonly Row[]>;
  /**
   * All statements in order as one transaction, all or nothing; the rows of each. Throws the
   * classes of `errors.ts`.
   */
  batch<const Statements extends readonly Statement<unknown>[]>(
    statements: Statements,
  ): Promise<Rows<Statements>>;
}

/** The registry's database, as one request sees it. */
export interface Database {
  /** Where every write goes, and every read that a write depends on. */
  readonly primary: StatementRunner;
  /** The nearest copy; it may lag, but never behind the bookmark that the request brought. */
  readonly nearest: StatementRunner;
  /**
   * One row from the nearest copy, and if what is asked for is not in it, from the primary: a
   * lagging replica must not turn something that exists into "not found".
   */
  firstAnywhere<Row>(
    statement: Statement<Row>,
    isFound?: (row: Row) => boolean,
  ): Promise<Row | null>;
  /** The same for a batch, whose rows say whether what is asked for is there. */
  batchAnywhere<const Statements extends readonly Statement<unknown>[]>(
    statements: Statements,
    isFound: (rows: Rows<Statements>) => boolean,
  ): Promise<Rows<Statements>>;
  /**
   * Rows that travel with the first statements that `read` sends, in their round trip; alone, to the
   * nearest copy, if it sends none; and what is not among them is asked for at the primary. The
   * caller decides by them whether anybody is told what `read` came to, so what that rejects with
   * is no failure until `reading` is awaited.
   */
  alongside<Row, Result>(
    question: {
      readonly statement: Statement<Row>;
      readonly isFound: (rows: readonly Row[]) => boolean;
    },
    read: () => Promise<Result>,
  ): Promise<{ readonly rows: readonly Row[]; readonly reading: Promise<Result> }>;
  /** Asks for nothing but an answer. */
  ping(): Promise<void>;
  /** What a later request sends back to read what this one wrote; null if nothing was asked. */
  bookmark(): string | null;
}

export interface DatabaseOptions {
  readonly meter: Meter;
  /** `primary` turns replicas off. */
  readonly readConsistency: 'replica' | 'primary';
  /** The bookmark of an earlier answer, or null. */
  readonly bookmark: string | null;
}

/** Opens the sessions of one request; nothing is sent until a statement runs. */
export function openDatabase(d1: D1Database, options: DatabaseOptions): Database {
  const { meter, readConsistency, bookmark } = options;
  const riders = new Riders();
  const primarySession = d1.withSession('first-primary');
  const primary = runner(primarySession, { meter, riders, primarySession });
  const usesReplicas = readConsistency === 'replica';
  const nearestSession = usesReplicas
    ? d1.withSession(bookmark ?? 'first-unconstrained')
    : primarySession;
  const nearest = usesReplicas
    ? runner(nearestSession, { meter, riders, primarySession })
    : primary;
  return {
    primary,
    nearest,
    async firstAnywhere(statement, isFound = () => true) {
      const row = await nearest.first(statement);
      const isEnough = !usesReplicas || (row !== null && isFound(row));
      return isEnough ? row : primary.first(statement);
    },
    async batchAnywhere(statements, isFound) {
      const rows = await nearest.batch(statements);
      return !usesReplicas || isFound(rows) ? rows : primary.batch(statements);
    },
    async alongside({ statement, isFound }, read) {
      const rider = riders.wait(statement);
      const reading = read();
      await Promise.race([rider.boarded, reading.then(ignore, ignore)]);
      const isLeftBehind = riders.remove(rider);
      const rows = isLeftBehind ? await nearest.all(statement) : await rider.rows;
      const isEnough = !usesReplicas || isFound(rows);
      return { rows: isEnough ? rows : await primary.all(statement), reading };
    },
    async ping() {
      meter.add('d1RoundTrips');
      await primarySession.prepare('SELECT 1').all();
    },
    bookmark: () => primarySession.getBookmark() ?? nearestSession.getBookmark(),
  };
}

const ignore = (): void => {};

interface RunnerOptions {
  readonly meter: Meter;
  readonly riders: Riders;
  readonly primarySession: D1DatabaseSession;
}

function runner(
  session: D1DatabaseSession,
  { meter, riders, primarySession }: RunnerOptions,
): StatementRunner {
  const send = async (statements: readonly Statement<unknown>[]): Promise<readonly D1Result[]> => {
    const results = await sendTo(session, statements).catch((error: unknown) => {
      if (error instanceof AnswerLost && statements.every(isRead)) {
        return sendTo(primarySession, statements);
      }
      throw error;
    });
    count(meter, results);
    return results;
  };
  const run = async (statements: readonly Statement<unknown>[]) => {
    const boarding = riders.takeAll();
    const sending = send([...statements, ...boarding.map(({ statement }) => statement)]);
    boarding.forEach((rider, index) => {
      rider.board(
        sending.then((results) => rowsOf(rider.statement, results[statements.length + index])),
      );
    });
    const results = await sending;
    return statements.map((statement, index) => rowsOf(statement, results[index]));
  };
  return {
    all: async <Row>(statement: Statement<Row>) =>
      ((await run([statement]))[0] ?? []) as readonly Row[],
    first: async <Row>(statement: Statement<Row>) =>
      ((await run([statement]))[0]?.[0] ?? null) as Row | null,
    batch: async <const Statements extends readonly Statement<unknown>[]>(statements: Statements) =>
      (await run(statements)) as unknown as Rows<Statements>,
  };
}

function rowsOf<Row>({ toRow }: Statement<Row>, result: D1Result | undefined): readonly Row[] {
  return ((result?.results ?? []) as Record<string, unknown>[]).map(toRow);
}

async function sendTo(
  session: D1DatabaseSession,
  statements: readonly Statement<unknown>[],
): Promise<readonly D1Result[]> {
  const bind = ({ sql, values }: Statement<unknown>): D1PreparedStatement =>
    session.prepare(sql).bind(...values);
  const [only, ...more] = statements;
  try {
    return only !== undefined && more.length === 0
      ? [await bind(only).all()]
      : await session.batch<Record<string, unknown>>(statements.map(bind));
  } catch (error) {
    throw translateDatabaseError(error);
  }
}

function count(meter: Meter, results: readonly D1Result[]): void {
  meter.add('d1RoundTrips');
  meter.add('d1Statements', results.length);
  for (const { meta } of results) {
    meter.add('d1RowsRead', meta.rows_read);
    meter.add('d1RowsWritten', meta.rows_written);
  }
}
