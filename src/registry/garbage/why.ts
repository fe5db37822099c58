import type { Digest } from '../../model/digest.ts';
import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';
import {
  REASON_HOLDER_TAGS_READ_MAX,
  REASON_HOLDERS_WALKED_MAX,
  REASON_REPOSITORIES_COUNTED_MAX,
  REASON_TAGS_READ_MAX,
  REASONS_MAX,
} from '../../model/limits.ts';
import type { TagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { addSeconds, type EpochMs } from '../../model/time.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { isPullHoldName } from '../../storage/d1/pull-holds.ts';
import {
  lastRemovalOfBlobStatement,
  type Removal,
  type RemovalReason,
  removalsOfManifestStatement,
} from '../../storage/d1/removals.ts';
import {
  blobHoldersStatement,
  type HolderRow,
  type HoldingTagRow,
  holdingTagsStatement,
  leaseEndStatement,
  manifestHoldersStatement,
  otherRepositoriesStatement,
  standingStatement,
} from '../../storage/d1/why.ts';
import type { RegistryDeps } from '../deps.ts';
import { lockedMayGo } from './steps.ts';

/**
 * Why something is kept. `untilMs` is when this reason ends, the time machine's window included: a
 * run before that moment keeps it, one at that moment does not. Null: it does not end by itself.
 */
export type KeptReason =
  /** An alive tag; `endsMs` is its own end. */
  | { kind: 'tag'; tagName: TagName; endsMs: EpochMs | null; untilMs: EpochMs | null }
  /** An ended generation that can still be restored. */
  | { kind: 'time_machine'; tagName: TagName; endsMs: EpochMs; untilMs: EpochMs | null }
  /** An ended generation that is immutable, while such may not go. */
  | { kind: 'locked_tag'; tagName: TagName; endsMs: EpochMs; untilMs: null }
  /** It was pulled by digest where that holds for a while; the window applies to it too. */
  | { kind: 'pulled'; endsMs: EpochMs; untilMs: EpochMs | null }
  /** What a push by digest or a pull of the past left; the window applies to it too. */
  | { kind: 'temporary_tag'; endsMs: EpochMs; untilMs: EpochMs | null }
  /** A referrer that was pushed by digest: it stays until it is deleted by digest. */
  | { kind: 'pin'; untilMs: null }
  /** It is in this index, or the subject of this referrer, for as long as that is kept. */
  | { kind: 'index' | 'referrer'; digest: Digest; untilMs: EpochMs | null }
  /** A blob of this manifest, for as long as that is kept. */
  | { kind: 'manifest'; digest: Digest; untilMs: EpochMs | null }
  /** A blob that a client just uploaded or mounted. */
  | { kind: 'lease'; untilMs: EpochMs | null }
  /** A blob that so many other repositories hold, or more; until when is not for this one to know. */
  | { kind: 'other_repositories'; count: number; isMore: boolean; untilMs: null }
  /** The shared empty layer. */
  | { kind: 'shared_blob'; untilMs: null }
  /** Nothing of a disabled namespace is collected; the other reasons last as long. */
  | { kind: 'disabled_namespace'; untilMs: null };

/** How it stands with a manifest or a blob. */
export type Standing =
  | {
      readonly state: 'kept';
      /** Those that do not end first, then the longest; {@link REASONS_MAX} at most. */
      readonly reasons: readonly Readonly<KeptReason>[];
      /** How many more are known. */
      readonly moreReasons: number;
      /** When the last reason ends; null if one does not, or if not all could be read. */
      readonly goesAtMs: EpochMs | null;
      /** False if so much holds it that not all of it was read. */
      readonly isComplete: boolean;
    }
  /** Nothing keeps it: the next run takes it. */
  | { readonly state: 'garbage'; readonly goesAtMs: EpochMs }
  | {
      readonly state: 'removed';
      readonly removedMs: EpochMs;
      readonly reason: RemovalReason;
      /** The tags that pointed to a manifest and were removed, the last first. */
      readonly tags: readonly {
        readonly tagName: TagName;
        readonly endedMs: EpochMs | null;
        readonly removedMs: EpochMs;
      }[];
      readonly hasMoreTags: boolean;
    };

/** A digest may name a manifest, a blob, or both. */
export interface DigestExplanation {
  readonly digest: Digest;
  readonly manifest: Standing | null;
  readonly blob: Standing | null;
}

/** Tells why something is still here, or not any more. */
export interface Explanations {
  /**
   * What keeps the manifest and the blob that a digest names in a repository, and until when; or
   * when and why it went. Null for what was never there, or went so long ago that the record is
   * forgotten. Null for both if the repository is gone or being deleted. Says of other repositories
   * only how many hold the blob.
   *
   * One round trip. It goes to the primary: who asks has often just changed something, and "nothing
   * keeps it" must be true.
   */
  explainDigest(repository: Pick<RepositoryRef, 'id'>, digest: Digest): Promise<DigestExplanation>;
}

export function createExplanations(deps: RegistryDeps): Explanations {
  const { database, clock, settings } = deps;
  return {
    async explainDigest({ id: repositoryId }, digest) {
      const named = { repositoryId, digest };
      const walk = {
        ...named,
        lockedMayGo: lockedMayGo(settings),
        walkLimit: REASON_HOLDERS_WALKED_MAX,
        tagLimit: REASON_HOLDER_TAGS_READ_MAX,
      };
      const batch = new Batch();
      const standingSlot = batch.add(standingStatement(named));
      const tagSlot = batch.add(holdingTagsStatement({ ...named, limit: REASON_TAGS_READ_MAX }));
      const holderSlot = batch.add(manifestHoldersStatement(walk));
      const linkSlot = batch.add(blobHoldersStatement(walk));
      const leaseSlot = batch.add(leaseEndStatement(named));
      const otherSlot = batch.add(
        otherRepositoriesStatement({ ...named, limit: REASON_REPOSITORIES_COUNTED_MAX + 1 }),
      );
      const removalSlot = batch.add(
        removalsOfManifestStatement({
          ...named,
          tagName: null,
          beforeId: Number.MAX_SAFE_INTEGER,
          limit: REASONS_MAX + 2,
        }),
      );
      const blobRemovalSlot = batch.add(lastRemovalOfBlobStatement({ digest }));
      const results = await batch.run(database.primary);

      const standing = results.firstOf(standingSlot);
      if (standing === null) {
        return { digest, manifest: null, blob: null };
      }
      const { windowSec, isEnabled, manifestId, blobId } = standing;
      const world = {
        nowMs: clock.nowMs(),
        windowSec,
        isEnabled: isEnabled === 1,
        lockedMayGo: walk.lockedMayGo === 1,
      };
      const removals = results.rowsOf(removalSlot).map(({ removal }) => removal);
      const blobRemoval = results.firstOf(blobRemovalSlot)?.removal ?? null;
      return {
        digest,
        manifest:
          manifestId === null
            ? explainRemovedManifest(removals)
            : explainManifest(results.rowsOf(tagSlot), results.rowsOf(holderSlot), world),
        blob:
          blobId === null
            ? blobRemoval && explainRemoval(blobRemoval, [])
            : explainBlob(
                {
                  digest,
                  leaseEndMs: results.firstOf(leaseSlot)?.expiresMs ?? null,
                  others: results.firstOf(otherSlot)?.repositories ?? 0,
                },
                results.rowsOf(linkSlot),
                world,
              ),
      };
    },
  };
}

/** What the reasons depend on. */
interface World {
  readonly nowMs: EpochMs;
  readonly windowSec: number;
  /** Whether the namespace is; nothing of one that is not is collected. */
  readonly isEnabled: boolean;
  readonly lockedMayGo: boolean;
}

function explainManifest(
  tags: readonly HoldingTagRow[],
  holders: readonly HolderRow[],
  world: World,
): Standing {
  const reasons = [
    ...tags.map((row) => reasonOfTag(row, world)),
    ...holders.flatMap((row) => reasonOfHolder(row, world)),
  ];
  const isComplete = tags.length < REASON_TAGS_READ_MAX && isWalkComplete(holders);
  return conclude(reasons, isComplete, world);
}

function explainBlob(
  held: { readonly digest: Digest; readonly leaseEndMs: number | null; readonly others: number },
  links: readonly HolderRow[],
  world: World,
): Standing {
  const { digest, leaseEndMs, others } = held;
  const reasons: KeptReason[] = links.flatMap((row) => reasonOfHolder(row, world));
  if (leaseEndMs !== null) {
    reasons.push({ kind: 'lease', untilMs: world.isEnabled ? (leaseEndMs as EpochMs) : null });
  }
  if (digest === EMPTY_BLOB_DIGEST) {
    reasons.push({ kind: 'shared_blob', untilMs: null });
  }
  if (others > 0) {
    const count = Math.min(others, REASON_REPOSITORIES_COUNTED_MAX);
    reasons.push({ kind: 'other_repositories', count, isMore: others > count, untilMs: null });
  }
  return conclude(reasons, isWalkComplete(links), world);
}

function reasonOfTag(row: HoldingTagRow, world: World): KeptReason {
  const tagName = row.tagName as TagName;
  const endsMs = row.endMs as EpochMs | null;
  const isLocked = row.isImmutable === 1 && !world.lockedMayGo;
  const untilMs = isLocked ? null : windowAfter(endsMs, world);
  if (row.isHidden === 1) {
    return endsMs === null
      ? { kind: 'pin', untilMs: null }
      : { kind: isPullHoldName(tagName) ? 'pulled' : 'temporary_tag', endsMs, untilMs };
  }
  if (endsMs === null || (row.isCurrent === 1 && endsMs > world.nowMs)) {
    return { kind: 'tag', tagName, endsMs, untilMs };
  }
  return isLocked
    ? { kind: 'locked_tag', tagName, endsMs, untilMs: null }
    : { kind: 'time_machine', tagName, endsMs, untilMs };
}

function reasonOfHolder(row: HolderRow, world: World): readonly KeptReason[] {
  const { kind, lastEndMs } = row;
  const untilMs = windowAfter(lastEndMs as EpochMs | null, world);
  return kind === 'walk' ? [] : [{ kind, digest: row.digest as Digest, untilMs }];
}

/** When what ended is beyond recovery; null if it never ends, or is never collected. */
function windowAfter(endMs: EpochMs | null, { windowSec, isEnabled }: World): EpochMs | null {
  return endMs === null || !isEnabled ? null : addSeconds(endMs, windowSec);
}

function isWalkComplete(holders: readonly HolderRow[]): boolean {
  const tags = holders.reduce((sum, row) => sum + row.tags, 0);
  const walked = holders.reduce((sum, row) => sum + row.walked, 0);
  return tags < REASON_HOLDER_TAGS_READ_MAX && walked < REASON_HOLDERS_WALKED_MAX;
}

/** What follows from all reasons, those included that are over. */
function conclude(all: readonly KeptReason[], isComplete: boolean, world: World): Standing {
  const lasting = all.filter(({ untilMs }) => untilMs === null || untilMs > world.nowMs);
  if (lasting.length === 0 && isComplete) {
    return { state: 'garbage', goesAtMs: world.nowMs };
  }
  const isHeldByState = !world.isEnabled && lasting.some(endsByCollection);
  const reasons: readonly KeptReason[] = isHeldByState
    ? [{ kind: 'disabled_namespace', untilMs: null }, ...lasting]
    : lasting;
  const ends = (reason: KeptReason): number => reason.untilMs ?? Number.POSITIVE_INFINITY;
  const sorted = reasons.toSorted((one, other) =>
    ends(one) === ends(other) ? 0 : ends(other) - ends(one),
  );
  return {
    state: 'kept',
    reasons: sorted.slice(0, REASONS_MAX),
    moreReasons: Math.max(0, sorted.length - REASONS_MAX),
    goesAtMs: isComplete ? (sorted[0]?.untilMs ?? null) : null,
    isComplete,
  };
}

/** The shared layer and other repositories hold whatever the namespace is. */
function endsByCollection({ kind }: KeptReason): boolean {
  return kind !== 'shared_blob' && kind !== 'other_repositories';
}

function explainRemovedManifest(removals: readonly Removal[]): Standing | null {
  const removal = removals.find(({ kind }) => kind === 'manifest');
  return removal === undefined
    ? null
    : explainRemoval(
        removal,
        removals.filter(({ kind }) => kind === 'tag'),
      );
}

function explainRemoval({ removedMs, reason }: Removal, tags: readonly Removal[]): Standing {
  return {
    state: 'removed',
    removedMs,
    reason,
    tags: tags
      .slice(0, REASONS_MAX)
      .flatMap(({ tagName, endedMs, removedMs: goneMs }) =>
        tagName === null ? [] : [{ tagName, endedMs, removedMs: goneMs }],
      ),
    hasMoreTags: tags.length > REASONS_MAX,
  };
}
