import { type SQL, sql } from 'drizzle-orm';

import { EMPTY_BLOB_DIGEST } from '../../model/empty-blob.ts';
import { isEndedLease } from './collect-blobs.ts';
import { isBeyondRecovery } from './collect-tags.ts';
import { blob, manifestBlob, uploadedBlob } from './schema/blobs.ts';
import { repositoryGc } from './schema/garbage.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * What a collection would remove, read and not written. The conditions are those of its steps, but
 * what they find already gone is here in lists of ids: a tag, a parent, a referrer, a link or a
 * lease holds nothing if it is in one of them.
 */

/** The repositories that are due by their hint, of every window. */
export const dueRepositoriesStatement = defineStatement<
  { nowMs: number; limit: number },
  { repositoryId: number }
>(
  (p) => sql`
    WITH RECURSIVE step(window_s) AS (
      SELECT min(g.policy_s) FROM ${repositoryGc} g
      UNION ALL
      SELECT (SELECT min(g.policy_s) FROM ${repositoryGc} g WHERE g.policy_s > step.window_s)
      FROM step WHERE step.window_s IS NOT NULL LIMIT ${p.limit})
    SELECT due.repository_id AS repositoryId FROM (
      SELECT g.repository_id FROM step CROSS JOIN ${repositoryGc} g INDEXED BY repository_gc_policy
        ON g.policy_s = step.window_s
          AND g.earliest_end_ms <= ${p.nowMs} - 1000 * step.window_s
      UNION
      SELECT g.repository_id FROM ${repositoryGc} g INDEXED BY repository_gc_lease
      WHERE g.earliest_lease_ms <= ${p.nowMs}
      LIMIT ${p.limit}) due`,
);

type Scope = { repositoryIds: string; nowMs: number; limit: number };

export interface PlannedTagRow {
  readonly tagId: number;
  readonly repositoryId: number;
  readonly tagName: string;
  readonly hidden: number;
  readonly manifestId: number;
  readonly digest: string;
  readonly endedMs: number;
}

/** Generations of a JSON list of repositories that are beyond recovery. */
export const plannedTagsStatement = defineStatement<Scope & { lockedMayGo: number }, PlannedTagRow>(
  (p) => {
    const { nowMs, lockedMayGo } = p;
    return sql`
    SELECT t.id AS tagId, t.repository_id AS repositoryId, t.name AS tagName, t.hidden AS hidden,
      m.id AS manifestId, m.digest AS digest, t.lifetime_end_ms AS endedMs
    FROM json_each(${p.repositoryIds}) scope
      CROSS JOIN ${tag} t INDEXED BY tag_repo_end ON t.repository_id = scope.value
        AND ${isBeyondRecovery({ repositoryId: sql`scope.value`, nowMs, lockedMayGo }, 't')}
      CROSS JOIN ${manifest} m ON m.id = t.manifest_id
    LIMIT ${p.limit}`;
  },
);

export interface PlannedLeaseRow {
  readonly repositoryId: number;
  readonly blobId: number;
  readonly digest: string;
}

/** Leases of a JSON list of repositories that are over. */
export const plannedLeasesStatement = defineStatement<Scope, PlannedLeaseRow>(
  (p) => sql`
    SELECT lease.repository_id AS repositoryId, b.id AS blobId, b.digest AS digest
    FROM json_each(${p.repositoryIds}) scope
      CROSS JOIN ${uploadedBlob} lease INDEXED BY uploaded_blob_expiry
        ON lease.repository_id = scope.value
          AND ${isEndedLease({ repositoryId: sql`scope.value`, nowMs: p.nowMs }, 'lease')}
      CROSS JOIN ${blob} b ON b.id = lease.blob_id
    LIMIT ${p.limit}`,
);

/** `frontierIds` may be garbage; `garbageIds` are, and `tagIds` go. */
type Round = { frontierIds: string; garbageIds: string; tagIds: string };

