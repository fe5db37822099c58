import { RegistryError } from '../../model/errors.ts';
import type { ManifestInfo } from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import { Batch, type BatchSlot } from '../../storage/d1/batch.ts';
import {
  type ChangeableTag,
  changeableTagStatement,
  changeLocksOfManifestStatement,
  changeLockStatement,
  dropMarksOnChangedLocksStatement,
} from '../../storage/d1/tag-changes.ts';
import { raiseTagsGenerationIfWrittenStatement } from '../../storage/d1/tag-lifetimes.ts';
import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { retryWrite } from '../retry-write.ts';
import { sendAgain } from '../send-again.ts';
import type { RegistrySettings } from '../settings.ts';

const REPLACED = { ok: false, previous: null };

/** Locks and unlocks tags one by one. */
export function createTagLocks(deps: RegistryDeps): Pick<TagWrites, 'changeTagImmutability'> {
  const { database, clock, settings } = deps;
  return {
    async changeTagImmutability({ id: tagId }, immutable) {
      const nowMs = clock.nowMs();
      let seen: ChangeableTag | null = null;
      return retryWrite(async () => {
        const current = await database.primary.first(changeableTagStatement({ tagId, nowMs }));
        if (current === null) {
          return REPLACED;
        }
        seen ??= current;
        if (immutable && current.endMs !== null && !settings.immutableTagsCanExpire) {
          throw new RegistryError('TagHasExpiration', { tagName: current.tagName });
        }
        const change = changeLockStatement({
          tagId,
          nowMs,
          immutable: Number(immutable),
          seenImmutable: Number(seen.immutable),
          lockedMayEnd: Number(settings.immutableTagsCanExpire),
        });
        // The lock may be there already because an attempt whose answer was lost wrote it.
        const isThere =
          current.immutable === immutable || (await database.primary.first(change)) !== null;
        return isThere ? { ok: true, previous: seen.immutable } : REPLACED;
      });
    },
  };
}

/** Locks and unlocks all tags of a manifest. */
export interface ManifestLocks {
  /**
   * Locks or unlocks every alive visible tag of the manifest; locked ones lose their end unless
   * immutable tags may have one. Gives how many there are, those that were so already included.
   */
  setTagsImmutabilityForManifest(manifest: ManifestInfo, immutable: boolean): Promise<number>;
}

export function createManifestLocks(deps: RegistryDeps): ManifestLocks {
  const { database, clock, settings } = deps;
  return {
    async setTagsImmutabilityForManifest(manifest, immutable) {
      const nowMs = clock.nowMs();
      return sendAgain(async () => {
        const batch = new Batch();
        const changed = addLocksOfManifest(batch, manifest, { nowMs, immutable, settings });
        return (await batch.run(database.primary)).rowsOf(changed).length;
      });
    },
  };
}

/** Adds the statements that lock or unlock every alive visible tag of a manifest. */
export function addLocksOfManifest(
  batch: Batch,
  { id: manifestId, repositoryId }: ManifestInfo,
  {
    nowMs,
    immutable,
    settings,
  }: { nowMs: EpochMs; immutable: boolean; settings: RegistrySettings },
): BatchSlot<{ tagId: number }> {
  const rows = {
    manifestId,
    nowMs,
    immutable: Number(immutable),
    lockedMayEnd: Number(settings.immutableTagsCanExpire),
  };
  batch.add(dropMarksOnChangedLocksStatement(rows));
  const changed = batch.add(changeLocksOfManifestStatement(rows));
  batch.add(raiseTagsGenerationIfWrittenStatement({ repositoryId }));
  return changed;
}
