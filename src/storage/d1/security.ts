import { sql } from 'drizzle-orm';

import type { ManifestInfo } from '../../model/references.ts';
import { type ManifestRow, manifestColumns, toManifestInfo } from './rows.ts';
import { manifest } from './schema/manifests.ts';
import { repository } from './schema/repositories.ts';
import { manifestSecurityStatus, repositoryNotification } from './schema/security.ts';
import { defineStatement } from './statement.ts';

/** The event by which a repository says that it wants to hear of vulnerabilities. */
const VULNERABILITY_FOUND = sql.raw(`'vulnerability_found'`);

/** Forgets what a scanner said of a manifest: without a row it is due to be indexed. */
export const deleteSecurityStatusStatement = defineStatement<{ manifestId: number }>(
  (p) => sql`DELETE FROM ${manifestSecurityStatus} WHERE manifest_id = ${p.manifestId}`,
);

/** How far the indexing of a manifest is; no row: it is due. */
export const securityStatusStatement = defineStatement<
  { manifestId: number },
  { indexStatus: number }
>(
  (p) => sql`
    SELECT status.index_status AS indexStatus FROM ${manifestSecurityStatus} status
    WHERE status.manifest_id = ${p.manifestId}`,
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
