import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { PULL_HOLD_CHECK_MS, PULL_HOLD_EXTRA_MS } from '../../model/limits.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * Manifests that are kept because somebody pulled them by digest. A hold is a hidden tag like any
 * other temporary one, so whatever asks what keeps a manifest knows of it. Its name is made of the
 * manifest's id: a manifest has one at most, and it moves on with the pulls.
 */

/** What the names of holds begin with; those of other temporary tags go on with a UUID. */
const PULL_HOLD_PREFIX = '$temp-pulled-';

/** Whether a temporary tag is a hold. */
export function isPullHoldName(tagName: string): boolean {
  return tagName.startsWith(PULL_HOLD_PREFIX);
}

const MS_PER_DAY = 86_400_000;

/** So many days after the pull, as the namespace `n` has it; `extraMs` later. */
const daysAfter = (pulledMs: Placeholder, extraMs: number): SQL =>
  sql`${pulledMs} + n.held_by_pull_days * ${sql.raw(String(MS_PER_DAY))} + ${sql.raw(String(extraMs))}`;

/** Until when a hold that is made for a pull lasts, in a row of `namespace n`. */
export const pullHoldEnd = (pulledMs: Placeholder): SQL => daysAfter(pulledMs, PULL_HOLD_EXTRA_MS);

type Pulled = { manifestId: number; pulledMs: number };

/** A tag that `which` says held the manifest `m` when it was pulled, itself or by an index. */
const wasHeldBy = (p: Parameters<Pulled>, which: SQL): SQL => sql`EXISTS (
      WITH RECURSIVE holder(id) AS (
        SELECT m.id
        UNION
        SELECT link.manifest_id FROM holder
          CROSS JOIN ${manifestChild} link ON link.child_manifest_id = holder.id)
      SELECT 1 FROM holder CROSS JOIN ${manifest} h ON h.id = holder.id
        CROSS JOIN ${tag} t INDEXED BY tag_manifest ON t.manifest_id = h.id
      WHERE (h.deleted_ms IS NULL OR h.deleted_ms < ${p.pulledMs})
        AND (t.lifetime_end_ms IS NULL OR t.lifetime_end_ms > ${p.pulledMs}) AND ${which})`;

/**
 * A tag held the manifest when it was pulled, and no deletion by digest of what that tag is on came
 * since. Tags that were ended meanwhile count with `endedCounts`.
 *
 * A deletion wins whatever the clocks say: it is noted with a time that no end of the manifest's
 * tags is after (`markManifestDeletedStatement`), so a pull that one of those tags still held, at a
 * time before its end, is before that time.
 */
const wasHeldWhenPulled = (p: Parameters<Pulled & { endedCounts: number }>): SQL => sql`(
      ${wasHeldBy(p, sql`t.is_current = 1`)} OR (${p.endedCounts}
        AND ${wasHeldBy(p, sql`t.is_current = 0 AND t.lifetime_start_ms <= ${p.pulledMs}`)}))`;

/**
 * Holds a manifest that was pulled, if its namespace wants that: makes the hold, or lets it last
 * longer, never shorter. Writes nothing while a hidden tag, the hold or another, lasts an hour
 * longer than the pull asks for.
 */
export const holdPulledStatement = defineStatement<Pulled & { endedCounts: number }>(
  (p) => sql`
    INSERT INTO ${tag} (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
      is_current, hidden)
    SELECT m.repository_id, ${sql.raw(`'${PULL_HOLD_PREFIX}'`)} || m.id, m.id, ${p.pulledMs},
      ${pullHoldEnd(p.pulledMs)}, 1, 1
    FROM ${manifest} m CROSS JOIN ${repository} r ON r.id = m.repository_id AND r.state <> 3
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id AND n.held_by_pull_days > 0
    WHERE m.id = ${p.manifestId} AND (m.deleted_ms IS NULL OR m.deleted_ms < ${p.pulledMs})
      AND NOT EXISTS (
        SELECT 1 FROM ${tag} held INDEXED BY tag_manifest
        WHERE held.manifest_id = m.id AND held.is_current = 1 AND held.hidden = 1
          AND (held.lifetime_end_ms IS NULL
            OR held.lifetime_end_ms >= ${daysAfter(p.pulledMs, PULL_HOLD_CHECK_MS)}))
      AND ${wasHeldWhenPulled(p)}
    ON CONFLICT (repository_id, name) WHERE is_current = 1 DO UPDATE
      SET lifetime_end_ms = excluded.lifetime_end_ms`,
);

/**
 * Notes that a manifest was deleted by digest, where pulls hold manifests: what was pulled before
 * must not hold it. Stands behind what ends its tags, and is no earlier than any of their ends.
 */
export const markManifestDeletedStatement = defineStatement<{ manifestId: number; nowMs: number }>(
  (p) => sql`
    UPDATE ${manifest} SET deleted_ms = max(${p.nowMs}, coalesce((
      SELECT max(t.lifetime_end_ms) FROM ${tag} t INDEXED BY tag_manifest
      WHERE t.manifest_id = ${p.manifestId}), 0))
    WHERE id = ${p.manifestId} AND EXISTS (
      SELECT 1 FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
      WHERE r.id = manifest.repository_id AND n.held_by_pull_days > 0)`,
);
