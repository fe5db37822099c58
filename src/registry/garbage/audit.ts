import {
  AUDIT_BLOBS_SAMPLED_PER_RUN,
  AUDIT_FINDINGS_NAMED_MAX,
  AUDIT_INTERVAL_MS,
  AUDIT_KEYS_PER_PAGE,
  AUDIT_ROWS_PER_PAGE,
  AUDIT_RUN_MS_MAX,
  AUDIT_STATEMENTS_PER_RUN_MAX,
  AUDITED_OBJECT_AGE_MS_MIN,
  AUDITED_ROW_AGE_MS_MIN,
  R2_CALLS_AT_ONCE_MAX,
  UNOWNED_OBJECT_GRACE_MS,
} from '../../model/limits.ts';
import {
  blobAuditStatements,
  hintAuditStatements,
  manifestAuditStatements,
  type RowAuditStatements,
} from '../../storage/d1/audit-rows.ts';
import {
  auditFindingsStatement,
  type AuditFinding,
  type AuditPass,
  auditPassesStatement,
  auditPassStatement,
  beginAuditStatement,
  buryUnownedObjectsStatement,
  countSampleStatement,
  countUnownedObjectsStatement,
  forgetAuditsStatement,
  nameDamagedBlobsStatement,
  nameUnownedObjectsStatement,
  type ObjectStage,
  passOwnedObjectsStatement,
  type RowStage,
  type SampledBlob,
  sampleBlobsStatement,
  unownedKeysStatement,
} from '../../storage/d1/audit.ts';
import type { Statement } from '../../storage/d1/statement.ts';
import type { ObjectPage } from '../../storage/r2/blob-store.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { GarbageBudget } from './budget.ts';
import { lockedMayGo } from './steps.ts';

/** What one run of the audit may use, and how much it takes at a time. */
export interface AuditLimits {
  /** Statements to D1. */
  readonly statements: number;
  readonly durationMs: number;
  /** Rows of a page, which is one transaction. */
  readonly rowsPerPage: number;
  /** Objects of a page, {@link AUDIT_KEYS_PER_PAGE} at most. */
  readonly keysPerPage: number;
  /** How many blobs are drawn at random and looked for in R2. */
  readonly sampledBlobs: number;
}

/** Looks for what garbage collection would never find. */
export interface GarbageAudit {
  /**
   * Goes on with the pass that is under way, or begins one if the last began a day ago; else does
   * nothing. Gives the pass as it stands then, or the last one.
   *
   * A pass reads every row and lists every object once. It looks for repositories whose hint is too
   * late, for manifests and blobs older than {@link AUDITED_ROW_AGE_MS_MIN} that are garbage and on
   * no list, and for objects older than {@link AUDITED_OBJECT_AGE_MS_MIN} that no row names. Each is
   * put where collection or the drain will find it and is counted, in the batch that proves it; the
   * objects are deleted {@link UNOWNED_OBJECT_GRACE_MS} later. Each
   * run also asks R2 for some blobs at random; those whose object is missing or of another size are
   * counted and named, and nothing is done about them. All counts are 0 unless something is wrong.
   *
   * May run twice at once and may die anywhere: the place of the pass moves with what was counted.
   *
   * A clean page costs one statement: of 500 rows, or 1000 objects. A registry of a million blobs,
   * 200,000 manifests, 10,000 repositories and 1,200,000 objects has 3620 pages, which are five runs
   * of {@link AUDIT_STATEMENTS_PER_RUN_MAX} statements: five hours if one runs every hour.
   */
  auditStores(limits?: Partial<AuditLimits>): Promise<AuditPass>;
}

/** A pass, and the names of some of what it found: {@link AUDIT_FINDINGS_NAMED_MAX} of each kind. */
export interface AuditResult extends AuditPass {
  readonly findings: readonly AuditFinding[];
}

/** Tells what the audit found. */
export interface AuditReads {
  /** The last pass that ended, and the one that is under way; null where there is none. */
  readAudit(): Promise<{ finished: AuditResult | null; running: AuditResult | null }>;
}

const DEFAULT_LIMITS: AuditLimits = {
  statements: AUDIT_STATEMENTS_PER_RUN_MAX,
  durationMs: AUDIT_RUN_MS_MAX,
  rowsPerPage: AUDIT_ROWS_PER_PAGE,
  keysPerPage: AUDIT_KEYS_PER_PAGE,
  sampledBlobs: AUDIT_BLOBS_SAMPLED_PER_RUN,
};

export function createGarbageAudit(deps: RegistryDeps): GarbageAudit {
  return {
    async auditStores(limits = {}) {
      const run = new AuditRun(deps, { ...DEFAULT_LIMITS, ...limits });
      const pass = await run.open();
      return pass.endedMs === null ? run.goOn(pass) : pass;
    },
  };
}

