import { type SQL, sql } from 'drizzle-orm';

import { isAlive, isAvailable } from './conditions.ts';
import { manifest } from './schema/manifests.ts';
import { pullReport } from './schema/pulls.ts';
import { repository } from './schema/repositories.ts';
import { manifestPullStatistics, tag, tagPullStatistics } from './schema/tags.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** How often what was pulled: as isolates report it, and as it is added up. */

/** Writes down what an isolate counted, as the table's migration says it. */
export const insertPullReportStatement = defineStatement<{ pulls: string }>(
  (p) => sql`INSERT INTO ${pullReport} (pulls) VALUES (${p.pulls})`,
);

type Some = { limit: number };

/**
 * The first reports. The three statements that follow run in one batch, so they see the same ones,
 * and each report is added once: it goes in the transaction that adds it.
 */
const firstReports = (p: Parameters<Some>): SQL => sql`
      SELECT first.id AS id, first.pulls AS pulls FROM ${pullReport} first
      WHERE first.id > 0 ORDER BY first.id LIMIT ${p.limit}`;

/**
 * Adds pulls to the statistics of tags. A name of which no generation is left has none, for nobody
 * would take them away; neither has what is in a repository that is being deleted.
 */
export const addTagPullsStatement = defineStatement<Some>(
  (p) => sql`
    INSERT INTO ${tagPullStatistics} (repository_id, tag_name, pull_count, last_pull_ms)
    SELECT r.id, pulled.name, pulled.pull_count, pulled.last_ms
    FROM (
      SELECT entry.value ->> 0 AS repository_id, entry.value ->> 1 AS name,
        sum(entry.value ->> 2) AS pull_count, max(entry.value ->> 3) AS last_ms
      FROM (${firstReports(p)}) report CROSS JOIN json_each(report.pulls, '$.tags') entry
      GROUP BY 1, 2) pulled
      CROSS JOIN ${repository} r ON r.id = pulled.repository_id AND r.state <> 3
    WHERE EXISTS (SELECT 1 FROM ${tag} t INDEXED BY tag_name_history
      WHERE t.repository_id = r.id AND t.name = pulled.name AND t.hidden = 0)
    ON CONFLICT (repository_id, tag_name) DO UPDATE SET
      pull_count = tag_pull_statistics.pull_count + excluded.pull_count,
      last_pull_ms = max(coalesce(tag_pull_statistics.last_pull_ms, 0), excluded.last_pull_ms)`,
);

/** Adds pulls to the statistics of manifests that are still there. */
export const addManifestPullsStatement = defineStatement<Some>(
  (p) => sql`
    INSERT INTO ${manifestPullStatistics} (manifest_id, pull_count, last_pull_ms)
    SELECT m.id, pulled.pull_count, pulled.last_ms
    FROM (
      SELECT entry.value ->> 0 AS manifest_id, sum(entry.value ->> 1) AS pull_count,
        max(entry.value ->> 2) AS last_ms
      FROM (${firstReports(p)}) report CROSS JOIN json_each(report.pulls, '$.manifests') entry
      GROUP BY 1) pulled
      CROSS JOIN ${manifest} m ON m.id = pulled.manifest_id
      CROSS JOIN ${repository} r ON r.id = m.repository_id AND r.state <> 3
    WHERE true
    ON CONFLICT (manifest_id) DO UPDATE SET
      pull_count = manifest_pull_statistics.pull_count + excluded.pull_count,
      last_pull_ms = max(coalesce(manifest_pull_statistics.last_pull_ms, 0), excluded.last_pull_ms)`,
);

/** Removes the reports that were added; stands last. */
export const deletePullReportsStatement = defineStatement<Some, { reportId: number }>(
  (p) => sql`
    DELETE FROM ${pullReport} WHERE id IN (SELECT report.id FROM (${firstReports(p)}) report)
    RETURNING id AS reportId`,
);

export interface TagPullStatisticsRow {
  readonly tagPullCount: number;
  readonly lastTagPullMs: number | null;
  readonly manifestDigest: string;
  readonly manifestPullCount: number;
  readonly lastManifestPullMs: number | null;
}

/** The statistics of the alive tag of a name, and of the manifest that it is on. */
export const tagPullStatisticsStatement = defineStatement<
  { repositoryId: number; tagName: string; nowMs: number },
  TagPullStatisticsRow
>(
  (p) => sql`
    SELECT coalesce(pulled.pull_count, 0) AS tagPullCount, pulled.last_pull_ms AS lastTagPullMs,
      m.digest AS manifestDigest, coalesce(whole.pull_count, 0) AS manifestPullCount,
      whole.last_pull_ms AS lastManifestPullMs
    FROM ${tag} t INDEXED BY tag_current_name CROSS JOIN ${manifest} m ON m.id = t.manifest_id
      LEFT JOIN ${tagPullStatistics} pulled
        ON pulled.repository_id = t.repository_id AND pulled.tag_name = t.name
      LEFT JOIN ${manifestPullStatistics} whole ON whole.manifest_id = m.id
    WHERE t.repository_id = ${p.repositoryId} AND t.name = ${p.tagName} AND t.hidden = 0
      AND ${isAlive('t', p.nowMs)}`,
);

/** The statistics of a manifest that alive tags hold, hidden or not. */
export const manifestPullStatisticsStatement = defineStatement<
  { repositoryId: number; digest: string; nowMs: number },
  Pick<TagPullStatisticsRow, 'manifestPullCount' | 'lastManifestPullMs'>
>(
  (p) => sql`
    SELECT coalesce(whole.pull_count, 0) AS manifestPullCount,
      whole.last_pull_ms AS lastManifestPullMs
    FROM ${manifest} m LEFT JOIN ${manifestPullStatistics} whole ON whole.manifest_id = m.id
    WHERE m.repository_id = ${p.repositoryId} AND m.digest = ${p.digest}
      AND ${isAvailable(sql`m.id`, { nowMs: p.nowMs, hidden: true })}`,
);
