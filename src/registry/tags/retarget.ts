import type { Tag } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { isSignatureTagName } from '../../model/names.ts';
import {
  assertEpochsStatement,
  assertLabelFingerprintStatement,
  assertRepositoryLiveStatement,
  assertTagMutableStatement,
  type LabelFingerprint,
} from '../../storage/d1/assertions.ts';
import type { Batch, BatchResults, BatchSlot } from '../../storage/d1/batch.ts';
import { AssertionFailed } from '../../storage/d1/errors.ts';
import { lowerHintOnRetargetStatement } from '../../storage/d1/gc-hints.ts';
import type { WriteScope } from '../../storage/d1/policies.ts';
import {
  cascadeOnMoveStatement,
  freeSlotStatement,
  insertTagStatement,
  raiseTagsGenerationStatement,
} from '../../storage/d1/tag-lifetimes.ts';
import type { RegistryDeps } from '../deps.ts';
import { LostRace } from '../retry-write.ts';
import type { RegistrySettings } from '../settings.ts';
import type { GenerationTraits } from './lifetime.ts';

/** A tag's name, the manifest of the repository that it shall point to, and since when. */
export interface Retarget extends GenerationTraits {
  readonly repositoryId: number;
  readonly tagName: string;
  readonly digest: string;
  readonly nowMs: number;
  readonly reversion: boolean;
  /** The release that it is a part of, if any. */
  readonly releaseUuid?: string;
}

/** What the decision to retarget was read from; the batch asserts that it still holds. */
export interface RetargetGrounds {
  readonly repositoryId: number;
  readonly digest: string;
  readonly scope: WriteScope;
  readonly fingerprint: LabelFingerprint;
  /** JSON list of the digests of the manifest's children. */
  readonly childDigests: string;
}

/**
 * Adds what must hold for names to be pointed to one manifest; the statements that write come after
 * all assertions.
 */
export function addRetargetAssertions(
  batch: Batch,
  retargets: readonly Retarget[],
  { grounds, settings }: { grounds: RetargetGrounds; settings: RegistrySettings },
): void {
  const { scope, fingerprint, childDigests, repositoryId, digest } = grounds;
  batch.add(assertRepositoryLiveStatement({ repositoryId }));
  batch.add(
    assertLabelFingerprintStatement({ repositoryId, digest, childDigests, ...fingerprint }),
  );
  if (!settings.immutableTags) {
    return;
  }
  const { repositoryEpoch, namespaceEpoch } = scope;
  batch.add(assertEpochsStatement({ repositoryId, repositoryEpoch, namespaceEpoch }));
  for (const { tagName, nowMs } of retargets) {
    batch.add(assertTagMutableStatement({ repositoryId, tagName, nowMs }));
  }
}

/** Adds the statements that move a tag. What depends on the old row stands before it is ended. */
export function addRetarget(
  batch: Batch,
  retarget: Retarget,
  settings: RegistrySettings,
): BatchSlot<{ tagId: number }> {
  const { repositoryId, tagName, digest, nowMs } = retarget;
  if (settings.cosignCascade && !isSignatureTagName(tagName)) {
    batch.add(
      cascadeOnMoveStatement({
        repositoryId,
        tagName,
        digest,
        nowMs,
        enforceImmutability: Number(settings.immutableTags),
      }),
    );
  }
  const inserted = addGeneration(batch, retarget);
  batch.add(raiseTagsGenerationStatement({ repositoryId }));
  return inserted;
}

/** Adds the end of the generation that a name has, then the next: the slot is freed for it. */
export function addGeneration(batch: Batch, retarget: Retarget): BatchSlot<{ tagId: number }> {
  const { repositoryId, tagName, digest, nowMs, lifetimeMs } = retarget;
  batch.add(freeSlotStatement({ repositoryId, tagName, nowMs }));
  batch.add(lowerHintOnRetargetStatement({ repositoryId, nowMs, lifetimeMs }));
  return batch.add(
    insertTagStatement({
      repositoryId,
      tagName,
      digest,
      nowMs,
      lifetimeMs,
      reversion: Number(retarget.reversion),
      immutable: Number(retarget.immutable),
      releaseUuid: retarget.releaseUuid ?? null,
    }),
  );
}

/**
 * Runs a batch that retargets; an assertion that tells of a refusal, not of a lost race, is that
 * refusal. `newest` has the newest generations of the names when they were read.
 * Errors: TagImmutable, RetargetFailed.
 */
export async function runRetarget(
  batch: Batch,
  retargets: readonly Retarget[],
  { newest, deps }: { newest: ReadonlyMap<string, Tag>; deps: Pick<RegistryDeps, 'database'> },
): Promise<BatchResults> {
  try {
    return await batch.run(deps.database.primary);
  } catch (error) {
    if (!(error instanceof AssertionFailed)) {
      throw error;
    }
    switch (error.assertion) {
      case 'tag_immutable':
        throw tagImmutable(retargets, newest) ?? new LostRace(error);
      case 'repo_gone':
        throw new RegistryError('RetargetFailed', { reason: 'repository-gone' });
      case 'manifest_gone':
        throw new RegistryError('RetargetFailed', { reason: 'manifest-gone' });
      case 'blob_unknown':
      case 'child_gone':
      case 'retry':
        throw error;
    }
  }
}

/** The refusal that names the locked tag; null if none was locked yet when the names were read. */
function tagImmutable(
  retargets: readonly Retarget[],
  newest: ReadonlyMap<string, Tag>,
): RegistryError | null {
  const locked = retargets.find(({ tagName, nowMs }) => {
    const tag = newest.get(tagName);
    return tag?.immutable && (tag.lifetimeEndMs === null || tag.lifetimeEndMs > nowMs);
  });
  return locked === undefined
    ? null
    : new RegistryError('TagImmutable', {
        tagName: locked.tagName,
        operation: 'overwrite',
        repositoryId: locked.repositoryId,
      });
}
