import { sql } from 'drizzle-orm';

import type { Digest } from '../../model/digest.ts';
import { importIsHeld } from './imports.ts';
import { importItem, importTag } from './schema/imports.ts';
import { defineStatement } from './statement.ts';

/** What an import is to bring: tags, and the manifests and blobs that these stand on. */

type OfImport = { importId: number };
type Held = OfImport & { claimToken: string };

/** A tag whose meaning at the source is not known yet. */
export const unresolvedTagStatement = defineStatement<OfImport, { reference: string }>(
  (p) => sql`
    SELECT wanted.reference AS reference FROM ${importTag} wanted
    WHERE wanted.import_id = ${p.importId} AND wanted.digest IS NULL LIMIT 1`,
);

/** Writes down what a reference of the source means. */
export const resolveTagStatement = defineStatement<Held & { reference: string; digest: string }>(
  (p) => sql`
    UPDATE ${importTag} SET digest = ${p.digest}
    WHERE import_id = ${p.importId} AND reference = ${p.reference} AND ${importIsHeld(p)}`,
);

/** The tags that a manifest is to have. */
export const tagsOfImportedStatement = defineStatement<
  OfImport & { digest: string },
  { tagName: string }
>(
  (p) => sql`
    SELECT wanted.tag_name AS tagName FROM ${importTag} wanted
    WHERE wanted.import_id = ${p.importId} AND wanted.digest = ${p.digest}
    ORDER BY wanted.tag_name`,
);

/** A manifest or blob that is to be brought, as a JSON list has it. */
export interface NewImportItem {
  readonly kind: 'manifest' | 'blob';
  readonly digest: string;
  readonly sizeBytes: number;
  readonly level: number;
}

/**
 * Lists what is to be brought. A manifest that was listed before and now is named further down is
 * read anew, so that what it names moves down too.
 */
export const insertImportItemsStatement = defineStatement<Held & { items: string }>(
  (p) => sql`
    INSERT INTO ${importItem} (import_id, kind, digest, size_bytes, level)
    SELECT ${p.importId}, named.value ->> 'kind', named.value ->> 'digest',
      named.value ->> 'sizeBytes', named.value ->> 'level'
    FROM json_each(${p.items}) named WHERE ${importIsHeld(p)}
    ON CONFLICT (import_id, kind, digest) DO UPDATE
    SET level = excluded.level, state = iif(state = 'done', 'done', 'found')
    WHERE kind = 'manifest' AND level < excluded.level`,
);

/** How many items an import has, and what of its blobs is not here. */
export const importExtentStatement = defineStatement<
  OfImport,
  { items: number; missingBlobBytes: number }
>(
  (p) => sql`
    SELECT count(*) AS items,
      coalesce(sum(iif(item.kind = 'blob' AND item.state <> 'done', item.size_bytes, 0)), 0)
        AS missingBlobBytes
    FROM ${importItem} item WHERE item.import_id = ${p.importId}`,
);

/** Something that is still to be brought. */
export interface ImportItem {
  readonly itemId: number;
  readonly kind: 'manifest' | 'blob';
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly level: number;
  readonly state: 'found' | 'read';
  readonly uploadUuid: string | null;
}

/**
 * What comes next: manifests to be read, so that the extent is known; then blobs, those first that an
 * upload has begun with; then manifests to be stored, from the deepest up.
 */
export const nextImportItemStatement = defineStatement<OfImport, ImportItem>(
  (p) => sql`
    SELECT item.id AS itemId, item.kind AS kind, item.digest AS digest,
      item.size_bytes AS sizeBytes, item.level AS level, item.state AS state,
      item.upload_uuid AS uploadUuid
    FROM ${importItem} item INDEXED BY import_item_next
    WHERE item.import_id = ${p.importId} AND item.state IN ('found', 'read')
    ORDER BY item.state = 'read', item.kind = 'blob', item.upload_uuid IS NULL, item.level DESC,
      item.id
    LIMIT 1`,
);

type HeldItem = Held & { itemId: number };

/** Moves an item on. */
export const moveImportItemStatement = defineStatement<HeldItem & { state: 'read' | 'done' }>(
  (p) => sql`
    UPDATE ${importItem} SET state = ${p.state}
    WHERE id = ${p.itemId} AND import_id = ${p.importId} AND ${importIsHeld(p)}`,
);

/** Corrects what a manifest's size was taken to be before it was read. */
export const sizeImportItemStatement = defineStatement<HeldItem & { sizeBytes: number }>(
  (p) => sql`
    UPDATE ${importItem} SET size_bytes = ${p.sizeBytes}
    WHERE id = ${p.itemId} AND import_id = ${p.importId} AND ${importIsHeld(p)}`,
);

/** Gives a blob an upload that is about to be begun. */
export const setImportUploadStatement = defineStatement<HeldItem & { uploadUuid: string }>(
  (p) => sql`
    UPDATE ${importItem} SET upload_uuid = ${p.uploadUuid}
    WHERE id = ${p.itemId} AND import_id = ${p.importId} AND ${importIsHeld(p)}`,
);

/** Has blobs and manifests of a JSON list of digests brought again, which went away meanwhile. */
export const reopenImportItemsStatement = defineStatement<Held & { digests: string }>(
  (p) => sql`
    UPDATE ${importItem} SET state = iif(kind = 'blob', 'found', 'read'), upload_uuid = NULL
    WHERE import_id = ${p.importId} AND state = 'done' AND ${importIsHeld(p)}
      AND digest IN (SELECT gone.value FROM json_each(${p.digests}) gone)`,
);
