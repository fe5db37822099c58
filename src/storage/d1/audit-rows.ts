import { type SQL, sql } from 'drizzle-orm';

import { type AuditPass, type FindingKind, nameFindings, passColumns, toPass } from './audit.ts';
import type { RawPass, RowStage } from './audit.ts';
import { isUnheld } from './collect-blobs.ts';
import { isUnreferenced } from './collect-manifests.ts';
import { firstCollectableEnd, firstCollectableLeaseEnd } from './gc-hints.ts';
import { gcAudit } from './schema/audit.ts';
import { blob } from './schema/blobs.ts';
import { gcBlobCandidate, gcManifestCandidate, repositoryGc } from './schema/garbage.ts';
import { manifest } from './schema/manifests.ts';
import { namespace, repository } from './schema/repositories.ts';
import { type Parameters, defineStatement } from './statement.ts';

/**
 * The audit's look at rows, a page by id at a time. What a page finds, it puts where garbage
 * collection will look, in the batch that proves it: a push, a deletion or another audit comes before
 * it or after.
 */

type RowStep = {
  auditId: number;
  afterId: number;
  limit: number;
  /** Rows that are younger are not looked at. */
  createdBeforeMs: number;
  /** Whether locked generations are collected when they ended: 0 or 1. */
  lockedMayGo: number;
};

/** What there is to say of a kind of row. Aliases in `found` are those of `page`. */
interface RowAudit {
  readonly stage: RowStage;
  readonly next: string;
  readonly kind: FindingKind;
  /** Columns that count what was looked at, and what was found. */
  readonly checked: string;
  readonly counted: string;
  /** A page of rows by id; each has an `id`. */
  readonly page: (p: Parameters<RowStep>) => SQL;
  /** What of a page is on no list: an `id` and a `subject` each, and what `list` needs. */
  readonly found: (p: Parameters<RowStep>, page: SQL) => SQL;
  /** Puts what was found on its list; a condition may follow the query. */
  readonly list: (found: SQL) => SQL;
}

const defineRowAudit = ({ stage, next, kind, checked, counted, page, found, list }: RowAudit) => {
  const column = { checked: sql.raw(checked), counted: sql.raw(counted) };
  const isHere = (p: Parameters<RowStep>): SQL => sql`pass.id = ${p.auditId}
        AND pass.ended_ms IS NULL AND pass.stage = ${sql.raw(`'${stage}'`)}
        AND pass.after_id = ${p.afterId}`;
  const foundHere = (p: Parameters<RowStep>): SQL => sql`${found(p, page(p))}
        AND EXISTS (SELECT 1 FROM ${gcAudit} pass WHERE ${isHere(p)})`;
  const moveBehindPage = (p: Parameters<RowStep>, count: SQL, condition: SQL): SQL => sql`
    UPDATE ${gcAudit} AS pass SET ${column.counted} = ${column.counted} + ${count},
      ${column.checked} = ${column.checked} + seen.rows,
      stage = CASE WHEN seen.rows < ${p.limit} THEN ${sql.raw(`'${next}'`)} ELSE stage END,
      after_id = CASE WHEN seen.rows < ${p.limit} THEN 0 ELSE seen.last END
    FROM (SELECT count(*) AS rows, max(page.id) AS last FROM (${page(p)}) page) seen
    WHERE ${isHere(p)} AND ${condition} RETURNING ${passColumns}`;
  return {
    /** Goes on behind a page on which nothing is found; the pass comes back if so. */
    passClean: defineStatement<RowStep, RawPass, AuditPass>(
      (p) => moveBehindPage(p, sql`0`, sql`NOT EXISTS (${found(p, page(p))})`),
      toPass,
    ),
    nameFound: defineStatement<RowStep & { namedMax: number }>((p) =>
      nameFindings(p, kind, foundHere(p)),
    ),
    listFound: defineStatement<RowStep>((p) => list(foundHere(p))),
    /** Stands directly behind `listFound`: counts what it wrote, and goes on. */
    countFound: defineStatement<RowStep>((p) => moveBehindPage(p, sql`changes()`, sql`true`)),
  };
};

export type RowAuditStatements = ReturnType<typeof defineRowAudit>;

