import { IMPORT_CLAIM_MS } from '../../model/import-limits.ts';
import type { RepositoryName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { type ImportItem, moveImportItemStatement } from '../../storage/d1/import-items.ts';
import { keepImportStatement, type TakenImport } from '../../storage/d1/imports.ts';
import type { Statement } from '../../storage/d1/statement.ts';
import type { RegistryDeps } from '../deps.ts';
import type { GarbageBudget } from '../garbage/budget.ts';
import { sendAgain } from '../send-again.ts';
import { ImportLost } from './failures.ts';
import type { SourceClient } from './source-client.ts';

/** What is left of the bytes that a run may receive. */
export interface ByteBudget {
  bytesLeft: number;
}

/** Whether a run brought its import on, so that earlier failures do not count any more. */
export interface Progress {
  isMade: boolean;
}

/** An import that a run holds, and what its steps work with. */
export interface ImportJob {
  readonly taken: TakenImport;
  readonly claimToken: string;
  readonly name: RepositoryName;
  readonly repository: RepositoryRef;
  readonly client: SourceClient;
  /** Until when what is brought is held, in seconds from now. */
  readonly holdSec: () => number;
  readonly budget: GarbageBudget;
  readonly bytes: ByteBudget;
  readonly progress: Progress;
  readonly deps: RegistryDeps;
}

/** The parameters that name an import under its claim. */
export function heldBy({ taken, claimToken }: ImportJob) {
  return { importId: taken.importId, claimToken };
}

/**
 * Writes down what a step did, and keeps the import for the next. May be sent again: what it writes
 * is the same. Throws `ImportLost` once the import is another run's, or was cancelled.
 */
export async function checkpoint(
  job: ImportJob,
  changes: readonly Statement<unknown>[] = [],
  { isProgress = true } = {},
): Promise<void> {
  const { database, clock } = job.deps;
  const [kept] = await sendAgain(() =>
    database.primary.batch([
      keepImportStatement({
        ...heldBy(job),
        claimUntilMs: clock.nowMs() + IMPORT_CLAIM_MS,
        isProgress: Number(isProgress),
      }),
      ...changes,
    ]),
  );
  if (kept.length === 0) {
    throw new ImportLost();
  }
  job.progress.isMade ||= isProgress;
}

/** Notes that an item is here. */
export function finishItem(job: ImportJob, { itemId }: ImportItem): Promise<void> {
  return checkpoint(job, [moveImportItemStatement({ ...heldBy(job), itemId, state: 'done' })]);
}
