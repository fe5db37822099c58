import { type SQL, sql } from 'drizzle-orm';

import { isVisibleBlob } from './conditions.ts';
import { blob, manifestBlob, uploadedBlob } from './schema/blobs.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { tag } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** What holds a manifest or a blob of a repository, by its digest. */

type Named = { repositoryId: number; digest: string };
type Limited = Named & { limit: number };

export interface StandingRow {
  readonly windowSec: number;
  readonly isEnabled: number;
  readonly manifestId: number | null;
  /** Of a blob that may be seen from the repository. */
  readonly blobId: number | null;
}

/** What the digest names in a repository; no row for one that is being deleted. */
export const standingStatement = defineStatement<Named, StandingRow>(
  (p) => sql`
    SELECT n.removed_tag_expiration_s AS windowSec, n.enabled AS isEnabled, m.id AS manifestId,
      (SELECT b.id FROM ${blob} b WHERE b.digest = ${p.digest}
        AND ${isVisibleBlob('b', p.repositoryId)}) AS blobId
    FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
      LEFT JOIN ${manifest} m ON m.repository_id = r.id AND m.digest = ${p.digest}
    WHERE r.id = ${p.repositoryId} AND r.state <> 3`,
);

export interface HoldingTagRow {
  readonly tagName: string;
  readonly isHidden: number;
  readonly isCurrent: number;
  readonly isImmutable: number;
  readonly endMs: number | null;
}

/** The generations on a manifest, those of today first. */
export const holdingTagsStatement = defineStatement<Limited, HoldingTagRow>(
  (p) => sql`
    SELECT t.name AS tagName, t.hidden AS isHidden, t.is_current AS isCurrent,
      t.immutable AS isImmutable, t.lifetime_end_ms AS endMs
    FROM ${tag} t INDEXED BY tag_manifest
    WHERE t.manifest_id = (SELECT m.id FROM ${manifest} m
      WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest})
    ORDER BY t.is_current DESC LIMIT ${p.limit}`,
);

/** Stands for an end that never comes; `max` would pass over NULL. */
const NEVER = sql.raw(String(Number.MAX_SAFE_INTEGER));

type Walk = Named & { lockedMayGo: number; walkLimit: number; tagLimit: number };

interface RawHolder {
  holderKind: 'index' | 'referrer' | 'manifest' | 'walk';
  holderDigest: string;
  lastEndMs: number;
  tags: number;
  walked: number;
}

/** What names the manifest or the blob, and the last end of a tag that is on it or above it. */
export interface HolderRow {
  /** `walk` is no holder: its row says how many manifests were walked. */
  readonly kind: RawHolder['holderKind'];
  readonly digest: string;
  /** Null if one of them never ends. */
  readonly lastEndMs: number | null;
  /** How many generations were read for this. */
  readonly tags: number;
  readonly walked: number;
}

const toHolderRow = ({ holderKind, holderDigest, lastEndMs, ...counts }: RawHolder): HolderRow => ({
  kind: holderKind,
  digest: holderDigest,
  lastEndMs: lastEndMs === Number.MAX_SAFE_INTEGER ? null : lastEndMs,
  ...counts,
});

const tagsAbove = (p: Parameters<Walk>, isCurrent: SQL): SQL => sql`
      SELECT above.kind AS kind, above.root AS root,
        CASE WHEN t.lifetime_end_ms IS NULL OR (t.immutable = 1 AND NOT ${p.lockedMayGo})
          THEN ${NEVER} ELSE t.lifetime_end_ms END AS end_ms
      FROM above CROSS JOIN ${tag} t INDEXED BY tag_manifest
        ON t.manifest_id = above.id AND t.is_current = ${isCurrent}`;

/**
 * Walks from each root to all that holds it: the indexes it is in, what refers to it, and what
 * those are held by. A root that no tag is on or above is garbage, and is left out.
 */
