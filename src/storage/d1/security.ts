import { type Placeholder, type SQL, sql } from 'drizzle-orm';

import { DOCKER_CONFIG_MEDIA_TYPE, OCI_CONFIG_MEDIA_TYPE } from '../../image/media-types.ts';
import type { Digest } from '../../model/digest.ts';
import type { NamespaceName, RepositoryPath } from '../../model/names.ts';
import type { ManifestInfo } from '../../model/references.ts';
import type { ScannedManifest } from '../../model/security.ts';
import type { EpochMs } from '../../model/time.ts';
import { assertNot } from './assertions.ts';
import { isAlive, isAvailable, repositoryIsLive } from './conditions.ts';
import { type ManifestRow, manifestColumns, toManifestInfo } from './rows.ts';
import { manifest, manifestChild } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import {
  manifestSecurityReport,
  manifestSecurityStatus,
  repositoryNotification,
} from './schema/security.ts';
import { tag } from './schema/tags.ts';
import { defineStatement } from './statement.ts';

/** The event by which a repository says that it wants to hear of vulnerabilities. */
const VULNERABILITY_FOUND = sql.raw(`'vulnerability_found'`);

/** Reports have the form of Quay's fourth generation of scanners. */
const INDEXER_VERSION = sql.raw('4');
/** By their configs images are told from other artifacts. */
const IMAGE_CONFIG_TYPES = `'${DOCKER_CONFIG_MEDIA_TYPE}', '${OCI_CONFIG_MEDIA_TYPE}'`;

/** Forgets what a scanner said of a manifest: without a row it is due to be indexed. */
export const deleteSecurityStatusStatement = defineStatement<{ manifestId: number }>(
  (p) => sql`DELETE FROM ${manifestSecurityStatus} WHERE manifest_id = ${p.manifestId}`,
);

/** How far the indexing of a manifest is, and the report as JSON; no row: it is due. */
export const securityStatusStatement = defineStatement<
  { manifestId: number },
  { indexStatus: number; report: string | null }
>(
  (p) => sql`
    SELECT status.index_status AS indexStatus, said.report AS report
    FROM ${manifestSecurityStatus} status
      LEFT JOIN ${manifestSecurityReport} said ON said.manifest_id = status.manifest_id
    WHERE status.manifest_id = ${p.manifestId}`,
);

type ScannedKey = { manifestId: number; repositoryId: number };

/**
 * Writes down what a scanner came to, if the manifest is there still; a row comes back if it is. The
 * statements about its report stand behind.
 */
export const setSecurityStatusStatement = defineStatement<
  ScannedKey & { indexStatus: number; nowMs: number },
  { manifestId: number }
>(
  (p) => sql`
    INSERT INTO ${manifestSecurityStatus} (manifest_id, repository_id, index_status,
      last_indexed_ms, indexer_hash, indexer_version)
    SELECT m.id, m.repository_id, ${p.indexStatus}, ${p.nowMs}, '', ${INDEXER_VERSION}
    FROM ${manifest} m
    WHERE m.id = ${p.manifestId} AND m.repository_id = ${p.repositoryId}
      AND ${repositoryIsLive(p.repositoryId)}
    ON CONFLICT (manifest_id) DO UPDATE SET index_status = excluded.index_status,
      last_indexed_ms = excluded.last_indexed_ms, indexer_hash = excluded.indexer_hash,
      indexer_version = excluded.indexer_version
    RETURNING manifest_id AS manifestId`,
);

/** Keeps the report, in JSON, of a manifest whose status is there. */
export const setSecurityReportStatement = defineStatement<ScannedKey & { report: string }>(
  (p) => sql`
    INSERT INTO ${manifestSecurityReport} (manifest_id, report)
    SELECT status.manifest_id, ${p.report} FROM ${manifestSecurityStatus} status
    WHERE status.manifest_id = ${p.manifestId} AND status.repository_id = ${p.repositoryId}
      AND ${repositoryIsLive(p.repositoryId)}
    ON CONFLICT (manifest_id) DO UPDATE SET report = excluded.report`,
);

