import { type SQL, sql } from 'drizzle-orm';

import { isUnreferencedByManifests } from './conditions.ts';
import { subtractFromNamespaces, subtractFromRepositories } from './quota.ts';
import { manifestBlob } from './schema/blobs.ts';
import { gcBlobCandidate, gcManifestCandidate, gcRemoval, r2Tombstone } from './schema/garbage.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The step of garbage collection that removes manifests. Nothing here believes the list of
 * candidates: each statement asks again whether anything names the manifest.
 */

type Now = { nowMs: number };

/** The lowest ids of the manifests that may be garbage, of any repository. */
export const manifestCandidatesStatement = defineStatement<
  { limit: number },
  { manifestId: number }
>(
  (p) => sql`
    SELECT manifest_id AS manifestId FROM ${gcManifestCandidate}
    WHERE manifest_id > 0 ORDER BY manifest_id LIMIT ${p.limit}`,
);

type ManifestIds = { manifestIds: string };

/** No tag, no index and no referrer names the manifest. */
export const isUnreferenced = (alias: string): SQL => sql`
      NOT EXISTS (SELECT 1 FROM ${tag} t WHERE t.manifest_id = ${sql.raw(alias)}.id)
      AND ${isUnreferencedByManifests(alias)}`;

/**
 * Those of a JSON list of manifests that are garbage. Every statement selects them whole before it
 * writes: testing row by row while others go would see a half-done removal.
 */
const garbageManifests = (p: Parameters<ManifestIds>): SQL => sql`
    SELECT garbage.id FROM ${manifest} garbage
    WHERE garbage.id IN (SELECT value FROM json_each(${p.manifestIds}))
      AND ${isUnreferenced('garbage')}`;

/**
 * Takes the candidates off the list; stands first. A child that is still referenced by a parent in
 * the same batch is put back by the statement after it.
 */
export const dequeueManifestsStatement = defineStatement<ManifestIds>(
  (p) => sql`
    DELETE FROM ${gcManifestCandidate}
    WHERE manifest_id IN (SELECT value FROM json_each(${p.manifestIds}))`,
);

/** Enqueues the children of manifests that are about to go; one that is waited for has no row. */
export const enqueueChildrenStatement = defineStatement<ManifestIds>(
  (p) => sql`
    INSERT INTO ${gcManifestCandidate} (manifest_id)
    SELECT DISTINCT child.child_manifest_id FROM ${manifestChild} child
    WHERE child.manifest_id IN (${garbageManifests(p)}) AND child.child_manifest_id IS NOT NULL
    ON CONFLICT DO NOTHING`,
);

/** Enqueues the subjects of manifests that are about to go. */
export const enqueueSubjectsStatement = defineStatement<ManifestIds>(
  (p) => sql`
    INSERT INTO ${gcManifestCandidate} (manifest_id)
    SELECT subject.id FROM ${manifest} referrer
      CROSS JOIN ${manifest} subject ON subject.repository_id = referrer.repository_id
        AND subject.digest = referrer.subject_digest
    WHERE referrer.id IN (${garbageManifests(p)})
    ON CONFLICT DO NOTHING`,
);

/** Enqueues the blobs of manifests that are about to go. */
export const enqueueBlobsOfManifests = (manifests: SQL): SQL => sql`
    INSERT INTO ${gcBlobCandidate} (blob_id)
    SELECT DISTINCT link.blob_id FROM ${manifestBlob} link
    WHERE link.manifest_id IN (${manifests})
    ON CONFLICT DO NOTHING`;
export const enqueueBlobsOfManifestsStatement = defineStatement<ManifestIds>((p) =>
  enqueueBlobsOfManifests(garbageManifests(p)),
);

export type Burial = Now & { dueMs: number };

/** Buries the bodies in R2 of manifests that are about to go. */
export const buryBodies = (p: Parameters<Burial>, manifests: SQL): SQL => sql`
    INSERT INTO ${r2Tombstone} (object_key, kind, not_before_ms, created_ms)
    SELECT m.bytes_key, 'key', ${p.dueMs}, ${p.nowMs} FROM ${manifest} m
    WHERE m.id IN (${manifests}) AND m.bytes_key IS NOT NULL
    ON CONFLICT DO NOTHING`;
export const buryBodiesStatement = defineStatement<ManifestIds & Burial>((p) =>
  buryBodies(p, garbageManifests(p)),
);

/** Takes what only manifests that are about to go hold from the sizes that quotas go by. */
export const subtractGarbageFromRepositoriesStatement = defineStatement<ManifestIds>((p) =>
  subtractFromRepositories(garbageManifests(p)),
);
export const subtractGarbageFromNamespacesStatement = defineStatement<ManifestIds>((p) =>
  subtractFromNamespaces(garbageManifests(p)),
);

/** Makes cached answers about blobs of the manifests' repositories stale. */
export const raiseContentEpochsStatement = defineStatement<ManifestIds>(
  (p) => sql`
    UPDATE ${repository} SET content_epoch = content_epoch + 1 WHERE id IN (
      SELECT m.repository_id FROM ${manifest} m WHERE m.id IN (${garbageManifests(p)}))`,
);

/** Writes down which manifests are about to go. */
export const recordManifests = (
  p: Parameters<Now>,
  reason: 'unreferenced' | 'repository_deleted',
  manifests: SQL,
): SQL => sql`
    INSERT INTO ${gcRemoval} (removed_ms, kind, reason, repository_id, digest, size_bytes)
    SELECT ${p.nowMs}, 'manifest', ${sql.raw(`'${reason}'`)}, m.repository_id, m.digest,
      m.size_bytes
    FROM ${manifest} m WHERE m.id IN (${manifests})`;
export const recordGarbageManifestsStatement = defineStatement<ManifestIds & Now>((p) =>
  recordManifests(p, 'unreferenced', garbageManifests(p)),
);

/** Removes the manifests, and with them what they own; stands last. */
export const deleteManifests = (manifests: SQL): SQL => sql`
    DELETE FROM ${manifest} WHERE id IN (${manifests})
    RETURNING id AS manifestId, digest AS digest`;
export type DeletedManifest = { manifestId: number; digest: string };
export const deleteGarbageManifestsStatement = defineStatement<ManifestIds, DeletedManifest>((p) =>
  deleteManifests(garbageManifests(p)),
);
