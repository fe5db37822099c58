import type { Meter } from '../meter.ts';
import { translateDatabaseError } from './errors.ts';
import type { Statement } from './statement.ts';

type Rows<Statements extends readonly Statement<unknown>[]> = {
  readonly [Index in keyof Statements]: Statements[Index] extends Statement<infer Row>
    ? readonly Row[]
    : never;
};

/** Runs statements in one D1 session. Each call is one round trip. */
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
  const primarySession = d1.withSession('first-primary');
  const primary = runner(primarySession, meter);
  const usesReplicas = readConsistency === 'replica';
  const nearestSession = usesReplicas
    ? d1.withSession(bookmark ?? 'first-unconstrained')
    : primarySession;
  const nearest = usesReplicas ? runner(nearestSession, meter) : primary;
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
    async ping() {
      meter.add('d1RoundTrips');
      await primarySession.prepare('SELECT 1').all();
    },
    bookmark: () => primarySession.getBookmark() ?? nearestSession.getBookmark(),
  };
}

function runner(session: D1DatabaseSession, meter: Meter): StatementRunner {
  const bind = ({ sql, values }: Statement<unknown>): D1PreparedStatement =>
    session.prepare(sql).bind(...values);
  const all = async <Row>(statement: Statement<Row>): Promise<readonly Row[]> => {
    const result = await attempt(() => bind(statement).all());
    count(meter, [result]);
    return result.results.map(statement.toRow);
  };
  return {
    all,
    first: async (statement) => (await all(statement))[0] ?? null,
    async batch<const Statements extends readonly Statement<unknown>[]>(statements: Statements) {
      const results = await attempt(() =>
        session.batch<Record<string, unknown>>(statements.map(bind)),
      );
      count(meter, results);
      return statements.map((statement, index) =>
        (results[index]?.results ?? []).map(statement.toRow),
      ) as unknown as Rows<Statements>;
    },
  };
}

async function attempt<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
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