export function createAuditReads({ database }: RegistryDeps): AuditReads {
  return {
    async readAudit() {
      const [passes, findings] = await database.primary.batch([
        auditPassesStatement({ limit: 2 }),
        auditFindingsStatement({ auditId: 0 }),
      ]);
      const results = passes.map((pass) => ({
        ...pass,
        findings: findings
          .filter(({ auditId }) => auditId === pass.auditId)
          .map(({ kind, subject }) => ({ kind, subject })),
      }));
      return {
        finished: results.find(({ endedMs }) => endedMs !== null) ?? null,
        running: results.find(({ endedMs }) => endedMs === null) ?? null,
      };
    },
  };
}

const ROW_STAGES: Readonly<Record<RowStage, RowAuditStatements>> = {
  hints: hintAuditStatements,
  manifests: manifestAuditStatements,
  blobs: blobAuditStatements,
};

/** The tree of keys that each stage lists, and the stage after it. */
const OBJECT_STAGES: Readonly<Record<ObjectStage, { prefix: string; next: ObjectStage | null }>> = {
  'blob-objects': { prefix: 'blobs/', next: 'manifest-objects' },
  'manifest-objects': { prefix: 'manifests/', next: 'upload-objects' },
  'upload-objects': { prefix: 'uploads/', next: null },
};

const isRowStage = (stage: RowStage | ObjectStage): stage is RowStage => stage in ROW_STAGES;

/** What is done with a page on which something was found, the pass read again included. */
const STATEMENTS_OF_FINDINGS = 4;

/** One run of the audit. What gives null did nothing, for the limits are reached. */
class AuditRun {
  readonly #deps: RegistryDeps;
  readonly #limits: AuditLimits;
  readonly #budget: GarbageBudget;

  constructor(deps: RegistryDeps, limits: AuditLimits) {
    this.#deps = deps;
    this.#limits = limits;
    this.#budget = new GarbageBudget({ ...limits, repositories: 0 }, deps.clock);
  }

  /** The pass that is under way, which begins here if it is time; else the last. */
  async open(): Promise<AuditPass> {
    const { database, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const [, , passes] = await sendAgain(() =>
      database.primary.batch([
        beginAuditStatement({ nowMs, beganBeforeMs: nowMs - AUDIT_INTERVAL_MS }),
        forgetAuditsStatement({}),
        auditPassesStatement({ limit: 1 }),
      ]),
    );
    return required(passes);
  }

  /** Looks at some blobs, then goes on page by page. */
  async goOn(opened: AuditPass): Promise<AuditPass> {
    let pass = await this.#sample(opened);
    while (pass.endedMs === null) {
      const next = await this.#auditPage(pass);
      if (next === null) {
        break;
      }
      pass = next;
    }
    return pass;
  }

  #auditPage(pass: AuditPass): Promise<AuditPass | null> {
    const { stage } = pass.position;
    return isRowStage(stage)
      ? this.#auditRows(pass, ROW_STAGES[stage])
      : this.#auditObjects(pass, stage);
  }

  /** Looks for some blobs in R2. One that is asked for in vain is looked up again as it is counted. */
  async #sample(pass: AuditPass): Promise<AuditPass> {
    const { database } = this.#deps;
    const { auditId } = pass;
    const limit = this.#limits.sampledBlobs;
    const sampled = limit === 0 ? [] : await database.primary.all(sampleBlobsStatement({ limit }));
    if (sampled.length === 0) {
      return pass;
    }
    const damaged = JSON.stringify(await this.#findDamaged(sampled));
    const [counted] = await database.primary.batch([
      countSampleStatement({ auditId, damaged, sampled: sampled.length }),
      nameDamagedBlobsStatement({ auditId, damaged, namedMax: AUDIT_FINDINGS_NAMED_MAX }),
    ]);
    return required(counted);
  }

  async #findDamaged(sampled: readonly SampledBlob[]): Promise<readonly SampledBlob[]> {
    const damaged: SampledBlob[] = [];
    for (let at = 0; at < sampled.length; at += R2_CALLS_AT_ONCE_MAX) {
      const asked = sampled.slice(at, at + R2_CALLS_AT_ONCE_MAX);
      const sizes = await Promise.all(
        asked.map(({ objectKey }) => this.#deps.blobStore.size(objectKey)),
      );
      damaged.push(...asked.filter(({ sizeBytes }, index) => sizes[index] !== sizeBytes));
    }
    return damaged;
  }

