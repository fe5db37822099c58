/** What one request, or one job, asked of the stores so far. */
export interface Usage {
  d1RoundTrips: number;
  d1Statements: number;
  d1RowsRead: number;
  d1RowsWritten: number;
  /** R2 operations that change or list (billed as class A). */
  r2Writes: number;
  /** R2 operations that read (billed as class B). */
  r2Reads: number;
  /** R2 operations that delete or abort (not billed). */
  r2Deletes: number;
  kvReads: number;
  kvWrites: number;
}
