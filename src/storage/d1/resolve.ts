import { sql } from 'drizzle-orm';

import type { Blob, Tag } from '../../model/datatypes.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { isAlive, isAvailable, isVisibleBlob } from './conditions.ts';
import type { RepositoryNameValues } from './repositories.ts';
import {
  type BlobRow,
  type ManifestBodyRow,
  type ManifestRow,
  type RepositoryRow,
  type StoredManifest,
  type TagRow,
  blobColumns,
  manifestBodyColumnsIf,
  manifestColumns,
  repositoryColumns,
  tagColumns,
  toBlob,
  toRepositoryRef,
  toStoredManifest,
  toTag,
} from './rows.ts';
import { blob } from './schema/blobs.ts';
import { manifest } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { defineStatement } from './statement.ts';

/**
 * The pull path: the repository's row and the thing in it, by name, in one statement. Whatever is
 * null on the right of the join is absent; without a row there is no such repository.
 */

/** The columns of a left join's right side. */
export type Nullable<Row> = { [Column in keyof Row]: Row[Column] | null };
/** All of those columns are there, or none is. */
export const present = <Row extends object>(row: Nullable<Row>, id: keyof Row): Row | null =>
  row[id] === null ? null : (row as Row);

/** The live repository of a name, as `r`, and its namespace, as `n`. */
export const repositoryByName = (p: { namespace: unknown; repository: unknown }) => sql`
    ${namespace} n CROSS JOIN ${repository} r
      ON r.namespace_id = n.id AND r.name = ${p.repository} AND r.state <> 3`;

export interface ResolvedTag {
  readonly repository: RepositoryRef;
  readonly found: { readonly tag: Tag; readonly manifest: StoredManifest } | null;
  /** Only where nothing was found: whether the name has a generation that is over. */
  readonly hasEnded: boolean;
}

/** A repository, the alive tag of a name in it, and that tag's manifest with its body. */
export const resolveTagStatement = defineStatement<
  RepositoryNameValues & { tagName: string; nowMs: number; withBody: number },
  RepositoryRow & Nullable<TagRow & ManifestBodyRow> & { hasEnded: number | null },
  ResolvedTag
>(
  (p) => sql`
    SELECT ${repositoryColumns}, ${tagColumns}, ${manifestColumns},
      ${manifestBodyColumnsIf(p.withBody)},
      CASE WHEN t.id IS NULL THEN EXISTS (
        SELECT 1 FROM ${tag} ended INDEXED BY tag_name_history
        WHERE ended.repository_id = r.id AND ended.name = ${p.tagName} AND ended.hidden = 0
          AND ended.lifetime_end_ms <= ${p.nowMs}) END AS hasEnded
    FROM ${repositoryByName(p)}
      LEFT JOIN ${tag} t INDEXED BY tag_current_name ON t.repository_id = r.id
        AND t.name = ${p.tagName} AND t.hidden = 0 AND ${isAlive('t', p.nowMs)}
      LEFT JOIN ${manifest} m ON m.id = t.manifest_id
    WHERE n.name = ${p.namespace}`,
  (row) => {
    const found = present<TagRow & ManifestBodyRow>(row, 'tagId');
    return {
      repository: toRepositoryRef(row),
      found: found && { tag: toTag(found), manifest: toStoredManifest(found) },
      hasEnded: row.hasEnded === 1,
    };
  },
);

export interface ResolvedManifest {
  readonly repository: RepositoryRef;
  readonly manifest: StoredManifest | null;
}

/** A repository, and the manifest of a digest in it if an alive tag, hidden or not, holds it. */
export const resolveManifestStatement = defineStatement<
  RepositoryNameValues & { digest: string; nowMs: number; withBody: number },
  RepositoryRow & Nullable<ManifestRow & ManifestBodyRow>,
  ResolvedManifest
>(
  (p) => sql`
    SELECT ${repositoryColumns}, ${manifestColumns},
      ${manifestBodyColumnsIf(p.withBody)}
    FROM ${repositoryByName(p)}
      LEFT JOIN ${manifest} m ON m.repository_id = r.id AND m.digest = ${p.digest}
        AND ${isAvailable(sql`m.id`, { nowMs: p.nowMs, hidden: true })}
    WHERE n.name = ${p.namespace}`,
  (row) => {
    const found = present<ManifestRow & ManifestBodyRow>(row, 'manifestId');
    return { repository: toRepositoryRef(row), manifest: found && toStoredManifest(found) };
  },
);

export interface ResolvedBlob {
  readonly repository: RepositoryRef;
  readonly blob: Blob | null;
}

/** A repository, and the blob of a digest if it can be seen from there. */
export const resolveBlobStatement = defineStatement<
  RepositoryNameValues & { digest: string },
  RepositoryRow & Nullable<BlobRow>,
  ResolvedBlob
>(
  (p) => sql`
    SELECT ${repositoryColumns}, ${blobColumns}
    FROM ${repositoryByName(p)}
      LEFT JOIN ${blob} b ON b.digest = ${p.digest} AND ${isVisibleBlob('b', sql`r.id`)}
    WHERE n.name = ${p.namespace}`,
  (row) => {
    const found = present<BlobRow>(row, 'blobUuid');
    return { repository: toRepositoryRef(row), blob: found && toBlob(found) };
  },
);