/** Those of the frontier that nothing names but what goes. */
const garbageOfFrontier = (p: Parameters<Round>): SQL => sql`
    SELECT m.id AS id FROM json_each(${p.frontierIds}) frontier
      CROSS JOIN ${manifest} m ON m.id = frontier.value
    WHERE NOT EXISTS (SELECT 1 FROM ${tag} t WHERE t.manifest_id = m.id
        AND t.id NOT IN (SELECT value FROM json_each(${p.tagIds})))
      AND NOT EXISTS (SELECT 1 FROM ${manifestChild} parent WHERE parent.child_manifest_id = m.id
        AND parent.manifest_id NOT IN (SELECT value FROM json_each(${p.garbageIds})))
      AND NOT EXISTS (SELECT 1 FROM ${manifest} referrer
        WHERE referrer.repository_id = m.repository_id AND referrer.subject_digest = m.digest
          AND referrer.id NOT IN (SELECT value FROM json_each(${p.garbageIds})))`;

export interface PlannedManifestRow {
  readonly manifestId: number;
  readonly repositoryId: number;
  readonly digest: string;
  readonly sizeBytes: number;
}

export const plannedManifestsStatement = defineStatement<Round, PlannedManifestRow>(
  (p) => sql`
    SELECT m.id AS manifestId, m.repository_id AS repositoryId, m.digest AS digest,
      m.size_bytes AS sizeBytes
    FROM (${garbageOfFrontier(p)}) garbage CROSS JOIN ${manifest} m ON m.id = garbage.id`,
);

/** The children and subjects of those: what may be garbage next. */
export const nextFrontierStatement = defineStatement<
  Round & { limit: number },
  { manifestId: number }
>(
  (p) => sql`
    WITH garbage(id) AS MATERIALIZED (${garbageOfFrontier(p)})
    SELECT next.id AS manifestId FROM (
      SELECT child.child_manifest_id AS id FROM garbage
        CROSS JOIN ${manifestChild} child ON child.manifest_id = garbage.id
      WHERE child.child_manifest_id IS NOT NULL
      UNION
      SELECT subject.id FROM garbage CROSS JOIN ${manifest} referrer ON referrer.id = garbage.id
        CROSS JOIN ${manifest} subject ON subject.repository_id = referrer.repository_id
          AND subject.digest = referrer.subject_digest) next
    LIMIT ${p.limit}`,
);

/** `blobIds` may be garbage, and what the garbage links; `leases` go: `<repository>-<blob>`. */
type BlobRound = {
  blobIds: string;
  garbageIds: string;
  leases: string;
  repositoryId: number | null;
  limit: number;
};

export interface PlannedBlobRow {
  readonly digest: string;
  readonly sizeBytes: number;
  /** Whether it may be seen from the repository; from any, if none was given. */
  readonly isOwn: number;
}

/** The blobs that nothing holds but what goes. */
export const plannedBlobsStatement = defineStatement<BlobRound, PlannedBlobRow>(
  (p) => sql`
    SELECT b.digest AS digest, b.size_bytes AS sizeBytes,
      (${p.repositoryId} IS NULL
        OR EXISTS (SELECT 1 FROM ${manifestBlob} link
          WHERE link.blob_id = b.id AND link.repository_id = ${p.repositoryId})
        OR EXISTS (SELECT 1 FROM ${uploadedBlob} lease
          WHERE lease.blob_id = b.id AND lease.repository_id = ${p.repositoryId})) AS isOwn
    FROM (
      SELECT value AS id FROM json_each(${p.blobIds})
      UNION
      SELECT link.blob_id FROM json_each(${p.garbageIds}) garbage
        CROSS JOIN ${manifestBlob} link ON link.manifest_id = garbage.value) candidate
      CROSS JOIN ${blob} b ON b.id = candidate.id
    WHERE b.digest <> ${sql.raw(`'${EMPTY_BLOB_DIGEST}'`)}
      AND NOT EXISTS (SELECT 1 FROM ${manifestBlob} link WHERE link.blob_id = b.id
        AND link.manifest_id NOT IN (SELECT value FROM json_each(${p.garbageIds})))
      AND NOT EXISTS (SELECT 1 FROM ${uploadedBlob} lease WHERE lease.blob_id = b.id
        AND lease.repository_id || '-' || lease.blob_id
          NOT IN (SELECT value FROM json_each(${p.leases})))
    LIMIT ${p.limit}`,
);
