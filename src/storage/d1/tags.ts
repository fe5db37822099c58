import { sql } from 'drizzle-orm';

import type { ShallowTag, Tag } from '../../model/datatypes.ts';
import type { TagName } from '../../model/names.ts';
import type { EpochMs } from '../../model/time.ts';
import { isAlive } from './conditions.ts';
import {
  type ManifestBodyRow,
  type ManifestRow,
  type StoredManifest,
  type TagRow,
  manifestBodyColumns,
  manifestColumns,
  tagColumns,
  toStoredManifest,
  toTag,
} from './rows.ts';
import { manifest } from './schema/manifests.ts';
import { tag } from './schema/tags.ts';
import { defineStatement } from './statement.ts';

type TagSlot = { repositoryId: number; tagName: string };

/** The alive visible tag of a name. */
export const aliveTagStatement = defineStatement<TagSlot & { nowMs: number }, TagRow, Tag>(
  (p) => sql`
    SELECT ${tagColumns}, ${manifestColumns}
    FROM ${tag} t INDEXED BY tag_current_name CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName}
      AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}`,
  toTag,
);

/** Of the names of a JSON list, the alive visible tag of the first that has one. */
export const firstAliveTagStatement = defineStatement<
  { repositoryId: number; tagNames: string; nowMs: number },
  TagRow,
  Tag
>(
  (p) => sql`
    SELECT ${tagColumns}, ${manifestColumns}
    FROM (
      SELECT held.* FROM json_each(${p.tagNames}) named
        CROSS JOIN ${tag} held INDEXED BY tag_current_name
          ON held.repository_id = ${p.repositoryId} AND held.name = named.value
      WHERE held.hidden = 0 AND ${isAlive('held', p.nowMs)}
      ORDER BY named.key LIMIT 1) t
      CROSS JOIN ${manifest} m ON m.id = t.manifest_id`,
  toTag,
);

/** The alive visible tag that was started last. */
export const mostRecentTagStatement = defineStatement<
  { repositoryId: number; nowMs: number },
  TagRow,
  Tag
>(
  (p) => sql`
    SELECT ${tagColumns}, ${manifestColumns}
    FROM ${tag} t INDEXED BY tag_current_history CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE t.repository_id = ${p.repositoryId} AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
    ORDER BY t.lifetime_start_ms DESC, t.name, t.id DESC LIMIT 1`,
  toTag,
);

/** For each repository of a JSON list of ids, when its last alive visible tag was started. */
export const mostRecentStartsStatement = defineStatement<
  { repositoryIds: string; nowMs: number },
  { repositoryId: number; startMs: EpochMs | null }
>(
  (p) => sql`
    SELECT named.value AS repositoryId, (
      SELECT t.lifetime_start_ms FROM ${tag} t INDEXED BY tag_current_history
      WHERE t.repository_id = named.value AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
      ORDER BY t.lifetime_start_ms DESC LIMIT 1) AS startMs
    FROM json_each(${p.repositoryIds}) named`,
);

/** The manifest that the alive visible tag of a name points to, with its body. */
export const aliveTagManifestStatement = defineStatement<
  TagSlot & { nowMs: number },
  ManifestRow & ManifestBodyRow,
  StoredManifest
>(
  (p) => sql`
    SELECT ${manifestColumns}, ${manifestBodyColumns}
    FROM ${tag} t INDEXED BY tag_current_name CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName}
      AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}`,
  toStoredManifest,
);

/** The newest visible generation of a name, alive or ended: no row of the name has a higher id. */
export const newestGenerationStatement = defineStatement<TagSlot, TagRow, Tag>(
  (p) => sql`
    SELECT ${tagColumns}, ${manifestColumns}
    FROM ${tag} t INDEXED BY tag_name_history CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.hidden = 0
    ORDER BY t.lifetime_start_ms DESC, t.id DESC LIMIT 1`,
  toTag,
);

/** The newest visible generation of each name of a JSON list, of those that have any. */
export const newestGenerationsStatement = defineStatement<
  { repositoryId: number; tagNames: string },
  TagRow,
  Tag
>(
  (p) => sql`
    SELECT ${tagColumns}, ${manifestColumns}
    FROM json_each(${p.tagNames}) named
      CROSS JOIN ${tag} t ON t.id = (
        SELECT newest.id FROM ${tag} newest INDEXED BY tag_name_history
        WHERE newest.repository_id = ${p.repositoryId} AND newest.name = named.value
          AND newest.hidden = 0
        ORDER BY newest.lifetime_start_ms DESC, newest.id DESC LIMIT 1)
      CROSS JOIN ${manifest} m ON m.id = t.manifest_id`,
  toTag,
);