  async #auditRows(pass: AuditPass, statements: RowAuditStatements): Promise<AuditPass | null> {
    const { clock, settings } = this.#deps;
    const step = {
      auditId: pass.auditId,
      afterId: pass.position.afterId,
      limit: this.#limits.rowsPerPage,
      createdBeforeMs: clock.nowMs() - AUDITED_ROW_AGE_MS_MIN,
      lockedMayGo: lockedMayGo(settings),
    };
    return this.#passOr(pass, statements.passClean(step), () => [
      statements.nameFound({ ...step, namedMax: AUDIT_FINDINGS_NAMED_MAX }),
      statements.listFound(step),
      statements.countFound(step),
    ]);
  }

  async #auditObjects(pass: AuditPass, stage: ObjectStage): Promise<AuditPass | null> {
    if (!this.#budget.takeStatements(1)) {
      return null;
    }
    const page = await this.#list(pass, stage);
    const passed = await this.#first(
      passOwnedObjectsStatement(this.#stepBehind(page, { pass, stage })),
    );
    return passed ?? this.#buryUnowned(page, { pass, stage });
  }

  /**
   * A tombstone that named an object when it was listed may have been drained since. So what no row
   * names is listed once more: an object that is there after it was known that no row named it has
   * no owner, since a row goes only after its object.
   */
  async #buryUnowned(
    listed: ObjectPage,
    place: { readonly pass: AuditPass; readonly stage: ObjectStage },
  ): Promise<AuditPass | null> {
    if (!this.#budget.takeStatements(1 + STATEMENTS_OF_FINDINGS)) {
      return null;
    }
    const { database, clock } = this.#deps;
    const { keys } = this.#stepBehind(listed, place);
    const unowned = await database.primary.all(unownedKeysStatement({ keys }));
    const suspects = new Set(unowned.map(({ key }) => key));
    const again = await this.#list(place.pass, place.stage);
    const there = again.objects.filter(({ key }) => suspects.has(key));
    const page = earlierEnd(listed, again);
    const step = {
      ...this.#stepBehind(page, place),
      keys: JSON.stringify(there.map(({ key }) => key)),
    };
    const nowMs = clock.nowMs();
    return this.#send(place.pass, [
      nameUnownedObjectsStatement({ ...step, namedMax: AUDIT_FINDINGS_NAMED_MAX }),
      buryUnownedObjectsStatement({ ...step, nowMs, dueMs: nowMs + UNOWNED_OBJECT_GRACE_MS }),
      countUnownedObjectsStatement(step),
    ]);
  }

  #list({ position }: AuditPass, stage: ObjectStage): Promise<ObjectPage> {
    return this.#deps.blobStore.page(OBJECT_STAGES[stage].prefix, {
      afterKey: position.afterKey,
      limit: this.#limits.keysPerPage,
    });
  }

  /** What a statement is told that goes on behind a page of objects. */
  #stepBehind(
    { objects, hasMore }: ObjectPage,
    { pass, stage }: { readonly pass: AuditPass; readonly stage: ObjectStage },
  ) {
    const nowMs = this.#deps.clock.nowMs();
    const uploadedBeforeMs = nowMs - AUDITED_OBJECT_AGE_MS_MIN;
    const last = objects.at(-1);
    const isStageOver = !hasMore || last === undefined;
    const { next } = OBJECT_STAGES[stage];
    const old = objects.filter(({ uploadedMs }) => uploadedMs <= uploadedBeforeMs);
    return {
      auditId: pass.auditId,
      stage,
      afterKey: pass.position.afterKey,
      keys: JSON.stringify(old.map(({ key }) => key)),
      checked: objects.length,
      nextStage: isStageOver ? (next ?? stage) : stage,
      nextAfterKey: isStageOver ? '' : last.key,
      endedMs: isStageOver && next === null ? nowMs : null,
    };
  }

  /** The pass behind a clean page by one statement, else by the batch that counts what is found. */
  async #passOr(
    pass: AuditPass,
    clean: Statement<AuditPass>,
    found: () => readonly Statement<unknown>[],
  ): Promise<AuditPass | null> {
    if (!this.#budget.takeStatements(1)) {
      return null;
    }
    const passed = await this.#first(clean);
    if (passed !== null || !this.#budget.takeStatements(STATEMENTS_OF_FINDINGS)) {
      return passed;
    }
    return this.#send(pass, found());
  }

  /** If its answer was lost, or another run is ahead, it does nothing the second time. */
  #first(statement: Statement<AuditPass>): Promise<AuditPass | null> {
    return sendAgain(() => this.#deps.database.primary.first(statement));
  }

  /** Sends a batch that moves the pass on, unless it was moved already, and gives it as it is then. */
  async #send(
    { auditId }: AuditPass,
    statements: readonly Statement<unknown>[],
  ): Promise<AuditPass> {
    const rows = await sendAgain(() =>
      this.#deps.database.primary.batch([...statements, auditPassStatement({ auditId })]),
    );
    return required(rows.at(-1) as readonly AuditPass[]);
  }
}

/** Of two lists from the same place, the one that does not reach as far. */
function earlierEnd(one: ObjectPage, other: ObjectPage): ObjectPage {
  const [oneEnd, otherEnd] = [one, other].map(({ objects, hasMore }) =>
    hasMore ? objects.at(-1)?.key : undefined,
  );
  return otherEnd !== undefined && (oneEnd === undefined || otherEnd < oneEnd) ? other : one;
}

function required(passes: readonly AuditPass[]): AuditPass {
  const [pass] = passes;
  if (pass === undefined) {
    throw new Error('the pass of the audit is gone');
  }
  return pass;
}
