import { type SQL, sql } from 'drizzle-orm';

import type { Import, ImportState } from '../../model/imports.ts';
import type { NamespaceName, RepositoryPath } from '../../model/names.ts';
import type { EpochMs } from '../../model/time.ts';
import { repositoryIsLive, repositoryIsMarked } from './conditions.ts';
import { importItem, importTag, repositoryImport } from './schema/imports.ts';
import { namespace, repository } from './schema/repositories.ts';
import { blobUpload } from './schema/uploads.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * Imports from other registries: their lives. One run at a time holds an import by a token; it lapses
 * at `due_ms`, which the run moves on. All that a run writes asks whether it is still held.
 */

type NewImport = {
  importUuid: string;
  repositoryId: number;
  source: string;
  credentials: string | null;
  nowMs: number;
  openMax: number;
};

/** Makes an import unless the repository has as many open ones as it may; a row if it was made. */
export const insertImportStatement = defineStatement<NewImport, { importId: number }>(
  (p) => sql`
    INSERT INTO ${repositoryImport} (uuid, repository_id, source, credentials, due_ms, created_ms)
    SELECT ${p.importUuid}, ${p.repositoryId}, ${p.source}, ${p.credentials}, ${p.nowMs}, ${p.nowMs}
    WHERE ${repositoryIsLive(p.repositoryId)} AND (
      SELECT count(*) FROM ${repositoryImport} open
      WHERE open.repository_id = ${p.repositoryId} AND open.ended_ms IS NULL) < ${p.openMax}
    ON CONFLICT (uuid) DO NOTHING RETURNING id AS importId`,
);

/** Gives a new import its tags: a JSON list of `[tag, reference]`, with a digest what it means. */
export const insertImportTagsStatement = defineStatement<{ importUuid: string; tags: string }>(
  (p) => sql`
    INSERT INTO ${importTag} (import_id, tag_name, reference)
    SELECT i.id, wanted.value ->> 0, wanted.value ->> 1
    FROM ${repositoryImport} i CROSS JOIN json_each(${p.tags}) wanted
    WHERE i.uuid = ${p.importUuid} ON CONFLICT DO NOTHING`,
);

type ImportRow = Omit<Import, 'createdMs' | 'endedMs' | 'state'> & {
  state: string;
  createdMs: number;
  endedMs: number | null;
};

const importColumns = sql`
      i.uuid AS uuid, i.source AS source, i.state AS state, i.error AS error,
      i.created_ms AS createdMs, i.ended_ms AS endedMs,
      (SELECT coalesce(sum(item.size_bytes), 0) FROM ${importItem} item
        WHERE item.import_id = i.id) AS bytesTotal,
      (SELECT coalesce(sum(iif(item.state = 'done', item.size_bytes, coalesce(u.byte_count, 0))), 0)
        FROM ${importItem} item LEFT JOIN ${blobUpload} u ON u.uuid = item.upload_uuid
        WHERE item.import_id = i.id) AS bytesDone`;

const toImport = (row: ImportRow): Import => ({
  ...row,
  state: row.state as ImportState,
  createdMs: row.createdMs as EpochMs,
  endedMs: row.endedMs as EpochMs | null,
});

type OfRepository = { repositoryId: number };

/** An import of a repository. */
export const importStatement = defineStatement<
  OfRepository & { importUuid: string },
  ImportRow,
  Import
>(
  (p) => sql`
    SELECT ${importColumns} FROM ${repositoryImport} i
    WHERE i.uuid = ${p.importUuid} AND i.repository_id = ${p.repositoryId}`,
  toImport,
);

/** The newest imports of a repository. */
export const importsStatement = defineStatement<
  OfRepository & { limit: number },
  ImportRow,
  Import
>(
  (p) => sql`
    SELECT ${importColumns} FROM ${repositoryImport} i
    WHERE i.repository_id = ${p.repositoryId} ORDER BY i.id DESC LIMIT ${p.limit}`,
  toImport,
);

/** An import as a run took it up. */
export interface TakenImport {
  readonly importId: number;
  readonly uuid: string;
  readonly source: string;
  readonly credentials: string | null;
  readonly attempts: number;
  readonly createdMs: number;
}

/** Takes an import up: the one asked for if it is due, or whichever has been due for the longest. */
const take = (p: Parameters<{ claimToken: string; claimUntilMs: number }>, which: SQL): SQL => sql`
    UPDATE ${repositoryImport}
    SET state = 'running', claim_token = ${p.claimToken}, due_ms = ${p.claimUntilMs}
    WHERE id = (${which})
    RETURNING id AS importId, uuid AS uuid, source AS source, credentials AS credentials,
      attempts AS attempts, created_ms AS createdMs`;

type Taking = { claimToken: string; claimUntilMs: number; nowMs: number };

