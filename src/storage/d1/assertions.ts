import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { EXPIRES_AFTER_LABEL, IMMUTABLE_LABEL } from '../../image/labels.ts';
import { isAlive, isVisibleBlob, precedingStatementWrote, repositoryIsLive } from './conditions.ts';
import type { AssertionCode } from './errors.ts';
import { namespaceHasQuota, namespaceIsAboveQuota } from './quota.ts';
import { blob } from './schema/blobs.ts';
import { batchAssert, r2Tombstone } from './schema/garbage.ts';
import { manifestLabel } from './schema/labels.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * What a batch states about the world before it writes. If the violation is there the insert fails
 * the CHECK of its code, D1 rolls the whole batch back, and `AssertionFailed` tells which it was.
 */
export const assertNot = (code: AssertionCode, violation: SQL): SQL => sql`
    INSERT INTO ${batchAssert} (code) SELECT ${sql.raw(`'${code}'`)} WHERE ${violation}`;

/** The repository exists and is not marked for deletion. */
export const assertRepositoryLiveStatement = defineStatement<{ repositoryId: number }>((p) =>
  assertNot('repo_gone', sql`NOT ${repositoryIsLive(p.repositoryId)}`),
);

/** The name has no alive immutable tag. */
export const assertTagMutableStatement = defineStatement<{
  repositoryId: number;
  tagName: string;
  nowMs: number;
}>((p) =>
  assertNot(
    'tag_immutable',
    sql`EXISTS (SELECT 1 FROM ${tag} t INDEXED BY tag_current_name
      WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.immutable = 1
        AND ${isAlive('t', p.nowMs)})`,
  ),
);

/** The manifest has no alive visible immutable tag. */
export const assertManifestTagsMutableStatement = defineStatement<{
  manifestId: number;
  nowMs: number;
}>((p) =>
  assertNot(
    'tag_immutable',
    sql`EXISTS (SELECT 1 FROM ${tag} t
      WHERE t.manifest_id = ${p.manifestId} AND t.hidden = 0 AND t.immutable = 1
        AND ${isAlive('t', p.nowMs)})`,
  ),
);

/** No immutability policy in scope changed since these epochs were read. */
export const assertEpochsStatement = defineStatement<{
  repositoryId: number;
  repositoryEpoch: number;
  namespaceEpoch: number;
}>((p) =>
  assertNot(
    'retry',
    sql`NOT EXISTS (
      SELECT 1 FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
      WHERE r.id = ${p.repositoryId} AND r.immutability_epoch = ${p.repositoryEpoch}
        AND n.immutability_epoch = ${p.namespaceEpoch})`,
  ),
);

/** The manifest row that was read is still there. */
export const assertManifestPresentStatement = defineStatement<{ manifestId: number }>((p) =>
  assertNot('retry', sql`NOT EXISTS (SELECT 1 FROM ${manifest} m WHERE m.id = ${p.manifestId})`),
);

/** The manifest that a tag shall point to is still the repository's. */
export const assertManifestInRepositoryStatement = defineStatement<{
  repositoryId: number;
  manifestId: number;
  digest: string;
}>((p) =>
  assertNot(
    'manifest_gone',
    sql`NOT EXISTS (SELECT 1 FROM ${manifest} m WHERE m.id = ${p.manifestId}
      AND m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest})`,
  ),
);

/** Which labels decide about the tags of a manifest: how many there are, and the newest's id. */
export interface LabelFingerprint {
  readonly labelCount: number;
  readonly labelMaxId: number;
}

/**
 * Of the acting labels on the manifest of a digest and on its children, which are its linked ones
 * and, before its links exist, those it names.
 */
