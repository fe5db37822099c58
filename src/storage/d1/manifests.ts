import { type SQL, sql } from 'drizzle-orm';

import { EXPIRES_AFTER_LABEL, IMMUTABLE_LABEL } from '../../image/labels.ts';
import type { ManifestInfo } from '../../model/references.ts';
import { isAvailable, isVisibleBlob } from './conditions.ts';
import {
  type ManifestBodyRow,
  type ManifestRow,
  type StoredManifest,
  manifestBodyColumns,
  manifestColumns,
  toManifestInfo,
  toStoredManifest,
} from './rows.ts';
import { blob, manifestBlob } from './schema/blobs.ts';
import { manifestLabel } from './schema/labels.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { defineStatement } from './statement.ts';

type ManifestKey = { repositoryId: number; digest: string };

/** The manifest of a digest, whether anything holds it or not. */
export const manifestByDigestStatement = defineStatement<
  ManifestKey,
  ManifestRow & ManifestBodyRow,
  StoredManifest
>(
  (p) => sql`
    SELECT ${manifestColumns}, ${manifestBodyColumns} FROM ${manifest} m
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}`,
  toStoredManifest,
);

/** The manifest of a digest without the body. */
export const manifestInfoByDigestStatement = defineStatement<
  ManifestKey,
  ManifestRow,
  ManifestInfo
>(
  (p) => sql`
    SELECT ${manifestColumns} FROM ${manifest} m
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}`,
  toManifestInfo,
);

/** The manifest of an id in its repository, whether anything holds it or not. */
export const manifestByIdStatement = defineStatement<
  { repositoryId: number; manifestId: number },
  ManifestRow & ManifestBodyRow,
  StoredManifest
>(
  (p) => sql`
    SELECT ${manifestColumns}, ${manifestBodyColumns} FROM ${manifest} m
    WHERE m.id = ${p.manifestId} AND m.repository_id = ${p.repositoryId}`,
  toStoredManifest,
);

/** The manifest of a digest that an alive tag holds; `hidden` says whether temporary ones count. */
const availableManifest = (hidden: boolean) =>
  defineStatement<ManifestKey & { nowMs: number }, ManifestRow & ManifestBodyRow, StoredManifest>(
    (p) => sql`
    SELECT ${manifestColumns}, ${manifestBodyColumns} FROM ${manifest} m
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
      AND ${isAvailable(sql`m.id`, { nowMs: p.nowMs, hidden })}`,
    toStoredManifest,
  );
export const visiblyAvailableManifestStatement = availableManifest(false);
export const availableManifestStatement = availableManifest(true);

/** One row if an alive tag, hidden or not, holds the manifest. */
export const manifestIsAvailableStatement = defineStatement<
  { manifestId: number; nowMs: number },
  { manifestId: number }
>(
  (p) => sql`
    SELECT m.id AS manifestId FROM ${manifest} m WHERE m.id = ${p.manifestId}
      AND ${isAvailable(sql`m.id`, { nowMs: p.nowMs, hidden: true })}`,
);

/** A manifest's newest label value under each of the two keys that act on tags; null for none. */
export interface ActingLabels {
  readonly expiresAfter: string | null;
  readonly immutable: string | null;
}
export const NO_ACTING_LABELS: ActingLabels = { expiresAfter: null, immutable: null };

const newestLabel = (key: string): SQL => sql`(
      SELECT l.value FROM ${manifestLabel} l INDEXED BY manifest_label_key
      WHERE l.manifest_id = m.id AND l.key = ${sql.raw(`'${key}'`)} ORDER BY l.id DESC LIMIT 1)`;
/** Of `manifest m`. */
export const actingLabelColumns = sql`${newestLabel(EXPIRES_AFTER_LABEL)} AS expiresAfter,
    ${newestLabel(IMMUTABLE_LABEL)} AS immutable`;

/** The acting labels on the manifest of a digest. */
export const actingLabelsStatement = defineStatement<ManifestKey, ActingLabels>(
  (p) => sql`
    SELECT ${actingLabelColumns} FROM ${manifest} m
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}`,
);

/** A child of an index, and the labels that it would lend it. */
export interface ChildLabels extends ActingLabels {
  readonly mediaType: string;
}

/** The manifests that an index is linked to. */
export const linkedChildrenStatement = defineStatement<{ manifestId: number }, ChildLabels>(
  (p) => sql`
    SELECT m.media_type AS mediaType, ${actingLabelColumns}
    FROM ${manifestChild} link CROSS JOIN ${manifest} m ON m.id = link.child_manifest_id
    WHERE link.manifest_id = ${p.manifestId}`,
);

