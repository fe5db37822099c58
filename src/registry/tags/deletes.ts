import type { Tag } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { isSignatureTagName, type TagName } from '../../model/names.ts';
import type { ManifestInfo } from '../../model/references.ts';
import {
  assertManifestTagsMutableStatement,
  assertRepositoryLiveStatement,
} from '../../storage/d1/assertions.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { type AssertionCode, AssertionFailed } from '../../storage/d1/errors.ts';
import { lowerEndHintStatement } from '../../storage/d1/gc-hints.ts';
import { manifestIsAvailableStatement } from '../../storage/d1/manifests.ts';
import { markManifestDeletedStatement } from '../../storage/d1/pull-holds.ts';
import {
  cascadeOnDeleteStatement,
  cascadeOnManifestDeleteStatement,
  endAliveTagStatement,
  endChildTagsOnDeleteStatement,
  endChildTagsOnManifestDeleteStatement,
  endTagsOfManifestStatement,
  raiseTagsGenerationIfWrittenStatement,
  raiseTagsGenerationOnManifestDeleteStatement,
} from '../../storage/d1/tag-lifetimes.ts';
import {
  generationEndedAtStatement,
  immutableTagOfManifestStatement,
  newestGenerationStatement,
  tagsEndedAtStatement,
} from '../../storage/d1/tags.ts';
import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { LostRace, retryWrite } from '../retry-write.ts';

type Built = Pick<TagWrites, 'deleteTag' | 'deleteTagsForManifest'>;

/** Ends tags. What depends on a row stands in the batch before the statement that ends it. */
export function createTagDeletes(deps: RegistryDeps): Built {
  const { clock } = deps;
  return {
    async deleteTag(repository, tagName) {
      const slot = { repositoryId: repository.id, tagName, nowMs: clock.nowMs() };
      return retryWrite(async ({ answerLost }) => {
        // An attempt whose answer was lost left the row with the end that it gave it. Whatever the
        // name has got since then is not ours to end.
        const earlier = answerLost
          ? await deps.database.primary.first(generationEndedAtStatement({ ...slot }))
          : null;
        if (earlier !== null) {
          return earlier;
        }
        const { ended, newest } = await deleteOnce(slot, deps);
        if (!ended && newest !== null && isLocked(newest, slot.nowMs)) {
          throw cannotDelete(tagName, slot.repositoryId);
        }
        return ended ? newest : null;
      });
    },

    async deleteTagsForManifest(manifest) {
      const nowMs = clock.nowMs();
      return retryWrite(({ answerLost }) => endTagsOnce(manifest, { nowMs, answerLost, deps }));
    },
  };
}

interface Slot {
  readonly repositoryId: number;
  readonly tagName: string;
  readonly nowMs: number;
}

async function deleteOnce(
  slot: Slot,
  { database, settings }: RegistryDeps,
): Promise<{ ended: boolean; newest: Tag | null }> {
  const { repositoryId } = slot;
  const enforceImmutability = Number(settings.immutableTags);
  const batch = new Batch();
  batch.add(assertRepositoryLiveStatement({ repositoryId }));
  if (settings.cosignCascade && !isSignatureTagName(slot.tagName)) {
    batch.add(cascadeOnDeleteStatement({ ...slot, enforceImmutability }));
  }
  if (settings.resetChildManifestExpiration) {
    batch.add(endChildTagsOnDeleteStatement({ ...slot, enforceImmutability }));
  }
  const ended = batch.add(endAliveTagStatement({ ...slot, enforceImmutability }));
  batch.add(raiseTagsGenerationIfWrittenStatement({ repositoryId }));
  batch.add(lowerEndHintStatement({ repositoryId, atMs: slot.nowMs }));
  const newest = batch.add(newestGenerationStatement({ ...slot }));
  try {
    const results = await batch.run(database.primary);
    return { ended: results.firstOf(ended) !== null, newest: results.firstOf(newest) };
  } catch (error) {
    if (isAssertion(error, 'repo_gone')) {
      return { ended: false, newest: null };
    }
    throw error;
  }
}

/** Whether a tag that was not ended is alive: then only its being immutable can have kept it. */
function isLocked({ lifetimeEndMs, immutable }: Tag, nowMs: number): boolean {
  return immutable && (lifetimeEndMs === null || lifetimeEndMs > nowMs);
}

type Ended = Awaited<ReturnType<TagWrites['deleteTagsForManifest']>>;

async function endTagsOnce(
  manifest: ManifestInfo,
  { nowMs, answerLost, deps }: { nowMs: number; answerLost: boolean; deps: RegistryDeps },
): Promise<Ended> {
  const { database, settings } = deps;
  const { repositoryId } = manifest;
  const rows = { manifestId: manifest.id, nowMs };
  const batch = new Batch();
  batch.add(assertRepositoryLiveStatement({ repositoryId }));
  if (settings.immutableTags) {
    batch.add(assertManifestTagsMutableStatement(rows));
  }
  if (settings.cosignCascade) {
    const enforceImmutability = Number(settings.immutableTags);
    batch.add(cascadeOnManifestDeleteStatement({ ...rows, repositoryId, enforceImmutability }));
  }
  if (settings.resetChildManifestExpiration) {
    batch.add(endChildTagsOnManifestDeleteStatement(rows));
  }
  batch.add(raiseTagsGenerationOnManifestDeleteStatement({ ...rows, repositoryId }));
  const ending = batch.add(endTagsOfManifestStatement(rows));
  batch.add(lowerEndHintStatement({ repositoryId, atMs: nowMs }));
  batch.add(markManifestDeletedStatement(rows));
  const ended = answerLost ? batch.add(tagsEndedAtStatement(rows)) : ending;
  const held = batch.add(manifestIsAvailableStatement(rows));
  try {
    const results = await batch.run(database.primary);
    const visible = results.rowsOf(ended).filter(({ hidden }) => hidden === 0);
    return {
      tags: visible
        .map(({ tagId, tagName }) => ({ id: tagId, name: tagName as TagName }))
        .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
      hiddenEnded: results.rowsOf(ended).length - visible.length,
      stillAvailable: results.firstOf(held) !== null,
    };
  } catch (error) {
    if (isAssertion(error, 'repo_gone')) {
      return { tags: [], hiddenEnded: 0, stillAvailable: false };
    }
    if (!isAssertion(error, 'tag_immutable')) {
      throw error;
    }
    const locked = await database.primary.first(immutableTagOfManifestStatement(rows));
    // Unlocked meanwhile: the next attempt will find nothing in its way.
    throw locked === null ? new LostRace(error) : cannotDelete(locked.tagName, repositoryId);
  }
}

function isAssertion(error: unknown, code: AssertionCode): boolean {
  return error instanceof AssertionFailed && error.assertion === code;
}

function cannotDelete(tagName: string, repositoryId: number): RegistryError {
  return new RegistryError('TagImmutable', { tagName, operation: 'delete', repositoryId });
}