/** One row if any visible generation of the name is over. */
export const endedGenerationStatement = defineStatement<
  TagSlot & { nowMs: number },
  { tagId: number }
>(
  (p) => sql`
    SELECT t.id AS tagId FROM ${tag} t INDEXED BY tag_name_history
    WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.hidden = 0
      AND t.lifetime_end_ms <= ${p.nowMs} LIMIT 1`,
);

/** The newest visible generation of a name that was ended at this very moment, by whoever it was. */
export const generationEndedAtStatement = defineStatement<TagSlot & { nowMs: number }, TagRow, Tag>(
  (p) => sql`
    SELECT ${tagColumns}, ${manifestColumns}
    FROM ${tag} t INDEXED BY tag_name_history CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.hidden = 0
      AND t.is_current = 0 AND t.lifetime_end_ms = max(${p.nowMs}, t.lifetime_start_ms)
    ORDER BY t.lifetime_start_ms DESC, t.id DESC LIMIT 1`,
  toTag,
);

/** A row of a page, and the end that the tag will have by itself, if any. */
export interface TagPageRow {
  readonly tag: ShallowTag;
  readonly endMs: number | null;
}

type TagPageValues = { repositoryId: number; afterName: string; limit: number; nowMs: number };

/** Alive visible tags with names after `afterName`, in byte order of their names. */
export const tagPageStatement = defineStatement<
  TagPageValues,
  { tagId: number; tagName: string; endMs: number | null },
  TagPageRow
>(
  (p) => sql`
    SELECT t.id AS tagId, t.name AS tagName, t.lifetime_end_ms AS endMs
    FROM ${tag} t INDEXED BY tag_current_name
    WHERE t.repository_id = ${p.repositoryId} AND t.name > ${p.afterName}
      AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
    ORDER BY t.name LIMIT ${p.limit}`,
  ({ tagId, tagName, endMs }) => ({ tag: { id: tagId, name: tagName as TagName }, endMs }),
);

/** The same tags whole, with their manifests. */
export const tagsStatement = defineStatement<TagPageValues, TagRow, Tag>(
  (p) => sql`
    SELECT ${tagColumns}, ${manifestColumns}
    FROM ${tag} t INDEXED BY tag_current_name CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE t.repository_id = ${p.repositoryId} AND t.name > ${p.afterName}
      AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
    ORDER BY t.name LIMIT ${p.limit}`,
  toTag,
);

/** The names of a manifest's own alive visible tags, in byte order. */
export const tagNamesOfManifestStatement = defineStatement<
  { manifestId: number; limit: number; nowMs: number },
  { tagName: string }
>(
  (p) => sql`
    SELECT t.name AS tagName FROM ${tag} t INDEXED BY tag_manifest
    WHERE t.manifest_id = ${p.manifestId} AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
    ORDER BY t.name LIMIT ${p.limit}`,
);

export interface TaggedManifest {
  readonly tagName: string;
  readonly manifestId: number;
}

/** What alive visible tags with names after `afterName` point to, in byte order of their names. */
export const taggedManifestsStatement = defineStatement<TagPageValues, TaggedManifest>(
  (p) => sql`
    SELECT t.name AS tagName, t.manifest_id AS manifestId
    FROM ${tag} t INDEXED BY tag_current_name
    WHERE t.repository_id = ${p.repositoryId} AND t.name > ${p.afterName}
      AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
    ORDER BY t.name LIMIT ${p.limit}`,
);

/** The first by name of a manifest's alive visible immutable tags. */
export const immutableTagOfManifestStatement = defineStatement<
  { manifestId: number; nowMs: number },
  { tagName: string }
>(
  (p) => sql`
    SELECT t.name AS tagName FROM ${tag} t INDEXED BY tag_manifest
    WHERE t.manifest_id = ${p.manifestId} AND t.hidden = 0 AND t.immutable = 1
      AND ${isAlive('t', p.nowMs)} ORDER BY t.name LIMIT 1`,
);

/** The tags of a manifest that were ended at this very moment, by whoever it was. */
export const tagsEndedAtStatement = defineStatement<
  { manifestId: number; nowMs: number },
  { tagId: number; tagName: string; hidden: number }
>(
  (p) => sql`
    SELECT t.id AS tagId, t.name AS tagName, t.hidden AS hidden
    FROM ${tag} t INDEXED BY tag_manifest
    WHERE t.manifest_id = ${p.manifestId} AND t.is_current = 0
      AND t.lifetime_end_ms = max(${p.nowMs}, t.lifetime_start_ms)`,
);