const holders = (p: Parameters<Walk>, roots: SQL): SQL => sql`
    WITH RECURSIVE above(kind, root, id) AS MATERIALIZED (
      ${roots}
      UNION
      SELECT above.kind, above.root, parent.manifest_id FROM above
        CROSS JOIN ${manifestChild} parent ON parent.child_manifest_id = above.id
      UNION
      SELECT above.kind, above.root, referrer.id FROM above
        CROSS JOIN ${manifest} subject ON subject.id = above.id
        CROSS JOIN ${manifest} referrer INDEXED BY manifest_subject
          ON referrer.repository_id = subject.repository_id
            AND referrer.subject_digest = subject.digest
      LIMIT ${p.walkLimit})
    SELECT held.kind AS holderKind, m.digest AS holderDigest, max(held.end_ms) AS lastEndMs,
      count(*) AS tags, 0 AS walked
    FROM (SELECT * FROM (${tagsAbove(p, sql`1`)} UNION ALL ${tagsAbove(p, sql`0`)})
        LIMIT ${p.tagLimit}) held
      CROSS JOIN ${manifest} m ON m.id = held.root
    GROUP BY held.kind, held.root
    UNION ALL
    SELECT 'walk', '', 0, 0, count(*) FROM above`;

/** The indexes that a manifest is in, and the manifests that refer to it. */
export const manifestHoldersStatement = defineStatement<Walk, RawHolder, HolderRow>(
  (p) =>
    holders(
      p,
      sql`SELECT * FROM (SELECT 'index', parent.manifest_id, parent.manifest_id AS id
          FROM ${manifest} m CROSS JOIN ${manifestChild} parent ON parent.child_manifest_id = m.id
          WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
          LIMIT ${p.walkLimit})
        UNION
        SELECT * FROM (SELECT 'referrer', referrer.id, referrer.id AS itself
          FROM ${manifest} referrer INDEXED BY manifest_subject
          WHERE referrer.repository_id = ${p.repositoryId} AND referrer.subject_digest = ${p.digest}
          LIMIT ${p.walkLimit})`,
    ),
  toHolderRow,
);

/** The manifests of the repository that link a blob. */
export const blobHoldersStatement = defineStatement<Walk, RawHolder, HolderRow>(
  (p) =>
    holders(
      p,
      sql`SELECT * FROM (SELECT 'manifest', link.manifest_id, link.manifest_id AS id
          FROM ${blob} b CROSS JOIN ${manifestBlob} link INDEXED BY manifest_blob_blob
            ON link.blob_id = b.id AND link.repository_id = ${p.repositoryId}
          WHERE b.digest = ${p.digest} LIMIT ${p.walkLimit})`,
    ),
  toHolderRow,
);

/** The end of the repository's lease on a blob. */
export const leaseEndStatement = defineStatement<Named, { expiresMs: number }>(
  (p) => sql`
    SELECT lease.expires_ms AS expiresMs
    FROM ${blob} b CROSS JOIN ${uploadedBlob} lease
      ON lease.blob_id = b.id AND lease.repository_id = ${p.repositoryId}
    WHERE b.digest = ${p.digest}`,
);

/**
 * How many other repositories link or lease a blob, up to a limit. It steps from one repository to
 * the next, however many manifests of each link the blob; this one may be among them.
 */
export const otherRepositoriesStatement = defineStatement<Limited, { repositories: number }>(
  (p) => sql`
    WITH RECURSIVE named(id) AS (SELECT b.id FROM ${blob} b WHERE b.digest = ${p.digest}),
    linking(id) AS (
      SELECT min(link.repository_id) FROM ${manifestBlob} link INDEXED BY manifest_blob_blob
      WHERE link.blob_id = (SELECT id FROM named)
      UNION ALL
      SELECT (SELECT min(link.repository_id) FROM ${manifestBlob} link INDEXED BY manifest_blob_blob
        WHERE link.blob_id = (SELECT id FROM named) AND link.repository_id > linking.id)
      FROM linking WHERE linking.id IS NOT NULL LIMIT ${p.limit} + 1)
    SELECT count(*) AS repositories FROM (
      SELECT other.id FROM (
        SELECT id FROM linking
        UNION
        SELECT * FROM (SELECT lease.repository_id FROM ${uploadedBlob} lease
          WHERE lease.blob_id = (SELECT id FROM named) LIMIT ${p.limit} + 1)) other
      WHERE other.id <> ${p.repositoryId} LIMIT ${p.limit})`,
);
