import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { collectableWindow, isAlive, isUnreferencedByManifests } from './conditions.ts';
import { blob, manifestBlob } from './schema/blobs.ts';
import { gcManifestCandidate, gcRemoval } from './schema/garbage.ts';
import { manifest } from './schema/manifests.ts';
import { tag, tagPullStatistics } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The steps of garbage collection: what ended is removed from the top, tags, then manifests, then
 * leases, then blobs. Each step is one batch, and each of its statements proves again, at the
 * moment of writing, that what it removes is garbage. Whatever loses its last reference is put on a
 * list of candidates in the batch that takes the reference, so no crash leaves garbage that nobody
 * looks at; a candidate that is referenced again is simply dropped.
 */

/** `lockedMayGo` is 1 if an immutable generation that ended is garbage like any other. */
type Collectable = { repositoryId: number; nowMs: number; lockedMayGo: number };
export type EndedTags = Collectable & { limit: number };

/** Whether a generation may go: it ended before the time machine's window, and is not locked. */
export const isBeyondRecovery = (
  p: { [Name in keyof Collectable]: Placeholder | SQL },
  alias: string,
): SQL => {
  const t = sql.raw(alias);
  return sql`${t}.lifetime_end_ms IS NOT NULL
      AND ${t}.lifetime_end_ms <= ${p.nowMs} - 1000 * (${collectableWindow(p.repositoryId)})
      AND (${t}.immutable = 0 OR ${p.lockedMayGo})`;
};

/** Of `tag t`, what is asked of a tag that is about to go. */
export const removedTagColumns: SQL = sql`t.id AS id, t.name AS name, t.manifest_id AS manifest_id, t.hidden AS hidden,
      t.lifetime_end_ms AS ended_ms`;

/**
 * Generations of a repository that ended before the time machine's window. The window is read here
 * and not before, so that one which was just widened counts.
 */
const endedTags = (p: Parameters<EndedTags>): SQL => sql`
    SELECT ${removedTagColumns} FROM ${tag} t INDEXED BY tag_repo_end
    WHERE t.repository_id = ${p.repositoryId} AND ${isBeyondRecovery(p, 't')}
    ORDER BY t.lifetime_end_ms, t.id LIMIT ${p.limit}`;

/** `limit` counts manifests. */
export type TagsOfHolders = Collectable & { digest: string; limit: number };

/**
 * Those manifests of a repository that link a blob and are garbage already, though no run has been
 * there: every generation is beyond recovery, and no manifest names them.
 */
const garbageHolders = (p: Parameters<TagsOfHolders>): SQL => sql`
    SELECT m.id AS id
    FROM ${blob} b
      CROSS JOIN ${manifestBlob} link
        ON link.blob_id = b.id AND link.repository_id = ${p.repositoryId}
      CROSS JOIN ${manifest} m ON m.id = link.manifest_id
    WHERE b.digest = ${p.digest} AND ${isUnreferencedByManifests('m')}
      AND NOT EXISTS (SELECT 1 FROM ${tag} kept
        WHERE kept.manifest_id = m.id AND (${isBeyondRecovery(p, 'kept')}) IS NOT TRUE)
    LIMIT ${p.limit}`;

export const garbageHoldersStatement = defineStatement<TagsOfHolders, { manifestId: number }>(
  (p) => sql`SELECT holder.id AS manifestId FROM (${garbageHolders(p)}) holder`,
);

const tagsOfHolders = (p: Parameters<TagsOfHolders>): SQL => sql`
    SELECT ${removedTagColumns} FROM (${garbageHolders(p)}) holder
      CROSS JOIN ${tag} t ON t.manifest_id = holder.id`;

/** Puts the manifests of tags that are about to go on the list of what may be garbage. */
const enqueueManifests = (ended: SQL): SQL => sql`
    INSERT INTO ${gcManifestCandidate} (manifest_id)
    SELECT DISTINCT ended.manifest_id FROM (${ended}) ended
    WHERE true ON CONFLICT DO NOTHING`;
export const enqueueManifestsOfEndedTagsStatement = defineStatement<EndedTags>((p) =>
  enqueueManifests(endedTags(p)),
);
export const enqueueHoldersStatement = defineStatement<TagsOfHolders>((p) =>
  enqueueManifests(tagsOfHolders(p)),
);

/** Forgets how often names were pulled that have no alive tag, as their generations go. */
const deleteStatistics = (p: Parameters<Collectable>, ended: SQL): SQL => sql`
    DELETE FROM ${tagPullStatistics} WHERE repository_id = ${p.repositoryId}
      AND tag_name IN (SELECT ended.name FROM (${ended}) ended)
      AND NOT EXISTS (SELECT 1 FROM ${tag} other INDEXED BY tag_current_name
        WHERE other.repository_id = ${p.repositoryId}
          AND other.name = tag_pull_statistics.tag_name AND ${isAlive('other', p.nowMs)})`;
export const deleteStatisticsOfEndedTagsStatement = defineStatement<EndedTags>((p) =>
  deleteStatistics(p, endedTags(p)),
);
export const deleteStatisticsOfHoldersStatement = defineStatement<TagsOfHolders>((p) =>
  deleteStatistics(p, tagsOfHolders(p)),
);

/** Writes down which tags are about to go; temporary ones never were anybody's. */
export const recordTags = (
  p: Parameters<{ repositoryId: number; nowMs: number }>,
  reason: 'window_passed' | 'repository_deleted',
  ended: SQL,
): SQL => sql`
    INSERT INTO ${gcRemoval} (removed_ms, kind, reason, repository_id, digest, tag_name, ended_ms)
    SELECT ${p.nowMs}, 'tag', ${sql.raw(`'${reason}'`)}, ${p.repositoryId}, m.digest, ended.name,
      ended.ended_ms
    FROM (${ended}) ended CROSS JOIN ${manifest} m ON m.id = ended.manifest_id
    WHERE ended.hidden = 0`;
export const recordEndedTagsStatement = defineStatement<EndedTags>((p) =>
  recordTags(p, 'window_passed', endedTags(p)),
);
export const recordTagsOfHoldersStatement = defineStatement<TagsOfHolders>((p) =>
  recordTags(p, 'window_passed', tagsOfHolders(p)),
);

/** Removes the tags; stands last, for the others look at what it removes. */
export const deleteTags = (ended: SQL): SQL => sql`
    DELETE FROM ${tag} WHERE id IN (SELECT ended.id FROM (${ended}) ended)
    RETURNING id AS tagId`;
export type DeletedTag = { tagId: number };
export const deleteEndedTagsStatement = defineStatement<EndedTags, DeletedTag>((p) =>
  deleteTags(endedTags(p)),
);
export const deleteTagsOfHoldersStatement = defineStatement<TagsOfHolders, DeletedTag>((p) =>
  deleteTags(tagsOfHolders(p)),
);
