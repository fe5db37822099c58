import { type SQL, sql } from 'drizzle-orm';

import type { Performer } from '../../model/audit-log.ts';
import type { Digest } from '../../model/digest.ts';
import type { NamespaceName } from '../../model/names.ts';
import type { Release, ReleasedTag } from '../../model/releases.ts';
import type { EpochMs } from '../../model/time.ts';
import { assertNot, labelFingerprint } from './assertions.ts';
import { isAlive, isAvailable, isSignatureName } from './conditions.ts';
import { actingLabelColumns, type ActingLabels, type ChildLabels } from './manifests.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { tagRelease } from './schema/releases.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { defineStatement, type Parameters } from './statement.ts';
import { cascade } from './tag-lifetimes.ts';

/**
 * Several tags moved at once. All that the moves are decided by is read by one statement, and asserted
 * by another, however many they are.
 */

/** A move as the statements take it, in a JSON list; `digest` null: the tag shall be ended. */
export interface ListedMove {
  readonly repositoryId: number;
  readonly tagName: string;
  readonly digest: string | null;
  /** What {@link FoundMove} said that the move was decided by; there once it was read. */
  readonly grounds?: string;
}

/**
 * For each move of a list: its repository `r` in namespace `n`, the manifest `m` that it goes to, the
 * newest generation `t` of its name and the manifest `held` of that; NULLs for what is not there.
 */
const movesWithGrounds = (list: Parameters<{ moves: string }>['moves']): SQL => sql`
    json_each(${list}) listed
      LEFT JOIN ${repository} r ON r.id = listed.value ->> 'repositoryId' AND r.state <> 3
      LEFT JOIN ${namespace} n ON n.id = r.namespace_id
      LEFT JOIN ${manifest} m ON m.repository_id = r.id AND m.digest = listed.value ->> 'digest'
      LEFT JOIN ${tag} t ON t.id = (
        SELECT newest.id FROM ${tag} newest INDEXED BY tag_name_history
        WHERE newest.repository_id = r.id AND newest.name = listed.value ->> 'tagName'
          AND newest.hidden = 0
        ORDER BY newest.lifetime_start_ms DESC, newest.id DESC LIMIT 1)
      LEFT JOIN ${manifest} held ON held.id = t.manifest_id`;

/**
 * What others may change of all that a move is decided by, as one text: whether the repository is
 * there, the versions of the policies, the manifest and its acting labels, the newest generation.
 */
const grounds: SQL = sql`json_array(r.id, r.immutability_epoch, n.immutability_epoch, m.id,
      t.id, t.is_current, t.lifetime_end_ms, t.immutable,
      (SELECT json_array(found.labelCount, found.labelMaxId) FROM (${labelFingerprint({
        repositoryId: sql.raw('r.id'),
        digest: sql.raw("listed.value ->> 'digest'"),
        childDigests: sql.raw("'[]'"),
      })}) found))`;

/** A move, and what it is decided by. */
export interface FoundMove {
  /** Its place in the list. */
  readonly index: number;
  readonly isRepositoryLive: boolean;
  /** Whether the repository has the manifest that it goes to. */
  readonly isStored: boolean;
  /** Whether an alive visible tag holds that manifest. */
  readonly isAvailable: boolean;
  readonly ownLabels: ActingLabels;
  /** The newest generation of the name, alive or not; null: it never had one. */
  readonly newest: {
    readonly tagId: number;
    readonly isAlive: boolean;
    readonly isImmutable: boolean;
    readonly manifestId: number;
    readonly digest: Digest;
    readonly releaseUuid: string | null;
  } | null;
  readonly grounds: string;
}

interface FoundMoveRow {
  moveIndex: number;
  repositoryId: number | null;
  manifestId: number | null;
  isAvailable: number | null;
  expiresAfter: string | null;
  immutable: string | null;
  tagId: number | null;
  isAlive: number;
  isImmutable: number;
  heldManifestId: number;
  heldDigest: string;
  releaseUuid: string | null;
  grounds: string;
}

/** Each move of a JSON list of {@link ListedMove} with what it is decided by. */
export const movesStatement = defineStatement<
  { moves: string; nowMs: number },
  FoundMoveRow,
  FoundMove
