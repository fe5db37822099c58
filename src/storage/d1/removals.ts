import { type SQL, sql } from 'drizzle-orm';

import type { Digest } from '../../model/digest.ts';
import type { TagName } from '../../model/names.ts';
import type { EpochMs } from '../../model/time.ts';
import { repositoryIsLive } from './conditions.ts';
import { gcRemoval } from './schema/garbage.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** What garbage collection wrote down. Ids grow with time, so their order is that of the removals. */

export type RemovalReason = 'window_passed' | 'unreferenced' | 'repository_deleted';

/** Something that was removed. */
export interface Removal {
  readonly kind: 'tag' | 'manifest' | 'blob';
  readonly reason: RemovalReason;
  readonly removedMs: EpochMs;
  /** Of a tag: that of the manifest it pointed to. */
  readonly digest: Digest;
  /** Of a manifest or a blob. */
  readonly sizeBytes: number | null;
  /** Of a tag. */
  readonly tagName: TagName | null;
  /** When a tag had ended; null if it was alive until its repository was deleted. */
  readonly endedMs: EpochMs | null;
}

/** With the record's id, which a page goes on after. */
export interface RemovalRow {
  readonly id: number;
  readonly removal: Removal;
}

interface RawRemoval {
  id: number;
  kind: string;
  reason: string;
  removedMs: number;
  digest: string;
  sizeBytes: number | null;
  tagName: string | null;
  endedMs: number | null;
}

const removalColumns: SQL = sql.raw(`
  gone.id AS id, gone.kind AS kind, gone.reason AS reason, gone.removed_ms AS removedMs,
  gone.digest AS digest, gone.size_bytes AS sizeBytes, gone.tag_name AS tagName,
  gone.ended_ms AS endedMs`);

const toRemovalRow = (row: RawRemoval): RemovalRow => ({
  id: row.id,
  removal: {
    kind: row.kind as Removal['kind'],
    reason: row.reason as RemovalReason,
    removedMs: row.removedMs as EpochMs,
    digest: row.digest as Digest,
    sizeBytes: row.sizeBytes,
    tagName: row.tagName as TagName | null,
    endedMs: row.endedMs as EpochMs | null,
  },
});

export type RemovalsValues = { repositoryId: number; beforeId: number; limit: number };

const definePage = <Values extends RemovalsValues>(
  index: string,
  condition: (p: Parameters<Values>) => SQL,
) =>
  defineStatement<Values, RawRemoval, RemovalRow>(
    (p) => sql`
    SELECT ${removalColumns} FROM ${gcRemoval} gone INDEXED BY ${sql.raw(index)}
    WHERE gone.repository_id = ${p.repositoryId} AND gone.id < ${p.beforeId}
      AND ${condition(p)} AND ${repositoryIsLive(p.repositoryId)}
    ORDER BY gone.id DESC LIMIT ${p.limit}`,
    toRemovalRow,
  );

/** What a repository lost, the last first. */
export const removalsStatement = definePage('gc_removal_repository', () => sql`true`);

/** The same of one name. */
export const removalsOfTagStatement = definePage<RemovalsValues & { tagName: string }>(
  'gc_removal_tag',
  (p) => sql`gone.tag_name = ${p.tagName}`,
);

/** The same of one manifest: itself, and the tags that pointed to it, all or those of a name. */
export const removalsOfManifestStatement = definePage<
  RemovalsValues & { digest: string; tagName: string | null }
>(
  'gc_removal_digest',
  (p) => sql`gone.digest = ${p.digest}
      AND (${p.tagName} IS NULL OR gone.tag_name = ${p.tagName})`,
);

/** The last removal of a blob, from the whole registry. */
export const lastRemovalOfBlobStatement = defineStatement<
  { digest: string },
  RawRemoval,
  RemovalRow
>(
  (p) => sql`
    SELECT ${removalColumns} FROM ${gcRemoval} gone INDEXED BY gc_removal_digest
    WHERE gone.digest = ${p.digest} AND gone.repository_id IS NULL
    ORDER BY gone.id DESC LIMIT 1`,
  toRemovalRow,
);

/**
 * Forgets the oldest removals, those until a time. It steps from one to the next and stops at the
 * first that is younger, so that with nothing to do it reads five rows.
 */
export const deleteOldRemovalsStatement = defineStatement<
  { untilMs: number; limit: number },
  { removalId: number }
>(
  (p) => sql`
    WITH RECURSIVE old(id) AS (
      SELECT first.id FROM (SELECT gone.id, gone.removed_ms FROM ${gcRemoval} gone
        WHERE gone.id > 0 ORDER BY gone.id LIMIT 1) first
      WHERE first.removed_ms <= ${p.untilMs}
      UNION ALL
      SELECT next.id FROM old CROSS JOIN ${gcRemoval} next
        ON next.id = (SELECT min(later.id) FROM ${gcRemoval} later WHERE later.id > old.id)
      WHERE next.removed_ms <= ${p.untilMs}
      LIMIT ${p.limit})
    DELETE FROM ${gcRemoval} WHERE id IN (SELECT old.id FROM old) RETURNING id AS removalId`,
);
