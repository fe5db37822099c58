import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';

/** Conditions that several statements share, so that each of them has one wording. */

type Value = Placeholder | SQL;

/** The tag row is the newest generation of its name, and it is not over. */
export function isAlive(tagAlias: string, nowMs: Value): SQL {
  const end = sql.raw(`${tagAlias}.lifetime_end_ms`);
  return sql`${sql.raw(tagAlias)}.is_current = 1 AND (${end} IS NULL OR ${end} > ${nowMs})`;
}

/**
 * The blob may be seen from the repository: leased to it (an expired lease shows the blob until
 * garbage collection takes the row), linked to a manifest of it, or the shared empty layer.
 */
export function isVisibleBlob(blobAlias: string, repositoryId: Value): SQL {
  const id = sql.raw(`${blobAlias}.id`);
  return sql`(${sql.raw(blobAlias)}.digest = ${sql.raw(`'${EMPTY_BLOB_DIGEST}'`)}
    OR EXISTS (SELECT 1 FROM uploaded_blob lease
      WHERE lease.blob_id = ${id} AND lease.repository_id = ${repositoryId})
    OR EXISTS (SELECT 1 FROM manifest_blob link
      WHERE link.blob_id = ${id} AND link.repository_id = ${repositoryId}))`;
}

/**
 * An alive tag holds the manifest, itself or by one of the indexes it is in, however deep. The
 * manifest's own tags are asked first, which saves the walk for everything that is tagged.
 */
export function isAvailable(manifestId: SQL, options: { nowMs: Value; hidden: boolean }): SQL {
  const { nowMs, hidden } = options;
  const visible = hidden ? sql`` : sql`AND held.hidden = 0`;
  return sql`(EXISTS (SELECT 1 FROM tag held
      WHERE held.manifest_id = ${manifestId} AND ${isAlive('held', nowMs)} ${visible})
    OR EXISTS (
      WITH RECURSIVE ancestor(id) AS (
        SELECT link.manifest_id FROM manifest_child link WHERE link.child_manifest_id = ${manifestId}
        UNION
        SELECT link.manifest_id FROM ancestor
          CROSS JOIN manifest_child link ON link.child_manifest_id = ancestor.id
      )
      SELECT 1 FROM ancestor CROSS JOIN tag held ON held.manifest_id = ancestor.id
      WHERE ${isAlive('held', nowMs)} ${visible}))`;
}

/** No index has the manifest, and no manifest of its repository refers to it. */
export function isUnreferencedByManifests(manifestAlias: string): SQL {
  const m = sql.raw(manifestAlias);
  return sql`NOT EXISTS (SELECT 1 FROM manifest_child parent
        WHERE parent.child_manifest_id = ${m}.id)
      AND NOT EXISTS (SELECT 1 FROM manifest referrer
        WHERE referrer.repository_id = ${m}.repository_id
          AND referrer.subject_digest = ${m}.digest)`;
}

/** The name is one that cosign gives to what belongs to a manifest: `sha256-<hex>.sig` and so on. */
export function isSignatureName(name: SQL): SQL {
  return sql`(substr(${name}, 1, 7) = 'sha256-' AND substr(${name}, 72) IN ('.sig', '.att', '.sbom')
    AND substr(${name}, 8, 64) NOT GLOB '*[^0-9a-f]*')`;
}

/** The repository exists and is not marked for deletion. */
export function repositoryIsLive(repositoryId: Value): SQL {
  return sql`EXISTS (SELECT 1 FROM repository live
    WHERE live.id = ${repositoryId} AND live.state <> 3)`;
}

/** The row of `namespace` is not marked for deletion, under whatever name. */
export function namespaceIsLive(namespaceId: Value): SQL {
  return sql`NOT EXISTS (SELECT 1 FROM deleted_namespace gone
    WHERE gone.namespace_id = ${namespaceId})`;
}

/** The repository is marked for deletion: all that is in it may go. */
export function repositoryIsMarked(repositoryId: Value): SQL {
  return sql`EXISTS (SELECT 1 FROM repository marked
    WHERE marked.id = ${repositoryId} AND marked.state = 3)`;
}

/**
 * The time machine's window of a repository in seconds; no row for one that is being deleted, or
 * whose namespace is disabled, where nothing is collected.
 */
export function collectableWindow(repositoryId: Value): SQL {
  return sql`SELECT owner.removed_tag_expiration_s FROM repository held
        CROSS JOIN namespace owner ON owner.id = held.namespace_id AND owner.enabled = 1
      WHERE held.id = ${repositoryId} AND held.state <> 3`;
}

/**
 * The statement before this one, in the same batch, changed a row. It tells a write that found what
 * it looked for from one that did not, which no look at the rows could: another caller may have
 * done the same in the same millisecond.
 */
export const precedingStatementWrote: SQL = sql.raw('changes() > 0');
