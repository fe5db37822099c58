import { type SQL, sql } from 'drizzle-orm';

import type { Tag } from '../../model/datatypes.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { isAlive, isAvailable } from './conditions.ts';
import type { RepositoryNameValues } from './repositories.ts';
import { type Nullable, present, repositoryByName } from './resolve.ts';
import {
  type ManifestBodyRow,
  type RepositoryRow,
  type StoredManifest,
  type TagRow,
  manifestBodyColumnsIf,
  manifestColumns,
  repositoryColumns,
  tagColumns,
  toRepositoryRef,
  toStoredManifest,
  toTag,
} from './rows.ts';
import { manifest } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { defineStatement, type Parameters } from './statement.ts';

/** A name, a moment of its past, and the present. */
type Moment = { tagName: string; atMs: number; nowMs: number };

/**
 * The id of the generation that a name had at a moment: start <= at < end. Of `repository r` and
 * `namespace n`.
 *
 * One row of the name is looked at, however many there are: the newest by (start, id) of those that
 * had begun. No older one can hold the moment, because in that order every generation ends before
 * or when the next one begins, and so before or when this one began, which is not after the moment.
 * Rows of no length, starts that another clock moved ahead, and gaps keep that order; a row whose
 * end was moved into the past only ends earlier.
 *
 * What ended before the time machine's window is passed over, whether or not it was collected yet:
 * it may go at any moment, and it includes what was put beyond recovery.
 */
const generationAt = (p: Parameters<Moment>): SQL => sql`(
        SELECT newest.id FROM (
          SELECT g.id AS id, g.lifetime_end_ms AS endMs
          FROM ${tag} g INDEXED BY tag_name_history
          WHERE g.repository_id = r.id AND g.name = ${p.tagName} AND g.hidden = 0
            AND g.lifetime_start_ms <= ${p.atMs}
          ORDER BY g.lifetime_start_ms DESC, g.id DESC LIMIT 1) newest
        WHERE newest.endMs IS NULL OR (newest.endMs > ${p.atMs}
          AND newest.endMs > ${p.nowMs} - n.removed_tag_expiration_s * 1000))`;

export interface ResolvedPastTag {
  readonly repository: RepositoryRef;
  /** The time machine's window of the namespace. */
  readonly windowSec: number;
  readonly found: {
    readonly tag: Tag;
    readonly manifest: StoredManifest;
    /** False: it is the alive tag of the literal name. */
    readonly isPast: boolean;
    /** Of the past: whether alive tags, hidden or not, hold the manifest until `heldUntilMs`. */
    readonly isHeld: boolean;
  } | null;
}

/**
 * A repository, the generation that a name had at a moment, and its manifest with its body. An
 * alive tag that is literally called `literalName` goes first; null is no tag's name.
 */
export const resolvePastTagStatement = defineStatement<
  RepositoryNameValues &
    Moment & { literalName: string | null; heldUntilMs: number; withBody: number },
  RepositoryRow &
    Nullable<TagRow & ManifestBodyRow & { isPast: number; isHeld: number }> & {
      windowSec: number;
    },
  ResolvedPastTag
>(
  (p) => sql`
    SELECT ${repositoryColumns}, n.removed_tag_expiration_s AS windowSec,
      ${tagColumns}, ${manifestColumns}, ${manifestBodyColumnsIf(p.withBody)},
      t.name = ${p.tagName} AS isPast, CASE WHEN t.name = ${p.tagName} THEN
        ${isAvailable(sql`m.id`, { nowMs: p.heldUntilMs, hidden: true })} END AS isHeld
    FROM ${repositoryByName(p)}
      LEFT JOIN ${tag} t ON t.id = coalesce((
        SELECT literal.id FROM ${tag} literal INDEXED BY tag_current_name
        WHERE literal.repository_id = r.id AND literal.name = ${p.literalName}
          AND literal.hidden = 0 AND ${isAlive('literal', p.nowMs)}), ${generationAt(p)})
      LEFT JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE n.name = ${p.namespace}`,
  (row) => {
    const found = present<TagRow & ManifestBodyRow>(row, 'tagId');
    return {
      repository: toRepositoryRef(row),
      windowSec: row.windowSec,
      found: found && {
        tag: toTag(found),
        manifest: toStoredManifest(found),
        isPast: row.isPast === 1,
        isHeld: row.isHeld === 1,
      },
    };
  },
);

/**
 * Begins a hidden generation on the manifest of the generation that a name had at a moment, unless
 * alive tags hold that manifest until `heldUntilMs` or longer.
 */
export const insertTempTagOfPastStatement = defineStatement<
  Moment & { repositoryId: number; tempTagName: string; endMs: number; heldUntilMs: number }
>(
  (p) => sql`
    INSERT INTO ${tag} (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
      is_current, hidden)
    SELECT r.id, ${p.tempTagName}, m.id, ${p.nowMs}, ${p.endMs}, 1, 1
    FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
      CROSS JOIN ${tag} t ON t.id = ${generationAt(p)}
      CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE r.id = ${p.repositoryId} AND r.state <> 3
      AND NOT ${isAvailable(sql`m.id`, { nowMs: p.heldUntilMs, hidden: true })}`,
);
