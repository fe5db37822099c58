import type { Statement } from './statement.ts';

/** A statement that waits for others to travel with. */
export interface Rider<Row = unknown> {
  readonly statement: Statement<Row>;
  /** Settles once the statement is under way. */
  readonly boarded: Promise<void>;
  /** What came back; never, if it was left behind. */
  readonly rows: Promise<readonly Row[]>;
  /** Takes it along; `rows` fails as what it travels with fails. */
  board(rows: Promise<readonly Row[]>): void;
}

/** The riders of one request. */
export class Riders {
  readonly #waiting = new Set<Rider>();

  wait<Row>(statement: Statement<Row>): Rider<Row> {
    const boarding = Promise.withResolvers<void>();
    const arrival = Promise.withResolvers<readonly Row[]>();
    const rider: Rider<Row> = {
      statement,
      boarded: boarding.promise,
      rows: arrival.promise,
      board(rows) {
        boarding.resolve();
        arrival.resolve(rows);
      },
    };
    this.#waiting.add(rider);
    return rider;
  }

  /** Everyone who waits; nobody does any more. */
  takeAll(): readonly Rider[] {
    const riders = [...this.#waiting];
    this.#waiting.clear();
    return riders;
  }

  /** Whether it was still waiting; it does so no more. */
  remove<Row>(rider: Rider<Row>): boolean {
    return this.#waiting.delete(rider);
  }
}
