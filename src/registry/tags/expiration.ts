import { RegistryError } from '../../model/errors.ts';
import { TAG_LIFETIME_SEC_MAX, TAG_LIFETIME_SEC_MIN } from '../../model/limits.ts';
import type { ManifestInfo } from '../../model/references.ts';
import { addSeconds, type EpochMs, epochMs, toEpochSeconds } from '../../model/time.ts';
import { Batch, type BatchSlot } from '../../storage/d1/batch.ts';
import {
  lowerEndHintStatement,
  lowerHintToEndsOfManifestStatement,
} from '../../storage/d1/gc-hints.ts';
import {
  type ChangeableTag,
  changeableTagStatement,
  changeEndsOfManifestStatement,
  changeEndStatement,
  dropMarksOnChangedEndsStatement,
  dropMarksOnChangedEndStatement,
  tagsLivingForStatement,
} from '../../storage/d1/tag-changes.ts';
import { raiseTagsGenerationIfWrittenStatement } from '../../storage/d1/tag-lifetimes.ts';
import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { retryWrite } from '../retry-write.ts';
import type { RegistrySettings } from '../settings.ts';

type Expirations = Pick<
  TagWrites,
  'changeRepositoryTagExpiration' | 'setTagsExpirationForManifest'
>;

const REPLACED = { ok: false, changed: false, endMs: null, previousEndMs: null };

/** Changes when tags end. */
export function createTagExpirations(deps: RegistryDeps): Expirations {
  const { database, clock, settings } = deps;
  return {
    async changeRepositoryTagExpiration({ id: tagId }, expiration) {
      const nowMs = clock.nowMs();
      let seen: ChangeableTag | null = null;
      return retryWrite(async () => {
        const current = await database.primary.first(changeableTagStatement({ tagId, nowMs }));
        if (current === null) {
          return REPLACED;
        }
        seen ??= current;
        const endMs = decideEnd(current, { expiration, nowMs, settings });
        const { endMs: seenEndMs } = seen;
        // The end may be there already because an attempt whose answer was lost wrote it.
        const isThere =
          current.endMs === endMs ||
          (await changeEnd({ tagId, nowMs, endMs, seenEndMs }, { current, deps }));
        return isThere
          ? { ok: true, changed: seenEndMs !== endMs, endMs, previousEndMs: seenEndMs }
          : REPLACED;
      });
    },

    async setTagsExpirationForManifest(manifest, expirationSec) {
      const nowMs = clock.nowMs();
      if (expirationSec < 0) {
        throw new RangeError('a tag ends no earlier than it starts');
      }
      const lifetimeMs = addSeconds(nowMs, expirationSec) - nowMs;
      return retryWrite(({ answerLost }) =>
        changeEnds(manifest, { nowMs, lifetimeMs, answerLost, deps }),
      );
    },
  };
}

/**
 * The end that a tag gets from a chosen one: within the bounds, which count from its start, and to
 * the millisecond that its start has. Errors: TagImmutable, ExpirationOutOfRange.
 */
function decideEnd(
  { repositoryId, tagName, immutable, startMs }: ChangeableTag,
  {
    expiration,
    nowMs,
    settings,
  }: { expiration: Date | null; nowMs: EpochMs; settings: RegistrySettings },
): EpochMs | null {
  if (expiration === null) {
    return null;
  }
  if (immutable && !lockedMayEnd(settings)) {
    const operation = 'set expiration on';
    throw new RegistryError('TagImmutable', { tagName, operation, repositoryId });
  }
  const lifetimeSec =
    toEpochSeconds(epochMs(expiration.getTime())) - toEpochSeconds(epochMs(startMs));
  const endMs = addSeconds(
    epochMs(startMs),
    Math.min(Math.max(lifetimeSec, TAG_LIFETIME_SEC_MIN), TAG_LIFETIME_SEC_MAX),
  );
  if (endMs <= nowMs) {
    throw new RegistryError('ExpirationOutOfRange', { tagName, endMs });
  }
  return endMs;
}

/** While immutability is not enforced the flag means nothing. */
function lockedMayEnd({ immutableTags, immutableTagsCanExpire }: RegistrySettings): boolean {
  return !immutableTags || immutableTagsCanExpire;
}

/** Gives the tag the end if it is still what was seen; whether it did. */
async function changeEnd(
  change: {
    readonly tagId: number;
    readonly nowMs: EpochMs;
    readonly endMs: EpochMs | null;
    readonly seenEndMs: number | null;
  },
  { current: { repositoryId }, deps }: { current: ChangeableTag; deps: RegistryDeps },
): Promise<boolean> {
  const values = { ...change, lockedMayEnd: Number(lockedMayEnd(deps.settings)) };
  const batch = new Batch();
  batch.add(dropMarksOnChangedEndStatement(values));
  const changed = batch.add(changeEndStatement(values));
  batch.add(raiseTagsGenerationIfWrittenStatement({ repositoryId }));
  if (change.endMs !== null) {
    batch.add(lowerEndHintStatement({ repositoryId, atMs: change.endMs }));
  }
  return (await batch.run(deps.database.primary)).firstOf(changed) !== null;
}

async function changeEnds(
  manifest: ManifestInfo,
  {
    nowMs,
    lifetimeMs,
    answerLost,
    deps: { settings, database },
  }: { nowMs: EpochMs; lifetimeMs: number; answerLost: boolean; deps: RegistryDeps },
): Promise<number> {
  const batch = new Batch();
  const changed = addEndsOfManifest(batch, manifest, { nowMs, lifetimeMs, settings });
  // An attempt whose answer was lost may have ended tags, which are not changed again.
  const ending = answerLost
    ? batch.add(
        tagsLivingForStatement({
          manifestId: manifest.id,
          lifetimeMs,
          lockedMayEnd: Number(lockedMayEnd(settings)),
        }),
      )
    : changed;
  return (await batch.run(database.primary)).rowsOf(ending).length;
}

/**
 * Adds the statements that end every alive visible tag of a manifest so many ms after its own
 * start, with all that depends on it; those that are locked and may not end are left alone.
 */
export function addEndsOfManifest(
  batch: Batch,
  { id: manifestId, repositoryId }: ManifestInfo,
  {
    nowMs,
    lifetimeMs,
    settings,
  }: { nowMs: EpochMs; lifetimeMs: number; settings: RegistrySettings },
): BatchSlot<{ tagId: number }> {
  const rows = { manifestId, nowMs, lockedMayEnd: Number(lockedMayEnd(settings)) };
  batch.add(dropMarksOnChangedEndsStatement(rows));
  const changed = batch.add(changeEndsOfManifestStatement({ ...rows, lifetimeMs }));
  batch.add(raiseTagsGenerationIfWrittenStatement({ repositoryId }));
  batch.add(lowerHintToEndsOfManifestStatement({ repositoryId, manifestId }));
  return changed;
}
