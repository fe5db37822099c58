import type { StatementRunner } from './database.ts';
import type { Statement } from './statement.ts';

declare const rowType: unique symbol;
/** Where the rows of one statement will be found once its batch ran. */
export interface BatchSlot<Row> {
  readonly index: number;
  readonly [rowType]?: Row;
}

export interface BatchResults {
  rowsOf<Row>(slot: BatchSlot<Row>): readonly Row[];
  firstOf<Row>(slot: BatchSlot<Row>): Row | null;
}

/** Statements for one transaction, where which ones it has is only known while it is composed. */
export class Batch {
  readonly #statements: Statement<unknown>[] = [];

  add<Row>(statement: Statement<Row>): BatchSlot<Row> {
    this.#statements.push(statement);
    return { index: this.#statements.length - 1 };
  }

  /** How many statements it has. */
  get size(): number {
    return this.#statements.length;
  }

  /** One round trip; all or nothing. */
  async run(runner: StatementRunner): Promise<BatchResults> {
    const results = await runner.batch(this.#statements);
    const rowsOf = <Row>({ index }: BatchSlot<Row>): readonly Row[] =>
      (results[index] ?? []) as readonly Row[];
    return { rowsOf, firstOf: (slot) => rowsOf(slot)[0] ?? null };
  }
}
