import { isRegistryError } from '../../model/errors.ts';
import {
  IMPORT_ATTEMPTS_MAX,
  IMPORT_BACK_OFF_MS,
  IMPORT_BACK_OFF_MS_MAX,
  IMPORT_BYTES_PER_RUN_MAX,
  IMPORT_CLAIM_MS,
  IMPORT_LIFETIME_MS_MAX,
  IMPORT_RUN_MS_MAX,
  IMPORT_STATEMENTS_PER_RUN_MAX,
} from '../../model/import-limits.ts';
import { parseImportReference } from '../../model/import-source.ts';
import { type ImportItem, nextImportItemStatement } from '../../storage/d1/import-items.ts';
import {
  endImportStatement,
  importTargetStatement,
  putImportOffStatement,
  takeDueImportStatement,
  takeImportStatement,
  type TakenImport,
} from '../../storage/d1/imports.ts';
import { repositoryByNameStatement } from '../../storage/d1/repositories.ts';
import type { RegistryDeps } from '../deps.ts';
import { GarbageBudget } from '../garbage/budget.ts';
import { sendAgain } from '../send-again.ts';
import { copyBlob } from './copy-blob.ts';
import { readManifest, resolveTag, storeManifest } from './copy-manifest.ts';
import { openCredentials } from './credentials.ts';
import { ImportLost, SourceRefused, SourceUnavailable } from './failures.ts';
import type { ImportJob } from './job.ts';
import { SourceClient } from './source-client.ts';

/** What one run may use. */
export interface ImportLimits {
  readonly statements: number;
  readonly durationMs: number;
  readonly bytes: number;
}

/** What a run did. */
export interface ImportReport {
  readonly taken: number;
  readonly ended: number;
  readonly bytes: number;
  /** False if the limits were reached before all that was due was done. */
  readonly isFinished: boolean;
}

/** Brings imports on. */
export interface ImportRuns {
  /**
   * Goes on with the imports that have been due for the longest, until the limits are reached. May
   * run twice at once and may die anywhere: an import is held by one run, and the next goes on with
   * it where its last step ended, a chunk of a blob being one. A source that fails is asked again
   * ever more rarely, {@link IMPORT_ATTEMPTS_MAX} times without a step forward.
   */
  continueImports(limits?: Partial<ImportLimits>): Promise<ImportReport>;
}

const DEFAULT_LIMITS: ImportLimits = {
  statements: IMPORT_STATEMENTS_PER_RUN_MAX,
  durationMs: IMPORT_RUN_MS_MAX,
  bytes: IMPORT_BYTES_PER_RUN_MAX,
};

export function createImportRuns(deps: RegistryDeps): ImportRuns {
  return {
    async continueImports(limits = {}) {
      const run = new ImportRun(deps, { ...DEFAULT_LIMITS, ...limits });
      return run.report(await run.continueDue());
    },
  };
}

/** Goes on with one import, if it is due; as {@link ImportRuns} does. */
export async function continueImport(
  importUuid: string,
  limits: Partial<ImportLimits>,
  deps: RegistryDeps,
): Promise<void> {
  await new ImportRun(deps, { ...DEFAULT_LIMITS, ...limits }).continueOne(importUuid);
}

/** How taking an import on ended: it ended itself, waits for later, or the run's limits are reached. */
type Outcome = 'ended' | 'waits' | 'stopped';

/** What the refusals are that a later attempt may not meet. */
const PASSING = new Set(['UploadConflict', 'UploadRange', 'Conflict', 'BodyLength']);

class ImportRun {
  readonly #deps: RegistryDeps;
  readonly #budget: GarbageBudget;
  readonly #bytes: { bytesLeft: number };
  readonly #bytesMax: number;
  #taken = 0;
  #ended = 0;

  constructor(deps: RegistryDeps, { statements, durationMs, bytes }: ImportLimits) {
    this.#deps = deps;
    // An import counts as no repository of the collector's.
    this.#budget = new GarbageBudget({ statements, durationMs, repositories: 0 }, deps.clock);
    this.#bytes = { bytesLeft: bytes };
    this.#bytesMax = bytes;
  }