export const deleteSecurityReportStatement = defineStatement<{ manifestId: number }>(
  (p) => sql`DELETE FROM ${manifestSecurityReport} WHERE manifest_id = ${p.manifestId}`,
);

interface LookedAtRow {
  manifestId: number;
  namespace: string | null;
  repository: string | null;
  digest: string | null;
  sinceMs: number;
}

/** A manifest that a list looked at; null: it is not in the list. */
export interface LookedAt {
  readonly manifestId: number;
  /** What the list is in the order of, beside the id. */
  readonly sinceMs: EpochMs;
  readonly manifest: ScannedManifest | null;
}

const toLookedAt = (row: LookedAtRow): LookedAt => ({
  manifestId: row.manifestId,
  sinceMs: row.sinceMs as EpochMs,
  manifest: row.namespace === null ? null : toScannedManifest(row),
});

const toScannedManifest = ({ namespace: name, repository: path, ...row }: LookedAtRow) => ({
  repository: { namespace: name as NamespaceName, repository: path as RepositoryPath },
  digest: row.digest as Digest,
  sinceMs: row.sinceMs as EpochMs,
});

/** The repository of a manifest `m` that is in use and fulfils the condition, and its namespace. */
const whereInUse = (nowMs: Placeholder, condition: SQL = sql`true`): SQL => sql`
      LEFT JOIN ${repository} r ON r.id = m.repository_id AND r.state <> 3 AND ${condition}
        AND ${isAvailable(sql`m.id`, { nowMs, hidden: true })}
      LEFT JOIN ${namespace} n ON n.id = r.namespace_id AND n.enabled = 1`;

/**
 * The newest manifests in front of an id, as many as are looked at; in the list are the images in
 * use that no scanner came to a result with. Nothing was written of them so far.
 */
export const queuedManifestsStatement = defineStatement<
  { beforeId: number; nowMs: number; limit: number },
  LookedAtRow,
  LookedAt
>(
  (p) => sql`
    SELECT m.id AS manifestId, m.created_ms AS sinceMs, n.name AS namespace,
      r.name AS repository, m.digest AS digest
    FROM (SELECT * FROM ${manifest} newest WHERE newest.id < ${p.beforeId}
      ORDER BY newest.id DESC LIMIT ${p.limit}) m
      ${whereInUse(
        p.nowMs,
        sql`m.config_media_type IN (${sql.raw(IMAGE_CONFIG_TYPES)})
        AND NOT EXISTS (SELECT 1 FROM ${manifestSecurityStatus} status
          WHERE status.manifest_id = m.id AND status.index_status NOT IN (0, 1))`,
      )}
    ORDER BY m.id DESC`,
  toLookedAt,
);

/**
 * The manifests of one result, those first that were scanned the longest ago, from behind a place in
 * that order and before a time; in the list are those in use.
 */
export const scannedManifestsStatement = defineStatement<
  {
    indexStatus: number;
    afterMs: number;
    afterId: number;
    beforeMs: number;
    nowMs: number;
    limit: number;
  },
  LookedAtRow,
  LookedAt
>(
  (p) => sql`
    SELECT m.id AS manifestId, seen.last_indexed_ms AS sinceMs, n.name AS namespace,
      r.name AS repository, m.digest AS digest
    FROM (SELECT status.manifest_id AS manifest_id, status.last_indexed_ms AS last_indexed_ms
      FROM ${manifestSecurityStatus} status INDEXED BY manifest_security_queue
      WHERE status.index_status = ${p.indexStatus} AND status.last_indexed_ms < ${p.beforeMs}
        AND (status.last_indexed_ms, status.manifest_id) > (${p.afterMs}, ${p.afterId})
      ORDER BY status.last_indexed_ms, status.manifest_id LIMIT ${p.limit}) seen
      CROSS JOIN ${manifest} m ON m.id = seen.manifest_id ${whereInUse(p.nowMs)}
    ORDER BY seen.last_indexed_ms, m.id`,
  toLookedAt,
);

