import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import {
  isAlive,
  isAvailable,
  isSignatureName,
  precedingStatementWrote,
  repositoryIsLive,
} from './conditions.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The statements that begin and end generations of tags. A batch composes them so that one moment
 * ends the old generation and begins the new one; the partial unique index `tag_current_name` sees
 * to it that no interleaving leaves two.
 */

export type Slot = { repositoryId: number; tagName: string; nowMs: number };

/** 1.2: an explicit end never lies before the start, and never moves an end that has passed. */
export const endAt = (nowMs: Parameters<Slot>['nowMs']): SQL =>
  sql`max(${nowMs}, lifetime_start_ms)`;

/** The alive visible row of a slot. */
const aliveRow = (p: Parameters<Slot>, alias: string): SQL => {
  const t = sql.raw(alias);
  return sql`${t}.repository_id = ${p.repositoryId} AND ${t}.name = ${p.tagName}
    AND ${t}.hidden = 0 AND ${isAlive(alias, p.nowMs)}`;
};

/** The same, if it may be deleted. */
export const deletableRow = (
  p: Parameters<Slot & { enforceImmutability: number }>,
  alias: string,
): SQL => sql`${aliveRow(p, alias)}
    AND (${sql.raw(alias)}.immutable = 0 OR NOT ${p.enforceImmutability})`;

/** Frees the slot of a name for a new generation; a row that is over already keeps its end. */
export const freeSlotStatement = defineStatement<Slot>(
  (p) => sql`
    UPDATE ${tag} SET is_current = 0, lifetime_end_ms =
      CASE WHEN lifetime_end_ms <= ${p.nowMs} THEN lifetime_end_ms ELSE ${endAt(p.nowMs)} END
    WHERE repository_id = ${p.repositoryId} AND name = ${p.tagName} AND is_current = 1`,
);

/**
 * Frees the slots of tags that were over before a moment, the first to end first. They are dead
 * with or without their slot, so this changes no answer, only how many rows the next ones read.
 */
export const freeEndedSlotsStatement = defineStatement<
  { endedBeforeMs: number; limit: number },
  { tagId: number }
>(
  (p) => sql`
    UPDATE ${tag} SET is_current = 0 WHERE id IN (
      SELECT t.id FROM ${tag} t INDEXED BY tag_sweep
      WHERE t.is_current = 1 AND t.lifetime_end_ms < ${p.endedBeforeMs}
      ORDER BY t.lifetime_end_ms LIMIT ${p.limit})
    RETURNING id AS tagId`,
);

/**
 * Begins a generation on the manifest of this digest. Its start is now, or the latest start or end
 * of the name if a clock elsewhere was ahead; its end, if any, is so many ms after its start.
 */
export const insertTagStatement = defineStatement<
  Slot & {
    digest: string;
    lifetimeMs: number | null;
    reversion: number;
    immutable: number;
    releaseUuid: string | null;
  },
  { tagId: number }
>(
  (p) => sql`
    INSERT INTO ${tag} (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
      is_current, hidden, reversion, immutable, release_uuid)
    SELECT ${p.repositoryId}, ${p.tagName}, m.id, begin.at, begin.at + ${p.lifetimeMs},
      1, 0, ${p.reversion}, ${p.immutable}, ${p.releaseUuid}
    FROM (SELECT max(${p.nowMs}, coalesce((
        SELECT max(t.lifetime_start_ms, coalesce(t.lifetime_end_ms, 0))
        FROM ${tag} t INDEXED BY tag_name_history
        WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.hidden = 0
        ORDER BY t.lifetime_start_ms DESC, t.id DESC LIMIT 1), 0)) AS at) begin
      CROSS JOIN ${manifest} m
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
    RETURNING id AS tagId`,
);

type TempTag = Slot & { digest: string; endMs: number | null };

const tempTag = (condition: (p: Parameters<TempTag>) => SQL) =>
  defineStatement<TempTag>(
    (p) => sql`
    INSERT INTO ${tag} (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
      is_current, hidden)
    SELECT ${p.repositoryId}, ${p.tagName}, m.id, ${p.nowMs}, ${p.endMs}, 1, 1
    FROM ${manifest} m
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest} AND ${condition(p)}
      AND ${repositoryIsLive(p.repositoryId)} AND NOT EXISTS (
        SELECT 1 FROM ${tag} held WHERE held.manifest_id = m.id AND ${isAlive('held', p.nowMs)}
          AND (held.lifetime_end_ms IS NULL OR held.lifetime_end_ms >= ${p.endMs}))`,
  );