/** A manifest that an index names, and whether the repository has it. */
export interface NamedChild {
  readonly manifestId: number;
  readonly childDigest: string;
  readonly isPresent: boolean;
}

/** What the indexes of a JSON list of ids name, each index's in ascending order of the digests. */
export const namedChildrenStatement = defineStatement<
  { manifestIds: string },
  Omit<NamedChild, 'isPresent'> & { present: number },
  NamedChild
>(
  (p) => sql`
    SELECT link.manifest_id AS manifestId, link.child_digest AS childDigest,
      link.child_manifest_id IS NOT NULL AS present
    FROM json_each(${p.manifestIds}) named
      CROSS JOIN ${manifestChild} link ON link.manifest_id = named.value
    ORDER BY link.manifest_id, link.child_digest`,
  ({ present, ...link }) => ({ ...link, isPresent: present === 1 }),
);

/** What a push must know of a child beside its labels. */
export interface ChildOnPush extends ChildLabels {
  readonly digest: string;
  readonly sizeBytes: number;
}

/** The manifests of a JSON list of digests that are in the repository. */
export const childrenStatement = defineStatement<
  { repositoryId: number; childDigests: string },
  ChildOnPush
>(
  (p) => sql`
    SELECT m.digest AS digest, m.media_type AS mediaType, m.size_bytes AS sizeBytes,
      ${actingLabelColumns}
    FROM json_each(${p.childDigests}) named
      CROSS JOIN ${manifest} m ON m.repository_id = ${p.repositoryId} AND m.digest = named.value`,
);

export type NewManifestValues = ManifestKey & {
  mediaType: string;
  sizeBytes: number;
  configMediaType: string | null;
  layersCompressedSize: number | null;
  subjectDigest: string | null;
  artifactType: string | null;
  nowMs: number;
  bytesKey: string | null;
  bytes: string | null;
};

/** Stores a manifest unless the repository has it; a row comes back only if it was stored. */
export const insertManifestStatement = defineStatement<NewManifestValues, { manifestId: number }>(
  (p) => sql`
    INSERT INTO ${manifest} (repository_id, digest, media_type, size_bytes, config_media_type,
      layers_compressed_size, subject_digest, artifact_type, created_ms, bytes_key, bytes)
    SELECT ${p.repositoryId}, ${p.digest}, ${p.mediaType}, ${p.sizeBytes}, ${p.configMediaType},
      ${p.layersCompressedSize}, ${p.subjectDigest}, ${p.artifactType}, ${p.nowMs},
      ${p.bytesKey}, ${p.bytes}
    WHERE NOT EXISTS (SELECT 1 FROM ${manifest} m
      WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest})
    ON CONFLICT DO NOTHING
    RETURNING id AS manifestId`,
);

/**
 * Links the manifest to its blobs, by a JSON list of digests. The blob's id is looked up here, not
 * carried from an earlier read: one that garbage collection took meanwhile gives a NULL, which the
 * column refuses.
 */
export const insertBlobLinksStatement = defineStatement<ManifestKey & { blobDigests: string }>(
  (p) => sql`
    INSERT INTO ${manifestBlob} (repository_id, manifest_id, blob_id)
    SELECT ${p.repositoryId}, m.id, (
      SELECT b.id FROM ${blob} b
      WHERE b.digest = named.value AND ${isVisibleBlob('b', p.repositoryId)})
    FROM ${manifest} m CROSS JOIN json_each(${p.blobDigests}) named
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
    ON CONFLICT DO NOTHING`,
);

/** Links the manifest to its children, by a JSON list of digests; absent ones are waited for. */
export const insertChildLinksStatement = defineStatement<ManifestKey & { childDigests: string }>(
  (p) => sql`
    INSERT INTO ${manifestChild} (manifest_id, child_digest, child_manifest_id, repository_id)
    SELECT m.id, named.value, (
      SELECT child.id FROM ${manifest} child
      WHERE child.repository_id = ${p.repositoryId} AND child.digest = named.value), ${p.repositoryId}
    FROM ${manifest} m CROSS JOIN json_each(${p.childDigests}) named
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
    ON CONFLICT DO NOTHING`,
);

/** Links the manifest to the indexes that were pushed before it and wait for it. */
export const linkWaitingParentsStatement = defineStatement<ManifestKey>(
  (p) => sql`
    UPDATE ${manifestChild} SET child_manifest_id = (
      SELECT m.id FROM ${manifest} m
      WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest})
    WHERE repository_id = ${p.repositoryId} AND child_digest = ${p.digest}
      AND child_manifest_id IS NULL`,
);