export const labelFingerprint = (p: {
  readonly [Part in 'repositoryId' | 'digest' | 'childDigests']: Placeholder | SQL;
}): SQL => sql`
    SELECT count(*) AS labelCount, coalesce(max(l.id), 0) AS labelMaxId
    FROM (
      SELECT m.id AS id FROM ${manifest} m
      WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
      UNION
      SELECT child.child_manifest_id FROM ${manifest} m
        CROSS JOIN ${manifestChild} child ON child.manifest_id = m.id
      WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
        AND child.child_manifest_id IS NOT NULL
      UNION
      SELECT m.id FROM json_each(${p.childDigests}) named
        CROSS JOIN ${manifest} m ON m.repository_id = ${p.repositoryId} AND m.digest = named.value
    ) holder
    CROSS JOIN ${manifestLabel} l INDEXED BY manifest_label_key ON l.manifest_id = holder.id
    WHERE l.key IN (${sql.raw(`'${EXPIRES_AFTER_LABEL}', '${IMMUTABLE_LABEL}'`)})`;

/** Reads the fingerprint. `childDigests` is a JSON list. */
export const labelFingerprintStatement = defineStatement<
  { repositoryId: number; digest: string; childDigests: string },
  LabelFingerprint
>(labelFingerprint);

/** No acting label came or went since the fingerprint was read. */
export const assertLabelFingerprintStatement = defineStatement<{
  repositoryId: number;
  digest: string;
  childDigests: string;
  labelCount: number;
  labelMaxId: number;
}>((p) =>
  assertNot(
    'retry',
    sql`NOT EXISTS (SELECT 1 FROM (${labelFingerprint(p)}) found
      WHERE found.labelCount = ${p.labelCount} AND found.labelMaxId = ${p.labelMaxId})`,
  ),
);

const manifestExists = (p: Parameters<{ repositoryId: number; digest: string }>): SQL =>
  sql`EXISTS (SELECT 1 FROM ${manifest} m
      WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest})`;

/**
 * Every blob that the manifest names can be seen from the repository, unless the manifest exists
 * by now, for then its links hold them. `blobDigests` is a JSON list.
 */
export const assertBlobsVisibleStatement = defineStatement<{
  repositoryId: number;
  digest: string;
  blobDigests: string;
}>((p) =>
  assertNot(
    'blob_unknown',
    sql`NOT ${manifestExists(p)} AND EXISTS (
      SELECT 1 FROM json_each(${p.blobDigests}) named WHERE NOT EXISTS (
        SELECT 1 FROM ${blob} b
        WHERE b.digest = named.value AND ${isVisibleBlob('b', p.repositoryId)}))`,
  ),
);

/** The namespace got no quota since it was read to have none. */
export const assertNoQuotaStatement = defineStatement<{ repositoryId: number }>((p) =>
  assertNot('retry', namespaceHasQuota(p.repositoryId)),
);

/**
 * What was just added to the namespace's size did not bring it above its quota. Stands directly
 * behind; what adds nothing passes, however much is held.
 */
export const assertWithinQuotaStatement = defineStatement<{ repositoryId: number }>((p) =>
  assertNot('retry', sql`${precedingStatementWrote} AND ${namespaceIsAboveQuota(p.repositoryId)}`),
);

/** Every child of this JSON list is in the repository, unless the manifest exists by now. */
export const assertChildrenPresentStatement = defineStatement<{
  repositoryId: number;
  digest: string;
  childDigests: string;
}>((p) =>
  assertNot(
    'child_gone',
    sql`NOT ${manifestExists(p)} AND EXISTS (
      SELECT 1 FROM json_each(${p.childDigests}) named WHERE NOT EXISTS (
        SELECT 1 FROM ${manifest} child
        WHERE child.repository_id = ${p.repositoryId} AND child.digest = named.value))`,
  ),
);

/**
 * If the manifest row carries our key, no drain has taken up the tombstone that was written ahead
 * of the body: otherwise its deletion may be under way.
 */
export const assertBodyTombstoneStatement = defineStatement<{
  repositoryId: number;
  digest: string;
  bytesKey: string;
}>((p) =>
  assertNot(
    'retry',
    sql`EXISTS (SELECT 1 FROM ${manifest} m WHERE m.repository_id = ${p.repositoryId}
        AND m.digest = ${p.digest} AND m.bytes_key = ${p.bytesKey})
      AND NOT EXISTS (SELECT 1 FROM ${r2Tombstone} grave
        WHERE grave.object_key = ${p.bytesKey} AND grave.kind = 'key' AND grave.attempts = 0)`,
  ),
);