/**
 * Begins a hidden generation on the manifest of this digest, unless an alive row holds it for as
 * long already. `endMs` null makes a pin, for which only a row without an end is enough.
 */
export const insertTempTagStatement = tempTag(() => sql`true`);
/** The same, only if visible tags hold the manifest now. */
export const insertTempTagIfVisibleStatement = tempTag((p) =>
  isAvailable(sql`m.id`, { nowMs: p.nowMs, hidden: false }),
);
/** The same, only if any tags hold the manifest now. */
export const insertTempTagIfAvailableStatement = tempTag((p) =>
  isAvailable(sql`m.id`, { nowMs: p.nowMs, hidden: true }),
);

/** Ends the alive visible generation of a name; a row comes back only if this call ended it. */
export const endAliveTagStatement = defineStatement<
  Slot & { enforceImmutability: number },
  { tagId: number }
>(
  (p) => sql`
    UPDATE ${tag} SET is_current = 0, lifetime_end_ms = ${endAt(p.nowMs)}
    WHERE ${deletableRow(p, 'tag')} RETURNING id AS tagId`,
);

type ManifestRows = { manifestId: number; nowMs: number };

/** Ends every alive tag of a manifest, hidden ones too. */
export const endTagsOfManifestStatement = defineStatement<
  ManifestRows,
  { tagId: number; tagName: string; hidden: number }
>(
  (p) => sql`
    UPDATE ${tag} SET is_current = 0, lifetime_end_ms = ${endAt(p.nowMs)}
    WHERE manifest_id = ${p.manifestId} AND ${isAlive('tag', p.nowMs)}
    RETURNING id AS tagId, name AS tagName, hidden AS hidden`,
);

/**
 * The three statements below end what cosign tagged after a manifest when the last ordinary tag is
 * about to leave it. They stand before the statement that ends that tag: afterwards nothing tells
 * which row it was. In ASCII the slash follows the dot, and between the two lies all that the stem
 * and a dot begin. Most manifests have no such tags, so these are looked for first, and `isLeft`
 * mentions `sibling` so that it is only asked where there is one.
 */
export const cascade = (
  p: Parameters<{ nowMs: number; enforceImmutability: number }> & {
    readonly repositoryId: Placeholder | SQL;
  },
  { manifests, isLeft }: { manifests: SQL; isLeft: SQL },
): SQL => {
  const stem = sql`'sha256-' || substr(m.digest, 8)`;
  return sql`
    UPDATE ${tag} SET is_current = 0, lifetime_end_ms = ${endAt(p.nowMs)}
    WHERE id IN (
      SELECT sibling.id
      FROM ${manifests} CROSS JOIN ${tag} sibling INDEXED BY tag_current_name
        ON sibling.repository_id = ${p.repositoryId}
        AND sibling.name > ${stem} || '.' AND sibling.name < ${stem} || '/'
      WHERE substr(m.digest, 1, 7) = 'sha256:' AND sibling.hidden = 0
        AND ${isSignatureName(sql.raw('sibling.name'))} AND ${isAlive('sibling', p.nowMs)}
        AND (sibling.immutable = 0 OR NOT ${p.enforceImmutability}) AND ${isLeft})`;
};

/** The tag that is about to leave, and its manifest. */
const taggedManifest = (leaving: SQL): SQL => sql`
      ${tag} t INDEXED BY tag_current_name CROSS JOIN ${manifest} m
        ON m.id = t.manifest_id AND ${leaving}`;

/** No other alive visible tag than `t` names the manifest, signatures apart. */
const isLastName = (p: Parameters<{ nowMs: number }>): SQL => sql`NOT EXISTS (
        SELECT 1 FROM ${tag} other
        WHERE other.manifest_id = t.manifest_id AND other.hidden = 0
          AND other.id NOT IN (t.id, sibling.id)
          AND ${isAlive('other', p.nowMs)} AND NOT ${isSignatureName(sql.raw('other.name'))})`;

/** For a tag that is about to move to the manifest of another digest. */
export const cascadeOnMoveStatement = defineStatement<
  Slot & { digest: string; enforceImmutability: number }
