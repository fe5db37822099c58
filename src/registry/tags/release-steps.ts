import type { Performer } from '../../model/audit-log.ts';
import type { Digest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import {
  isSignatureTagName,
  type NamespaceName,
  type RepositoryPath,
  type TagName,
} from '../../model/names.ts';
import type { Release, ReleasedTag, ReleaseRefusal } from '../../model/releases.ts';
import type { EpochMs } from '../../model/time.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { lowerEndHintStatement } from '../../storage/d1/gc-hints.ts';
import { type PolicyInScope, policiesOfRepositoriesStatement } from '../../storage/d1/policies.ts';
import {
  assertMovesStatement,
  assertReleaseStandsStatement,
  cascadeOnReleaseStatement,
  type FoundMove,
  insertReleaseStatement,
  type ListedMove,
  markReleaseUndoneStatement,
  movedChildrenStatement,
  type MovedChildLabels,
  movesStatement,
  releaseStatement,
} from '../../storage/d1/releases.ts';
import {
  endAliveTagStatement,
  endChildTagsOnDeleteStatement,
  raiseTagsGenerationsStatement,
} from '../../storage/d1/tag-lifetimes.ts';
import type { RegistryDeps } from '../deps.ts';
import { retryWrite } from '../retry-write.ts';
import type { RegistrySettings } from '../settings.ts';
import { generationTraits } from './lifetime.ts';
import { addGeneration } from './retarget.ts';

/** One tag of a release, before it is decided whether it can be moved. */
export interface ReleaseStep {
  readonly repositoryId: number;
  readonly repositoryName: RepositoryPath;
  readonly tagName: TagName;
  /** What the tag shall point to; null: it shall end. */
  readonly digest: Digest | null;
  /** Whether the tag is where it must be for that. */
  readonly isExpected: (found: FoundMove) => boolean;
}

/** A release that is to be made. */
export interface ReleasePlan {
  readonly uuid: string;
  readonly namespaceId: number;
  readonly namespaceName: NamespaceName;
  readonly performer: Performer;
  /** The release that it puts back; null: none. */
  readonly undoes: string | null;
  readonly steps: readonly ReleaseStep[];
  readonly nowMs: EpochMs;
}

/**
 * Takes all steps of a plan or none: reads and writes in one round trip each, and begins again where
 * what was read changed. An attempt whose answer was lost is known by its release.
 *
 * Errors: as `createRelease` and `undoRelease` have them.
 */
export function carryOut(plan: ReleasePlan, deps: RegistryDeps): Promise<Release> {
  return retryWrite(async () => {
    const context = await readContext(plan, deps);
    if (context.made !== null) {
      return context.made;
    }
    requireStanding(plan, context);
    const taken = plan.steps.map((step, index) => {
      const found = context.found.get(index);
      if (found === undefined) {
        throw new Error(`move ${index} was not read`);
      }
      refuseStep({ step, index, found }, plan, deps.settings);
      return { step, found, index };
    });
    const moves = taken.map(toReleasedTag);
    await compose({ taken, moves }, { plan, context, settings: deps.settings }).run(
      deps.database.primary,
    );
    return toRelease(plan, moves);
  });
}

/** What the steps of a plan are decided by. */
interface ReleaseContext {
  /** The release itself, if an attempt whose answer was lost has made it. */
  readonly made: Release | null;
  /** The release that shall be undone; null: there is none, or it was forgotten. */
  readonly undone: Release | null;
  readonly found: ReadonlyMap<number, FoundMove>;
  readonly children: ReadonlyMap<number, readonly MovedChildLabels[]>;
  readonly policies: readonly PolicyInScope[];
}

async function readContext(
  { uuid, undoes, namespaceId, steps, nowMs }: ReleasePlan,
  { database }: RegistryDeps,
): Promise<ReleaseContext> {
  const moves = JSON.stringify(steps.map(toListed));
  const batch = new Batch();
  const made = batch.add(releaseStatement({ uuid, namespaceId }));
  const undone =
    undoes === null ? null : batch.add(releaseStatement({ uuid: undoes, namespaceId }));
  const found = batch.add(movesStatement({ moves, nowMs }));
  const children = batch.add(movedChildrenStatement({ moves }));
  const repositoryIds = JSON.stringify(repositoriesOf(steps));
  const policies = batch.add(policiesOfRepositoriesStatement({ repositoryIds, namespaceId }));
  const results = await batch.run(database.primary);
  return {
    made: results.firstOf(made),
    undone: undone === null ? null : results.firstOf(undone),
    found: new Map(results.rowsOf(found).map((each) => [each.index, each])),
    children: Map.groupBy(results.rowsOf(children), ({ moveIndex }) => moveIndex),
    policies: results.rowsOf(policies),
  };
}

function toListed({ repositoryId, tagName, digest }: ReleaseStep): ListedMove {
  return { repositoryId, tagName, digest };
}

function repositoriesOf(steps: readonly ReleaseStep[]): readonly number[] {
  return [...new Set(steps.map(({ repositoryId }) => repositoryId))];
}

/** Refuses to undo what was forgotten, or undone. */
function requireStanding({ undoes: uuid }: ReleasePlan, { undone }: ReleaseContext): void {
  if (uuid === null) {
    return;
  }
  if (undone === null) {
    throw new RegistryError('ReleaseNotFound', { uuid });
  }
  if (undone.undoneBy !== null) {
    throw new RegistryError('ReleaseUndone', { uuid, undoneBy: undone.undoneBy });
  }
}

/** A step that can be taken, and what was read of it. */
interface TakenStep {
  readonly step: ReleaseStep;
  readonly found: FoundMove;
  readonly index: number;
}

function refuseStep(
  { step, found, index }: TakenStep,
  { namespaceName, undoes }: ReleasePlan,
  settings: RegistrySettings,
): void {
  // What is put back may be held by the time machine alone.
  const mayBeTagged = undoes === null ? found.isAvailable : found.isStored;
  const alive = found.newest?.isAlive === true ? found.newest : null;
  let reason: ReleaseRefusal | null = null;
  if (!found.isRepositoryLive) {
    reason = 'repository_gone';
  } else if (!step.isExpected(found)) {
    reason = 'tag_moved';
  } else if (settings.immutableTags && alive?.isImmutable === true) {
    reason = 'tag_immutable';
  } else if (step.digest !== null && !mayBeTagged) {
    reason = 'manifest_unknown';
  }
  if (reason !== null) {
    throw new RegistryError('ReleaseRefused', {
      index,
      repository: `${namespaceName}/${step.repositoryName}`,
      tagName: step.tagName,
      reason,
      currentDigest: alive?.digest ?? null,
    });
  }
}

function toReleasedTag({ step, found: { newest } }: TakenStep): ReleasedTag {
  const { repositoryId, repositoryName, tagName, digest } = step;
  return {
    repositoryId,
    repositoryName,
    tagName,
    beforeDigest: newest?.isAlive === true ? newest.digest : null,
    beforeTagId: newest?.tagId ?? null,
    digest,
  };
}

function toRelease(plan: ReleasePlan, moves: readonly ReleasedTag[]): Release {
  const { uuid, namespaceId, namespaceName, performer, undoes, nowMs: releasedMs } = plan;
  return { uuid, namespaceId, namespaceName, releasedMs, performer, undoes, undoneBy: null, moves };
}

interface Grounds {
  readonly plan: ReleasePlan;
  readonly context: ReleaseContext;
  readonly settings: RegistrySettings;
}

/**
 * All that a release writes. What it asserts is that the world is as it was read: an attempt that this
 * refuses reads again, and finds which move it was.
 */
function compose(
  { taken, moves }: { taken: readonly TakenStep[]; moves: readonly ReleasedTag[] },
  grounds: Grounds,
): Batch {
  const { plan, settings } = grounds;
  const { uuid, undoes, namespaceId, performer, nowMs } = plan;
  const batch = new Batch();
  const listed = taken.map(({ step, found }) => ({ ...toListed(step), grounds: found.grounds }));
  batch.add(assertMovesStatement({ moves: JSON.stringify(listed) }));
  if (undoes !== null) {
    batch.add(assertReleaseStandsStatement({ uuid: undoes }));
    batch.add(markReleaseUndoneStatement({ uuid: undoes, undoneByUuid: uuid }));
  }
  batch.add(
    insertReleaseStatement({
      uuid,
      namespaceId,
      nowMs,
      performerKind: performer.kind,
      performerName: performer.name,
      undoesUuid: undoes,
      moves: JSON.stringify(moves),
    }),
  );
  for (const each of taken) {
    addStep(batch, each, grounds);
  }
  if (settings.cosignCascade) {
    const manifestIds = JSON.stringify(manifestsLeft(taken));
    const enforceImmutability = Number(settings.immutableTags);
    batch.add(
      cascadeOnReleaseStatement({ manifestIds, releaseUuid: uuid, nowMs, enforceImmutability }),
    );
  }
  const repositoryIds = JSON.stringify(repositoriesOf(plan.steps));
  batch.add(raiseTagsGenerationsStatement({ repositoryIds }));
  return batch;
}

/** Points one tag to its manifest, or ends it. */
function addStep(
  batch: Batch,
  { step, found, index }: TakenStep,
  { plan: { uuid: releaseUuid, undoes, nowMs }, context, settings }: Grounds,
): void {
  const { repositoryId, tagName, digest } = step;
  if (digest === null) {
    const slot = { repositoryId, tagName, nowMs };
    const enforceImmutability = Number(settings.immutableTags);
    if (settings.resetChildManifestExpiration) {
      batch.add(endChildTagsOnDeleteStatement({ ...slot, enforceImmutability }));
    }
    batch.add(endAliveTagStatement({ ...slot, enforceImmutability }));
    batch.add(lowerEndHintStatement({ repositoryId, atMs: nowMs }));
    return;
  }
  const children = context.children.get(index) ?? [];
  const policies = context.policies.filter(
    (policy) => policy.repositoryId === null || policy.repositoryId === repositoryId,
  );
  const source = { tagName, nowMs, own: found.ownLabels, children, policies };
  const traits = generationTraits(source, settings);
  const reversion = undoes !== null;
  addGeneration(batch, { repositoryId, tagName, digest, nowMs, reversion, releaseUuid, ...traits });
}

/** The manifests that an ordinary tag leaves. */
function manifestsLeft(taken: readonly TakenStep[]): readonly number[] {
  const left = taken.flatMap(({ step: { tagName, digest }, found: { newest } }) =>
    newest?.isAlive === true && newest.digest !== digest && !isSignatureTagName(tagName)
      ? [newest.manifestId]
      : [],
  );
  return [...new Set(left)];
}