/** What a report of a manifest is compared with. */
export interface ScanGrounds {
  readonly namespaceName: string;
  readonly repositoryName: string;
  /** When it was scanned last, and the report of then, as JSON; null: never, or there is none. */
  readonly scannedMs: number | null;
  readonly report: string | null;
}

/** For a manifest of a repository that wants to hear of vulnerabilities; no row for any other. */
export const scanGroundsStatement = defineStatement<ScannedKey, ScanGrounds>(
  (p) => sql`
    SELECT n.name AS namespaceName, r.name AS repositoryName, status.last_indexed_ms AS scannedMs,
      said.report AS report
    FROM ${repository} r CROSS JOIN ${namespace} n ON n.id = r.namespace_id
      LEFT JOIN ${manifestSecurityStatus} status ON status.manifest_id = ${p.manifestId}
      LEFT JOIN ${manifestSecurityReport} said ON said.manifest_id = status.manifest_id
    WHERE r.id = ${p.repositoryId} AND r.state <> 3 AND EXISTS (
      SELECT 1 FROM ${repositoryNotification} wanted INDEXED BY repository_notification_event
      WHERE wanted.repository_id = r.id AND wanted.event = ${VULNERABILITY_FOUND})`,
);

/** The alive visible tags that hold a manifest, themselves or by an index, in byte order. */
export const tagNamesHoldingStatement = defineStatement<
  { manifestId: number; nowMs: number; limit: number },
  { tagName: string }
>(
  (p) => sql`
    WITH RECURSIVE holder(id) AS (
      VALUES (${p.manifestId})
      UNION
      SELECT link.manifest_id FROM holder
        CROSS JOIN ${manifestChild} link ON link.child_manifest_id = holder.id
    )
    SELECT DISTINCT t.name AS tagName
    FROM holder CROSS JOIN ${tag} t INDEXED BY tag_manifest ON t.manifest_id = holder.id
    WHERE t.hidden = 0 AND ${isAlive('t', p.nowMs)} ORDER BY t.name LIMIT ${p.limit}`,
);

/** No other scanner came to a result since the manifest was read. */
export const assertScannedStatement = defineStatement<{
  manifestId: number;
  scannedMs: number | null;
}>((p) =>
  assertNot(
    'retry',
    sql`(SELECT status.last_indexed_ms FROM ${manifestSecurityStatus} status
      WHERE status.manifest_id = ${p.manifestId}) IS NOT ${p.scannedMs}`,
  ),
);

/** The manifests of a digest whose live repositories want to hear of vulnerabilities, by id. */
export const manifestsForSecurityNotificationStatement = defineStatement<
  { digest: string },
  ManifestRow,
  ManifestInfo
>(
  (p) => sql`
    SELECT ${manifestColumns}
    FROM ${manifest} m INDEXED BY manifest_digest
      CROSS JOIN ${repository} r ON r.id = m.repository_id AND r.state <> 3
    WHERE m.digest = ${p.digest} AND EXISTS (
      SELECT 1 FROM ${repositoryNotification} wanted INDEXED BY repository_notification_event
      WHERE wanted.repository_id = m.repository_id AND wanted.event = ${VULNERABILITY_FOUND})
    ORDER BY m.id`,
  toManifestInfo,
);

/**
 * What a live repository wants to hear of vulnerabilities: a configuration as JSON text a row, in
 * the order they were made; one row with null if there is none.
 */
export const securityNotificationsStatement = defineStatement<
  { repositoryId: number },
  { eventConfigJson: string | null }
>(
  (p) => sql`
    SELECT wanted.event_config_json AS eventConfigJson
    FROM ${repository} r
      LEFT JOIN ${repositoryNotification} wanted INDEXED BY repository_notification_event
        ON wanted.repository_id = r.id AND wanted.event = ${VULNERABILITY_FOUND}
    WHERE r.id = ${p.repositoryId} AND r.state <> 3
    ORDER BY wanted.id`,
);