  report(isFinished: boolean): ImportReport {
    const bytes = this.#bytesMax - this.#bytes.bytesLeft;
    return { taken: this.#taken, ended: this.#ended, bytes, isFinished };
  }

  /** False if the limits were reached. */
  async continueDue(): Promise<boolean> {
    while (this.#budget.takeStatements(1)) {
      const claim = this.#newClaim();
      const taken = await this.#deps.database.primary.first(takeDueImportStatement(claim));
      if (taken === null) {
        return true;
      }
      if ((await this.#bringOn(taken, claim.claimToken)) === 'stopped') {
        return false;
      }
    }
    return false;
  }

  async continueOne(importUuid: string): Promise<void> {
    const claim = this.#newClaim();
    const take = takeImportStatement({ ...claim, importUuid });
    const taken = await this.#deps.database.primary.first(take);
    if (taken !== null) {
      await this.#bringOn(taken, claim.claimToken);
    }
  }

  #newClaim() {
    const nowMs = this.#deps.clock.nowMs();
    return { claimToken: this.#deps.ids.uuid(), claimUntilMs: nowMs + IMPORT_CLAIM_MS, nowMs };
  }

  /** Takes steps until the import ends or the limits are reached; then leaves it. */
  async #bringOn(taken: TakenImport, claimToken: string): Promise<Outcome> {
    this.#taken += 1;
    const held = { importId: taken.importId, claimToken };
    const progress = { isMade: false };
    try {
      const job = await this.#open(taken, { claimToken, progress });
      if (await takeSteps(job)) {
        await this.#end(held, 'done', null);
        return 'ended';
      }
      await this.#putOff(held, { dueMs: this.#deps.clock.nowMs(), attempts: 0, error: null });
      return 'stopped';
    } catch (error) {
      return this.#fail(error, { ...held, attempts: progress.isMade ? 0 : taken.attempts });
    }
  }

  async #open(
    taken: TakenImport,
    { claimToken, progress }: Pick<ImportJob, 'claimToken' | 'progress'>,
  ): Promise<ImportJob> {
    const deps = this.#deps;
    const { clock, settings, database } = deps;
    const deadlineMs = taken.createdMs + IMPORT_LIFETIME_MS_MAX;
    if (clock.nowMs() >= deadlineMs) {
      throw new SourceRefused('the import did not end in two days');
    }
    const { importId } = taken;
    const target = await database.primary.first(importTargetStatement({ importId }));
    const name = target && { namespace: target.namespaceName, repository: target.repositoryName };
    const repository =
      name && (await database.primary.first(repositoryByNameStatement({ ...name })));
    if (name === null || repository === null || repository.id !== target?.repositoryId) {
      throw new SourceRefused('the repository takes no pushes');
    }
    // Asked again each time: the setting may have been taken back.
    const rules = { allowPrivate: settings.importPrivateAddresses };
    const parsed = parseImportReference(taken.source, rules);
    if ('problem' in parsed) {
      throw new SourceRefused(parsed.problem);
    }
    const credentials = await this.#credentialsOf(taken);
    return {
      taken,
      claimToken,
      name,
      repository,
      client: new SourceClient(parsed.reference, credentials, { rules, fetch: deps.fetch }),
      holdSec: () => Math.max(1, Math.ceil((deadlineMs - clock.nowMs()) / 1000)),
      budget: this.#budget,
      bytes: this.#bytes,
      progress,
      deps,
    };
  }

  async #credentialsOf({ credentials, uuid }: TakenImport) {
    if (credentials === null) {
      return null;
    }
    const opened = await openCredentials(credentials, uuid, this.#deps.legacyImageKey());
    if (opened === null) {
      throw new SourceRefused('LEGACY_IMAGE_KEY was changed: the credentials cannot be read');
    }
    return opened;
  }

  /** Leaves an import that a step failed in: to a later run, or for good. */
  async #fail(
    error: unknown,
    { attempts: before, ...held }: { importId: number; claimToken: string; attempts: number },
  ): Promise<Outcome> {
    if (error instanceof ImportLost) {
      return 'ended';
    }
    const passes = isRegistryError(error) && PASSING.has(error.code);
    if (error instanceof SourceRefused || (isRegistryError(error) && !passes)) {
      await this.#end(held, 'failed', error.message);
      return 'ended';
    }
    const isKnown = passes || error instanceof SourceUnavailable;
    if (!isKnown) {
      this.#deps.report(error);
    }
    const message = isKnown ? error.message : 'something went wrong here; the log has more';
    const attempts = before + 1;
    if (attempts >= IMPORT_ATTEMPTS_MAX) {
      await this.#end(held, 'failed', `${message} (${attempts} attempts)`);
      return 'ended';
    }
    const waitMs = Math.min(IMPORT_BACK_OFF_MS * 2 ** before, IMPORT_BACK_OFF_MS_MAX);
    const dueMs = this.#deps.clock.nowMs() + waitMs;
    await this.#putOff(held, { dueMs, attempts, error: message });
    return 'waits';
  }

  async #end(
    held: { importId: number; claimToken: string },
    state: 'done' | 'failed',
    error: string | null,
  ): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    await sendAgain(() =>
      this.#deps.database.primary.all(endImportStatement({ ...held, state, error, nowMs })),
    );
    this.#ended += 1;
  }

  async #putOff(
    held: { importId: number; claimToken: string },
    until: { dueMs: number; attempts: number; error: string | null },
  ): Promise<void> {
    await sendAgain(() =>
      this.#deps.database.primary.all(putImportOffStatement({ ...held, ...until })),
    );
  }
}

/** True once nothing is left to be brought; false if the run's limits were reached before. */
async function takeSteps(job: ImportJob): Promise<boolean> {
  for (;;) {
    const resolved = await resolveTag(job);
    if (resolved === null) {
      return false;
    }
    if (!resolved) {
      break;
    }
  }
  const { importId } = job.taken;
  while (job.budget.takeStatements(1)) {
    const next = await job.deps.database.primary.first(nextImportItemStatement({ importId }));
    if (next === null) {
      return true;
    }
    if (!(await takeStep(job, next))) {
      return false;
    }
  }
  return false;
}

function takeStep(job: ImportJob, item: ImportItem): Promise<boolean> {
  if (item.kind === 'blob') {
    return copyBlob(job, item);
  }
  return item.state === 'found' ? readManifest(job, item) : storeManifest(job, item);
}