>((p) =>
  cascade(p, {
    manifests: sql`${taggedManifest(aliveRow(p, 't'))} AND m.digest <> ${p.digest}`,
    isLeft: isLastName(p),
  }),
);

/** For a tag that is about to be deleted. */
export const cascadeOnDeleteStatement = defineStatement<Slot & { enforceImmutability: number }>(
  (p) => cascade(p, { manifests: taggedManifest(deletableRow(p, 't')), isLeft: isLastName(p) }),
);

/** For a manifest all of whose tags are about to be ended; those that point to it end with them. */
export const cascadeOnManifestDeleteStatement = defineStatement<
  ManifestRows & { repositoryId: number; enforceImmutability: number }
>((p) =>
  cascade(p, {
    manifests: sql`(SELECT digest FROM ${manifest} WHERE id = ${p.manifestId}) m`,
    isLeft: sql`EXISTS (
        SELECT 1 FROM ${tag} t WHERE t.manifest_id = ${p.manifestId} AND t.hidden = 0
          AND t.manifest_id <> sibling.manifest_id
          AND ${isAlive('t', p.nowMs)} AND NOT ${isSignatureName(sql.raw('t.name'))})`,
  }),
);

/** The hidden tags of the direct children of some manifests, those that end later; pins do not. */
export const timedChildTags = (laterThan: SQL, parents: SQL): SQL => sql`hidden = 1
    AND lifetime_end_ms > ${laterThan} AND manifest_id IN (
      SELECT child.child_manifest_id FROM (${parents}) parent
        CROSS JOIN ${manifestChild} child ON child.manifest_id = parent.id
      WHERE child.child_manifest_id IS NOT NULL)`;

/** Ends them now. */
export const endTimedChildTags = (nowMs: Parameters<Slot>['nowMs'], parents: SQL): SQL => sql`
    UPDATE ${tag} SET is_current = 0, lifetime_end_ms = ${endAt(nowMs)}
    WHERE is_current = 1 AND ${timedChildTags(sql`${nowMs}`, parents)}`;

/** The same for the manifest of a tag that is about to be deleted. */
export const endChildTagsOnDeleteStatement = defineStatement<
  Slot & { enforceImmutability: number }
>((p) =>
  endTimedChildTags(
    p.nowMs,
    sql`SELECT t.manifest_id AS id FROM ${tag} t INDEXED BY tag_current_name
      WHERE ${deletableRow(p, 't')}`,
  ),
);

/** The same for a manifest whose tags are about to be ended, if it has a visible one. */
export const endChildTagsOnManifestDeleteStatement = defineStatement<ManifestRows>((p) =>
  endTimedChildTags(
    p.nowMs,
    sql`SELECT t.manifest_id AS id FROM ${tag} t
      WHERE t.manifest_id = ${p.manifestId} AND t.hidden = 0 AND ${isAlive('t', p.nowMs)} LIMIT 1`,
  ),
);

/** Says that the set of alive visible tags changes in this batch, whatever else happens in it. */
export const raiseTagsGenerationStatement = defineStatement<{ repositoryId: number }>(
  (p) => sql`
    UPDATE ${repository} SET tags_generation = tags_generation + 1 WHERE id = ${p.repositoryId}`,
);

/** The same of each repository of a JSON list of ids. */
export const raiseTagsGenerationsStatement = defineStatement<{ repositoryIds: string }>(
  (p) => sql`
    UPDATE ${repository} SET tags_generation = tags_generation + 1
    WHERE id IN (SELECT named.value FROM json_each(${p.repositoryIds}) named)`,
);

/** The same, if the statement before this one ended or began a tag. */
export const raiseTagsGenerationIfWrittenStatement = defineStatement<{ repositoryId: number }>(
  (p) => sql`
    UPDATE ${repository} SET tags_generation = tags_generation + 1
    WHERE ${precedingStatementWrote} AND id = ${p.repositoryId}`,
);

/** The same, if the manifest has an alive visible tag. */
export const raiseTagsGenerationOnManifestDeleteStatement = defineStatement<
  ManifestRows & { repositoryId: number }
>(
  (p) => sql`
    UPDATE ${repository} SET tags_generation = tags_generation + 1
    WHERE id = ${p.repositoryId} AND EXISTS (
      SELECT 1 FROM ${tag} t
      WHERE t.manifest_id = ${p.manifestId} AND t.hidden = 0 AND ${isAlive('t', p.nowMs)})`,
);
