import type { Usage } from '../model/usage.ts';

/** Counts what the stores are asked; every store that is opened for a request shares one. */
export class Meter {
  readonly usage: Usage = {
    d1RoundTrips: 0,
    d1Statements: 0,
    d1RowsRead: 0,
    d1RowsWritten: 0,
    r2Writes: 0,
    r2Reads: 0,
    r2Deletes: 0,
    kvReads: 0,
    kvWrites: 0,
  };

  add(what: keyof Usage, count = 1): void {
    this.usage[what] += count;
  }
}
