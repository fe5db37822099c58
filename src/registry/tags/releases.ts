import type { Performer } from '../../model/audit-log.ts';
import type { Page } from '../../model/datatypes.ts';
import type { Digest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import {
  RELEASE_MOVES_MAX,
  RELEASE_PAGE_SIZE_DEFAULT,
  RELEASE_PAGE_SIZE_MAX,
} from '../../model/limits.ts';
import { parseTagName, type TagName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import type { Release, ReleasedTag } from '../../model/releases.ts';
import {
  type FoundMove,
  releaseByNamesStatement,
  releasesStatement,
} from '../../storage/d1/releases.ts';
import type { RegistryDeps } from '../deps.ts';
import { carryOut, type ReleaseStep } from './release-steps.ts';

export type { Release } from '../../model/releases.ts';

/** A tag, and the manifest of its repository that it shall point to. */
export interface ReleaseMove {
  readonly repository: RepositoryRef;
  readonly tagName: TagName;
  readonly digest: Digest;
  /**
   * What the tag must point to now; null: it must not be there. Left out: whatever it points to. It
   * is asked where the tag is moved, so that nobody can move the tag in between.
   */
  readonly ifDigest?: Digest | null;
}

/** Moves several tags of one namespace by one step, which can be undone as one. */
export interface Releases {
  /**
   * Moves tags, or makes them, all or none of them, at one moment: 1 to {@link RELEASE_MOVES_MAX} of
   * repositories of one namespace. Each is moved as `retargetTag` would: locked tags refuse it, labels
   * and policies apply, and a tag that is there already begins a new generation. The manifest must be
   * held by an alive tag. Signatures end with the last tag of what they sign, as that is after all
   * moves. Two round trips, whatever the number of moves.
   *
   * Errors: TagNameInvalid; InvalidRelease (none or too many, one tag twice, two namespaces);
   * ReleaseRefused (the first move that cannot be done; nothing was changed); Conflict.
   */
  createRelease(moves: readonly ReleaseMove[], performer: Performer): Promise<Release>;
  /**
   * Puts every tag of a release back to where it was, all or none of them: those that it made are
   * ended, those that it ended are there again. That is a release too, and can be undone like one.
   * Manifests may be held by nothing but the time machine. What a tag had beside its manifest, as an
   * end that was set by hand, does not come back.
   *
   * Errors: ReleaseNotFound (it was forgotten); ReleaseUndone; ReleaseRefused (a tag has moved, ended
   * or become immutable since, or its manifest or repository is gone; nothing was changed); Conflict.
   */
  undoRelease(release: Release, performer: Performer): Promise<Release>;
  /** A release of a namespace; null: there is none of this name, or it is 90 days old. */
  getRelease(namespaceName: string, uuid: string): Promise<Release | null>;
  /**
   * The releases of a namespace, the last first. A page has 20 of them by default, 100 at most;
   * `cursor` is where the next one begins.
   *
   * Errors: InvalidFilter (not a cursor of this method).
   */
  listReleases(
    namespace: { readonly id: number },
    options?: { readonly cursor?: string | null; readonly limit?: number },
  ): Promise<Page<Release>>;
}

export function createReleases(deps: RegistryDeps): Releases {
  const { database, clock, ids } = deps;
  return {
    createRelease(moves, performer) {
      const { namespaceId, namespaceName } = requireMoves(moves);
      const steps = moves.map(toStep);
      const plan = { uuid: ids.uuid(), namespaceId, namespaceName, performer, undoes: null, steps };
      return carryOut({ ...plan, nowMs: clock.nowMs() }, deps);
    },

    undoRelease({ uuid: undoes, namespaceId, namespaceName, moves }, performer) {
      const steps = moves.map((move) => toUndoingStep(undoes, move));
      const plan = { uuid: ids.uuid(), namespaceId, namespaceName, performer, undoes, steps };
      return carryOut({ ...plan, nowMs: clock.nowMs() }, deps);
    },

    // Nothing is an answer in both, so a copy that lags would give a wrong one.
    getRelease: (namespace, uuid) =>
      database.primary.first(releaseByNamesStatement({ namespace, uuid })),

    async listReleases({ id: namespaceId }, { cursor = null, limit } = {}) {
      const size = Math.min(limit ?? RELEASE_PAGE_SIZE_DEFAULT, RELEASE_PAGE_SIZE_MAX);
      if (!Number.isSafeInteger(size) || size < 1) {
        throw new RangeError(`there is no page of ${size} releases`);
      }
      const beforeId = parseCursor(cursor);
      const rows = await database.primary.all(
        releasesStatement({ namespaceId, beforeId, limit: size + 1 }),
      );
      const page = rows.slice(0, size);
      const last = page.at(-1);
      const items = page.map(({ release }) => release);
      return last !== undefined && rows.length > size
        ? { items, hasMore: true, cursor: String(last.id) }
        : { items, hasMore: false };
    },
  };
}

/** A cursor is the id of the record that the page before ended with. */
function parseCursor(cursor: string | null): number {
  if (cursor !== null && !/^\d{1,15}$/.test(cursor)) {
    throw new RegistryError('InvalidFilter', { parameter: 'cursor' });
  }
  return cursor === null ? Number.MAX_SAFE_INTEGER : Number(cursor);
}

/** The repository of the first move, if a release can have these. */
function requireMoves(moves: readonly ReleaseMove[]): RepositoryRef {
  const [first] = moves;
  if (first === undefined || moves.length > RELEASE_MOVES_MAX) {
    throw invalid(`it has 1 to ${RELEASE_MOVES_MAX} moves, not ${moves.length}`);
  }
  const seen = new Map<string, number>();
  for (const [index, { repository, tagName }] of moves.entries()) {
    if (parseTagName(tagName) === null) {
      throw new RegistryError('TagNameInvalid', { tagName });
    }
    if (repository.namespaceId !== first.repository.namespaceId) {
      throw invalid(`moves 0 and ${index} are in two namespaces`);
    }
    const slot = `${repository.id} ${tagName}`;
    const earlier = seen.get(slot);
    if (earlier !== undefined) {
      throw invalid(`moves ${earlier} and ${index} are of the same tag`);
    }
    seen.set(slot, index);
  }
  return first.repository;
}

function invalid(reason: string): RegistryError {
  return new RegistryError('InvalidRelease', { reason });
}

function toStep({ repository, tagName, digest, ifDigest }: ReleaseMove): ReleaseStep {
  return {
    repositoryId: repository.id,
    repositoryName: repository.name,
    tagName,
    digest,
    isExpected: (found) => ifDigest === undefined || digestNow(found) === ifDigest,
  };
}

/** What the tag points to; null: there is none. */
function digestNow({ newest }: FoundMove): Digest | null {
  return newest?.isAlive === true ? newest.digest : null;
}

/** Back to what a release found; nobody may have touched the tag since. */
function toUndoingStep(uuid: string, move: ReleasedTag): ReleaseStep {
  const { repositoryId, repositoryName, tagName, beforeDigest, beforeTagId } = move;
  return {
    repositoryId,
    repositoryName,
    tagName,
    digest: beforeDigest,
    isExpected: ({ newest }) =>
      move.digest === null
        ? // What was ended may be collected by now.
          newest === null || (!newest.isAlive && newest.tagId === beforeTagId)
        : newest?.isAlive === true && newest.releaseUuid === uuid,
  };
}