>(
  (p) => sql`
    SELECT listed.key AS moveIndex, r.id AS repositoryId, m.id AS manifestId,
      CASE WHEN m.id IS NOT NULL
        THEN ${isAvailable(sql.raw('m.id'), { nowMs: p.nowMs, hidden: false })} END AS isAvailable,
      ${actingLabelColumns}, t.id AS tagId, ${isAlive('t', p.nowMs)} AS isAlive,
      t.immutable AS isImmutable, t.manifest_id AS heldManifestId, held.digest AS heldDigest,
      t.release_uuid AS releaseUuid, ${grounds} AS grounds
    FROM ${movesWithGrounds(p.moves)}`,
  (row) => ({
    index: row.moveIndex,
    isRepositoryLive: row.repositoryId !== null,
    isStored: row.manifestId !== null,
    isAvailable: row.isAvailable === 1,
    ownLabels: { expiresAfter: row.expiresAfter, immutable: row.immutable },
    newest:
      row.tagId === null
        ? null
        : {
            tagId: row.tagId,
            isAlive: row.isAlive === 1,
            isImmutable: row.isImmutable === 1,
            manifestId: row.heldManifestId,
            digest: row.heldDigest as Digest,
            releaseUuid: row.releaseUuid,
          },
    grounds: row.grounds,
  }),
);

/** Every move of the list has the grounds still that it was read with. */
export const assertMovesStatement = defineStatement<{ moves: string }>((p) =>
  assertNot(
    'retry',
    sql`EXISTS (SELECT 1 FROM ${movesWithGrounds(p.moves)}
      WHERE ${grounds} IS NOT listed.value ->> 'grounds')`,
  ),
);

/** A child of the manifest that a move goes to; of several that lend the same, one. */
export interface MovedChildLabels extends ChildLabels {
  readonly moveIndex: number;
}

/** The children of all manifests that the moves of a JSON list go to. */
export const movedChildrenStatement = defineStatement<{ moves: string }, MovedChildLabels>(
  (p) => sql`
    SELECT DISTINCT listed.key AS moveIndex, m.media_type AS mediaType, ${actingLabelColumns}
    FROM json_each(${p.moves}) listed
      CROSS JOIN ${manifest} parent ON parent.repository_id = listed.value ->> 'repositoryId'
        AND parent.digest = listed.value ->> 'digest'
      CROSS JOIN ${manifestChild} link ON link.manifest_id = parent.id
      CROSS JOIN ${manifest} m ON m.id = link.child_manifest_id`,
);

/**
 * Ends what cosign tagged after manifests, a JSON list of ids, that a release took tags from and left
 * without an ordinary one. It stands behind all moves: a tag that left may be followed by another that
 * comes. What the release itself tagged stays.
 */
export const cascadeOnReleaseStatement = defineStatement<{
  manifestIds: string;
  releaseUuid: string;
  nowMs: number;
  enforceImmutability: number;
}>((p) =>
  cascade(
    {
      repositoryId: sql.raw('m.repository_id'),
      nowMs: p.nowMs,
      enforceImmutability: p.enforceImmutability,
    },
    {
      manifests: sql`json_each(${p.manifestIds}) leaving
        CROSS JOIN ${manifest} m ON m.id = leaving.value`,
      isLeft: sql`sibling.release_uuid IS NOT ${p.releaseUuid} AND NOT EXISTS (
        SELECT 1 FROM ${tag} other
        WHERE other.manifest_id = m.id AND other.hidden = 0 AND other.id <> sibling.id
          AND ${isAlive('other', p.nowMs)} AND NOT ${isSignatureName(sql.raw('other.name'))})`,
    },
  ),
);

/** Writes down what a release did; `moves` is a JSON list of {@link ReleasedTag}. */
export const insertReleaseStatement = defineStatement<{
  uuid: string;
  namespaceId: number;
  nowMs: number;
  performerKind: string;
  performerName: string | null;
  undoesUuid: string | null;
  moves: string;
}>(
  (p) => sql`
    INSERT INTO ${tagRelease} (uuid, namespace_id, released_ms, performer_kind, performer_name,
      undoes_uuid, moves)
    VALUES (${p.uuid}, ${p.namespaceId}, ${p.nowMs}, ${p.performerKind}, ${p.performerName},
      ${p.undoesUuid}, ${p.moves})`,
);