export const takeDueImportStatement = defineStatement<Taking, TakenImport>((p) =>
  take(
    p,
    sql`SELECT i.id FROM ${repositoryImport} i INDEXED BY repository_import_due
      WHERE i.due_ms <= ${p.nowMs} ORDER BY i.due_ms LIMIT 1`,
  ),
);
export const takeImportStatement = defineStatement<Taking & { importUuid: string }, TakenImport>(
  (p) =>
    take(
      p,
      sql`SELECT i.id FROM ${repositoryImport} i
      WHERE i.uuid = ${p.importUuid} AND i.due_ms <= ${p.nowMs}`,
    ),
);

/** Where an import goes. */
export interface ImportTarget {
  readonly repositoryId: number;
  readonly namespaceName: NamespaceName;
  readonly repositoryName: RepositoryPath;
}

/** The repository that an import goes to, if it takes pushes. */
export const importTargetStatement = defineStatement<{ importId: number }, ImportTarget>(
  (p) => sql`
    SELECT r.id AS repositoryId, n.name AS namespaceName, r.name AS repositoryName
    FROM ${repositoryImport} i CROSS JOIN ${repository} r ON r.id = i.repository_id
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    WHERE i.id = ${p.importId} AND r.state = 0 AND n.enabled = 1`,
);

type Held = { importId: number; claimToken: string };

/** The import is still this run's. */
export const importIsHeld = (p: Parameters<Held>): SQL => sql`EXISTS (
      SELECT 1 FROM ${repositoryImport} held
      WHERE held.id = ${p.importId} AND held.claim_token = ${p.claimToken})`;

/**
 * Keeps an import for a run that goes on, and says whether it is still held. A step that brought it
 * on takes its failures back.
 */
export const keepImportStatement = defineStatement<
  Held & { claimUntilMs: number; isProgress: number },
  { importId: number }
>(
  (p) => sql`
    UPDATE ${repositoryImport} SET due_ms = ${p.claimUntilMs},
      attempts = iif(${p.isProgress}, 0, attempts), error = iif(${p.isProgress}, NULL, error)
    WHERE id = ${p.importId} AND claim_token = ${p.claimToken} RETURNING id AS importId`,
);

/** Leaves an import to a later run. */
export const putImportOffStatement = defineStatement<
  Held & { dueMs: number; attempts: number; error: string | null }
>(
  (p) => sql`
    UPDATE ${repositoryImport} SET state = 'waiting', claim_token = NULL, due_ms = ${p.dueMs},
      attempts = ${p.attempts}, error = ${p.error}
    WHERE id = ${p.importId} AND claim_token = ${p.claimToken}`,
);

/** Ends an import, if it is still this run's; its credentials go with that. */
export const endImportStatement = defineStatement<
  Held & { state: 'done' | 'failed'; error: string | null; nowMs: number }
>(
  (p) => sql`
    UPDATE ${repositoryImport} SET state = ${p.state}, error = ${p.error}, credentials = NULL,
      claim_token = NULL, due_ms = NULL, ended_ms = ${p.nowMs}
    WHERE id = ${p.importId} AND claim_token = ${p.claimToken}`,
);

/** Ends an import of a repository whoever holds it; a row comes back if it had not ended. */
export const cancelImportStatement = defineStatement<
  OfRepository & { importUuid: string; nowMs: number },
  { importUuid: string }
>(
  (p) => sql`
    UPDATE ${repositoryImport} SET state = 'cancelled', error = NULL, credentials = NULL,
      claim_token = NULL, due_ms = NULL, ended_ms = ${p.nowMs}
    WHERE uuid = ${p.importUuid} AND repository_id = ${p.repositoryId} AND ended_ms IS NULL
    RETURNING uuid AS importUuid`,
);

/** The uploads that an import has not finished. */
export const uploadsOfImportStatement = defineStatement<
  { importUuid: string },
  { uploadId: string }
>(
  (p) => sql`
    SELECT u.uuid AS uploadId FROM ${repositoryImport} i
      CROSS JOIN ${importItem} item INDEXED BY import_item_next
        ON item.import_id = i.id AND item.state = 'found' AND item.kind = 'blob'
      CROSS JOIN ${blobUpload} u ON u.uuid = item.upload_uuid
    WHERE i.uuid = ${p.importUuid}`,
);

/** Forgets imports that ended long ago, the oldest first. */
export const deleteOldImportsStatement = defineStatement<
  { untilMs: number; limit: number },
  { importId: number }
>(
  (p) => sql`
    DELETE FROM ${repositoryImport} WHERE id IN (
      SELECT i.id FROM ${repositoryImport} i INDEXED BY repository_import_ended
      WHERE i.ended_ms <= ${p.untilMs} ORDER BY i.ended_ms LIMIT ${p.limit})
    RETURNING id AS importId`,
);

/** Removes imports of a repository that is marked for deletion; one at a time, for its items. */
export const deletePurgedImportsStatement = defineStatement<OfRepository, { removed: number }>(
  (p) => sql`
    DELETE FROM ${repositoryImport} WHERE id IN (
      SELECT i.id FROM ${repositoryImport} i
      WHERE i.repository_id = ${p.repositoryId} AND ${repositoryIsMarked(p.repositoryId)} LIMIT 1)
    RETURNING 1 AS removed`,
);