/** Repositories whose hint is later than what they have to collect, or not there. */
export const hintAuditStatements = defineRowAudit({
  stage: 'hints',
  next: 'manifests',
  kind: 'late_hint',
  checked: 'repositories_checked',
  counted: 'late_hints',
  page: (p) => sql`
    SELECT row.id AS id, row.namespace_id AS namespace_id, row.name AS name, row.state AS state
    FROM ${repository} row WHERE row.id > ${p.afterId} ORDER BY row.id LIMIT ${p.limit}`,
  found: (p, page) => sql`
    SELECT due.* FROM (
      SELECT r.id AS id, n.name || '/' || r.name AS subject,
        n.removed_tag_expiration_s AS window_s, ${firstCollectableEnd(p.lockedMayGo)} AS end_ms,
        ${firstCollectableLeaseEnd} AS lease_ms
      FROM (${page}) r CROSS JOIN ${namespace} n ON n.id = r.namespace_id) due
      LEFT JOIN ${repositoryGc} hint ON hint.repository_id = due.id
    WHERE (due.end_ms < coalesce(hint.earliest_end_ms, due.end_ms + 1)
        OR due.lease_ms < coalesce(hint.earliest_lease_ms, due.lease_ms + 1)
        OR (due.end_ms IS NOT NULL AND hint.policy_s <> due.window_s))`,
  list: (found) => sql`
    INSERT INTO ${repositoryGc} (repository_id, policy_s, earliest_end_ms, earliest_lease_ms)
    SELECT late.id, late.window_s, late.end_ms, late.lease_ms FROM (${found}) late WHERE true
    ON CONFLICT (repository_id) DO UPDATE SET policy_s = excluded.policy_s,
      earliest_end_ms = excluded.earliest_end_ms, earliest_lease_ms = excluded.earliest_lease_ms`,
});

/**
 * Manifests that nothing names and that are no candidates. Those of a repository that is being purged
 * lose their references without becoming any: the marker says that they go.
 */
export const manifestAuditStatements = defineRowAudit({
  stage: 'manifests',
  next: 'blobs',
  kind: 'unlisted_manifest',
  checked: 'manifests_checked',
  counted: 'unlisted_manifests',
  page: (p) => sql`
    SELECT row.id AS id, row.repository_id AS repository_id, row.digest AS digest,
      row.created_ms AS created_ms
    FROM ${manifest} row WHERE row.id > ${p.afterId} ORDER BY row.id LIMIT ${p.limit}`,
  found: (p, page) => sql`
    SELECT m.id AS id, n.name || '/' || r.name || '@' || m.digest AS subject
    FROM (${page}) m CROSS JOIN ${repository} r ON r.id = m.repository_id AND r.state <> 3
      CROSS JOIN ${namespace} n ON n.id = r.namespace_id
    WHERE m.created_ms <= ${p.createdBeforeMs} AND ${isUnreferenced('m')}
      AND NOT EXISTS (SELECT 1 FROM ${gcManifestCandidate} listed WHERE listed.manifest_id = m.id)`,
  list: (found) => sql`
    INSERT INTO ${gcManifestCandidate} (manifest_id)
    SELECT unlisted.id FROM (${found}) unlisted WHERE true ON CONFLICT DO NOTHING`,
});

/** Blobs that nothing holds and that are no candidates. */
export const blobAuditStatements = defineRowAudit({
  stage: 'blobs',
  next: 'blob-objects',
  kind: 'unlisted_blob',
  checked: 'blobs_checked',
  counted: 'unlisted_blobs',
  page: (p) => sql`
    SELECT row.id AS id, row.digest AS digest, row.created_ms AS created_ms
    FROM ${blob} row WHERE row.id > ${p.afterId} ORDER BY row.id LIMIT ${p.limit}`,
  found: (p, page) => sql`
    SELECT b.id AS id, b.digest AS subject FROM (${page}) b
    WHERE b.created_ms <= ${p.createdBeforeMs} AND ${isUnheld('b')}
      AND NOT EXISTS (SELECT 1 FROM ${gcBlobCandidate} listed WHERE listed.blob_id = b.id)`,
  list: (found) => sql`
    INSERT INTO ${gcBlobCandidate} (blob_id)
    SELECT unlisted.id FROM (${found}) unlisted WHERE true ON CONFLICT DO NOTHING`,
});