/** The release is remembered, and was not undone. */
export const assertReleaseStandsStatement = defineStatement<{ uuid: string }>((p) =>
  assertNot(
    'retry',
    sql`NOT EXISTS (SELECT 1 FROM ${tagRelease} made
      WHERE made.uuid = ${p.uuid} AND made.undone_by_uuid IS NULL)`,
  ),
);

export const markReleaseUndoneStatement = defineStatement<{ uuid: string; undoneByUuid: string }>(
  (p) => sql`
    UPDATE ${tagRelease} SET undone_by_uuid = ${p.undoneByUuid} WHERE uuid = ${p.uuid}`,
);

interface ReleaseRow {
  id: number;
  uuid: string;
  namespaceId: number;
  namespaceName: string;
  releasedMs: number;
  performerKind: string;
  performerName: string | null;
  undoesUuid: string | null;
  undoneByUuid: string | null;
  moves: string;
}

/** Of `tag_release made` in `namespace n`. */
const releaseColumns: SQL = sql.raw(`
  made.id AS id, made.uuid AS uuid, n.id AS namespaceId, n.name AS namespaceName,
  made.released_ms AS releasedMs, made.performer_kind AS performerKind,
  made.performer_name AS performerName, made.undoes_uuid AS undoesUuid,
  made.undone_by_uuid AS undoneByUuid, made.moves AS moves`);

const toRelease = (row: ReleaseRow): Release => ({
  uuid: row.uuid,
  namespaceId: row.namespaceId,
  namespaceName: row.namespaceName as NamespaceName,
  releasedMs: row.releasedMs as EpochMs,
  performer: { kind: row.performerKind, name: row.performerName } as Performer,
  undoes: row.undoesUuid,
  undoneBy: row.undoneByUuid,
  moves: JSON.parse(row.moves) as readonly ReleasedTag[],
});

/** The release of this name in a namespace. */
export const releaseStatement = defineStatement<
  { uuid: string; namespaceId: number },
  ReleaseRow,
  Release
>(
  (p) => sql`
    SELECT ${releaseColumns}
    FROM ${tagRelease} made CROSS JOIN ${namespace} n ON n.id = made.namespace_id
    WHERE made.uuid = ${p.uuid} AND made.namespace_id = ${p.namespaceId}`,
  toRelease,
);

/** The same by the namespace's name. */
export const releaseByNamesStatement = defineStatement<
  { uuid: string; namespace: string },
  ReleaseRow,
  Release
>(
  (p) => sql`
    SELECT ${releaseColumns}
    FROM ${tagRelease} made CROSS JOIN ${namespace} n ON n.id = made.namespace_id
    WHERE made.uuid = ${p.uuid} AND n.name = ${p.namespace}`,
  toRelease,
);

/** With the record's id, which a page goes on after. */
export interface ListedRelease {
  readonly id: number;
  readonly release: Release;
}

/** The releases of a namespace, the last first. */
export const releasesStatement = defineStatement<
  { namespaceId: number; beforeId: number; limit: number },
  ReleaseRow,
  ListedRelease
>(
  (p) => sql`
    SELECT ${releaseColumns}
    FROM ${tagRelease} made INDEXED BY tag_release_namespace
      CROSS JOIN ${namespace} n ON n.id = made.namespace_id
    WHERE made.namespace_id = ${p.namespaceId} AND made.id < ${p.beforeId}
    ORDER BY made.id DESC LIMIT ${p.limit}`,
  (row) => ({ id: row.id, release: toRelease(row) }),
);

/** Forgets the oldest releases, those until a time; it stops at the first that is younger. */
export const deleteOldReleasesStatement = defineStatement<
  { untilMs: number; limit: number },
  { releaseId: number }
>(
  (p) => sql`
    WITH RECURSIVE old(id) AS (
      SELECT first.id FROM (SELECT made.id, made.released_ms FROM ${tagRelease} made
        WHERE made.id > 0 ORDER BY made.id LIMIT 1) first
      WHERE first.released_ms <= ${p.untilMs}
      UNION ALL
      SELECT next.id FROM old CROSS JOIN ${tagRelease} next
        ON next.id = (SELECT min(later.id) FROM ${tagRelease} later WHERE later.id > old.id)
      WHERE next.released_ms <= ${p.untilMs}
      LIMIT ${p.limit})
    DELETE FROM ${tagRelease} WHERE id IN (SELECT old.id FROM old) RETURNING id AS releaseId`,
);
