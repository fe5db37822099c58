import { type SQL, sql } from 'drizzle-orm';

import { isAlive, repositoryIsLive } from './conditions.ts';
import { tagNotificationSuccess } from './schema/security.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The two things that may change about a generation while it is alive: when it ends, and whether it
 * is locked. Each bears on the other, so every statement that writes the one looks at both.
 */

/** What a change of a generation is decided by. */
export interface ChangeableTag {
  readonly repositoryId: number;
  readonly tagName: string;
  readonly startMs: number;
  readonly endMs: number | null;
  readonly immutable: boolean;
}

type Now = { nowMs: number };
/** `lockedMayEnd` is 1 if an immutable tag may be given an end. */
type LockRule = { lockedMayEnd: number };

const isChangeable = (p: Parameters<Now>, alias: string): SQL => sql`${sql.raw(alias)}.hidden = 0
    AND ${isAlive(alias, p.nowMs)} AND ${repositoryIsLive(sql.raw(`${alias}.repository_id`))}`;

/** The alive visible row of an id. */
export const changeableTagStatement = defineStatement<
  Now & { tagId: number },
  Omit<ChangeableTag, 'immutable'> & { immutable: number },
  ChangeableTag
>(
  (p) => sql`
    SELECT t.repository_id AS repositoryId, t.name AS tagName, t.lifetime_start_ms AS startMs,
      t.lifetime_end_ms AS endMs, t.immutable AS immutable
    FROM ${tag} t WHERE t.id = ${p.tagId} AND ${isChangeable(p, 't')}`,
  (row) => ({ ...row, immutable: row.immutable === 1 }),
);

/** Forgets for which of some tags it was notified that they will end. */
const dropExpiryMarks = (tagIds: SQL): SQL => sql`
    DELETE FROM ${tagNotificationSuccess} WHERE tag_id IN (${tagIds})`;

type ChangedEnd = Now &
  LockRule & { tagId: number; endMs: number | null; seenEndMs: number | null };

const endMayChange = (p: Parameters<ChangedEnd>, alias: string): SQL => {
  const t = sql.raw(alias);
  return sql`${t}.id = ${p.tagId} AND ${isChangeable(p, alias)}
    AND ${t}.lifetime_end_ms IS ${p.seenEndMs}
    AND (${t}.immutable = 0 OR ${p.endMs} IS NULL OR ${p.lockedMayEnd})`;
};

/**
 * Gives a generation another end if it still has the one that was seen; a row comes back only if
 * this call did.
 */
export const changeEndStatement = defineStatement<ChangedEnd, { tagId: number }>(
  (p) => sql`
    UPDATE ${tag} SET lifetime_end_ms = ${p.endMs}
    WHERE ${endMayChange(p, 'tag')} RETURNING id AS tagId`,
);

/** Stands before the statement above, while the condition of the two still holds. */
export const dropMarksOnChangedEndStatement = defineStatement<ChangedEnd>((p) =>
  dropExpiryMarks(sql`SELECT t.id FROM ${tag} t WHERE ${endMayChange(p, 't')}`),
);

type EndsOfManifest = Now & LockRule & { manifestId: number };

const endsMayChange = (p: Parameters<EndsOfManifest>, alias: string): SQL => {
  const t = sql.raw(alias);
  return sql`${t}.manifest_id = ${p.manifestId} AND ${isChangeable(p, alias)}
    AND (${t}.immutable = 0 OR ${p.lockedMayEnd})`;
};

/** Ends every tag of a manifest so many ms after its own start, which may be over. */
export const changeEndsOfManifestStatement = defineStatement<
  EndsOfManifest & { lifetimeMs: number },
  { tagId: number }
>(
  (p) => sql`
    UPDATE ${tag} SET lifetime_end_ms = lifetime_start_ms + ${p.lifetimeMs}
    WHERE ${endsMayChange(p, 'tag')} RETURNING id AS tagId`,
);

/** Stands before the statement above. */
export const dropMarksOnChangedEndsStatement = defineStatement<EndsOfManifest>((p) =>
  dropExpiryMarks(sql`SELECT t.id FROM ${tag} t WHERE ${endsMayChange(p, 't')}`),
);

/** The tags of a manifest that end so many ms after their start, by whoever gave them that end. */
export const tagsLivingForStatement = defineStatement<
  LockRule & { manifestId: number; lifetimeMs: number },
  { tagId: number }
>(
  (p) => sql`
    SELECT t.id AS tagId FROM ${tag} t
    WHERE t.manifest_id = ${p.manifestId} AND t.is_current = 1 AND t.hidden = 0
      AND t.lifetime_end_ms = t.lifetime_start_ms + ${p.lifetimeMs}
      AND (t.immutable = 0 OR ${p.lockedMayEnd})`,
);

/**
 * Locks or unlocks a generation if it still has the lock that was seen, and no end that a locked one
 * may not have; a row comes back only if this call did.
 */
export const changeLockStatement = defineStatement<
  Now & LockRule & { tagId: number; immutable: number; seenImmutable: number },
  { tagId: number }
>(
  (p) => sql`
    UPDATE ${tag} SET immutable = ${p.immutable}
    WHERE id = ${p.tagId} AND ${isChangeable(p, 'tag')} AND immutable = ${p.seenImmutable}
      AND (NOT ${p.immutable} OR lifetime_end_ms IS NULL OR ${p.lockedMayEnd})
    RETURNING id AS tagId`,
);

type LocksOfManifest = Now & LockRule & { manifestId: number; immutable: number };

/** Locks or unlocks every tag of a manifest; those that are locked lose an end they may not have. */
export const changeLocksOfManifestStatement = defineStatement<LocksOfManifest, { tagId: number }>(
  (p) => sql`
    UPDATE ${tag} SET immutable = ${p.immutable}, lifetime_end_ms =
      CASE WHEN ${p.immutable} AND NOT ${p.lockedMayEnd} THEN NULL ELSE lifetime_end_ms END
    WHERE manifest_id = ${p.manifestId} AND ${isChangeable(p, 'tag')} RETURNING id AS tagId`,
);

/** Stands before the statement above. */
export const dropMarksOnChangedLocksStatement = defineStatement<LocksOfManifest>((p) =>
  dropExpiryMarks(sql`
      SELECT t.id FROM ${tag} t WHERE t.manifest_id = ${p.manifestId} AND ${isChangeable(p, 't')}
        AND t.lifetime_end_ms IS NOT NULL AND ${p.immutable} AND NOT ${p.lockedMayEnd}`),
);
