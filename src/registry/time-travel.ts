import type { Tag } from '../model/datatypes.ts';
import { RegistryError } from '../model/errors.ts';
import { AVAILABLE_TEMP_TAG_SEC, PAST_PULL_HELD_SEC } from '../model/limits.ts';
import type { RepositoryName, TagName } from '../model/names.ts';
import type { PastTag } from '../model/past-tag.ts';
import type { RepositoryRef } from '../model/references.ts';
import { addSeconds, type EpochMs } from '../model/time.ts';
import { Batch } from '../storage/d1/batch.ts';
import { type ResolvedPastTag, resolvePastTagStatement } from '../storage/d1/resolve-at.ts';
import type { RegistryDeps } from './deps.ts';
import { endsSoonMs, type FoundManifest, loadFound } from './resolve.ts';
import { sendAgain } from './send-again.ts';
import { addTempTagOfPast } from './tags/temporary.ts';

/** What a name pointed to at a moment. */
export interface FoundPastTag {
  readonly tag: Tag;
  readonly manifest: FoundManifest;
  /** False: it is the alive tag of the literal name. */
  readonly isPast: boolean;
  /** When that alive tag ends, if that is within 72 hours. */
  readonly endsSoonMs: EpochMs | null;
}

/** Pulls of what a tag pointed to at some time. */
export interface TimeTravel {
  /**
   * The generation that a name had at a moment: it began then or before, and ended after; at the
   * very millisecond of a move it is the new one. It must be alive still, or have ended within the
   * namespace's window: what was over at `windowStartMs` is not answered any more. Null if there is
   * no such repository.
   *
   * `literalName`: the name that this moment was asked for by, if it was by a name: an alive tag
   * that is really called so goes first.
   *
   * Who pulls it goes on by digest, so a manifest that nothing holds for long gets a temporary tag.
   * That is a second round trip; without it there is one.
   *
   * Errors: TimeInFuture.
   */
  resolvePastTag(
    name: RepositoryName,
    past: PastTag & { readonly literalName: TagName | null },
    options: { readonly withBytes: boolean },
  ): Promise<{
    readonly repository: RepositoryRef;
    readonly found: FoundPastTag | null;
    readonly windowSec: number;
    readonly windowStartMs: EpochMs;
  } | null>;
}

type Found = NonNullable<ResolvedPastTag['found']>;

export function createTimeTravel(deps: RegistryDeps): TimeTravel {
  const { database, clock, ids } = deps;

  /** The same answer from the primary, in one batch with what keeps its manifest. */
  async function hold(
    { repository }: ResolvedPastTag,
    values: PastTag & { readonly nowMs: EpochMs; readonly heldUntilMs: EpochMs },
    select: ReturnType<typeof resolvePastTagStatement>,
  ): Promise<ResolvedPastTag | null> {
    const { tagName, atMs, nowMs, heldUntilMs } = values;
    const batch = new Batch();
    addTempTagOfPast(batch, {
      repositoryId: repository.id,
      tagName,
      atMs,
      uuid: ids.uuid(),
      nowMs,
      endMs: addSeconds(nowMs, AVAILABLE_TEMP_TAG_SEC),
      heldUntilMs,
    });
    const slot = batch.add(select);
    // Sent again it does nothing: the temporary tag that it made holds the manifest.
    return (await sendAgain(() => batch.run(database.primary))).firstOf(slot);
  }

  async function load(
    { tag, manifest: stored, isPast }: Found,
    { withBytes, nowMs }: { readonly withBytes: boolean; readonly nowMs: EpochMs },
  ): Promise<FoundPastTag | null> {
    const manifest = await loadFound(stored, { withBytes, deps });
    return (
      manifest && { tag, manifest, isPast, endsSoonMs: isPast ? null : endsSoonMs(tag, nowMs) }
    );
  }

  return {
    async resolvePastTag(name, { tagName, atMs, literalName }, { withBytes }) {
      const nowMs = clock.nowMs();
      const heldUntilMs = addSeconds(nowMs, PAST_PULL_HELD_SEC);
      const values = { tagName, atMs, nowMs, heldUntilMs };
      const select = resolvePastTagStatement({
        ...name,
        ...values,
        literalName,
        withBody: Number(withBytes),
      });
      const first = await database.firstAnywhere(select, ({ found }) => found !== null);
      if (first !== null && atMs > nowMs && first.found?.isPast !== false) {
        throw new RegistryError('TimeInFuture', { atMs, nowMs });
      }
      const isKept = !first?.found?.isPast || first.found.isHeld;
      const row = isKept ? first : await hold(first, values, select);
      if (row === null) {
        return null;
      }
      const { repository, windowSec } = row;
      const found = row.found && (await load(row.found, { withBytes, nowMs }));
      return { repository, found, windowSec, windowStartMs: addSeconds(nowMs, -windowSec) };
    },
  };
}
