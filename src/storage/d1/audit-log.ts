import { type SQL, sql } from 'drizzle-orm';

import type { AuditKind, AuditMetadata, AuditRecord, Performer } from '../../model/audit-log.ts';
import type { NamespaceName, RepositoryPath } from '../../model/names.ts';
import type { EpochMs } from '../../model/time.ts';
import { auditLog } from './schema/audit-log.ts';
import { namespace } from './schema/repositories.ts';
import { type Parameters, defineStatement } from './statement.ts';

/** Who did what. An id is a time and an order within its millisecond, see the table's migration. */

/** A record as a JSON list has it. */
export interface NewAuditRecord {
  readonly uuid: string;
  readonly atMs: number;
  readonly kind: AuditKind;
  /** Null where only the name is known: the id of whom has it now is written down. */
  readonly namespaceId: number | null;
  readonly namespaceName: string | null;
  readonly repositoryId: number | null;
  readonly repositoryName: string | null;
  readonly metadata: AuditMetadata;
}

type WhoAndWhence = {
  performerKind: string;
  performerName: string | null;
  ip: string | null;
  country: string | null;
};

/** Those records of a millisecond that are there already. */
const recordsOf = (ms: SQL): SQL => sql`
    ${auditLog} known WHERE known.id >= ${ms} << 10 AND known.id < (${ms} + 1) << 10`;

/**
 * Writes the records of one request down, those that are not there yet; so it may be sent again. A
 * record takes the next place of its millisecond. There are a thousand, which is more than the
 * database writes in one.
 */
export const insertAuditRecordsStatement = defineStatement<WhoAndWhence & { records: string }>(
  (p) => sql`
    INSERT INTO ${auditLog} (id, uuid, kind, namespace_id, namespace_name, repository_id,
      repository_name, performer_kind, performer_name, ip, country, metadata)
    SELECT COALESCE((SELECT max(known.id) + 1 FROM ${recordsOf(sql`fresh.at_ms`)}),
        fresh.at_ms << 10) + fresh.place,
      fresh.record ->> 'uuid', fresh.record ->> 'kind',
      COALESCE(fresh.record ->> 'namespaceId', (
        SELECT n.id FROM ${namespace} n WHERE n.name = fresh.record ->> 'namespaceName')),
      fresh.record ->> 'namespaceName', fresh.record ->> 'repositoryId',
      fresh.record ->> 'repositoryName', ${p.performerKind}, ${p.performerName}, ${p.ip},
      ${p.country}, fresh.record -> 'metadata'
    FROM (SELECT entry.key AS place, entry.value AS record, entry.value ->> 'atMs' AS at_ms
      FROM json_each(${p.records}) entry) fresh
    WHERE NOT EXISTS (SELECT 1 FROM ${recordsOf(sql`fresh.at_ms`)}
      AND known.uuid = fresh.record ->> 'uuid')`,
);

interface RawRecord {
  id: number;
  kind: string;
  namespaceName: string | null;
  repositoryName: string | null;
  performerKind: string;
  performerName: string | null;
  ip: string | null;
  country: string | null;
  metadata: string;
}

/** With the record's id, which a page goes on after. */
export interface AuditRecordRow {
  readonly id: number;
  readonly record: AuditRecord;
}

/** An id's time; too large a number for a shift in JavaScript. */
const IDS_PER_MS = 1024;

/** The first id of a millisecond. */
export function firstAuditId(ms: number): number {
  return ms * IDS_PER_MS;
}

const toAuditRecordRow = (row: RawRecord): AuditRecordRow => ({
  id: row.id,
  record: {
    atMs: Math.floor(row.id / IDS_PER_MS) as EpochMs,
    kind: row.kind as AuditKind,
    performer: { kind: row.performerKind, name: row.performerName } as Performer,
    namespaceName: row.namespaceName as NamespaceName | null,
    repositoryName: row.repositoryName as RepositoryPath | null,
    ip: row.ip,
    country: row.country,
    metadata: JSON.parse(row.metadata) as AuditMetadata,
  },
});

/** Which records: of a scope, and of a span of time, both ends by id. */
export type AuditSpan = { fromId: number; beforeId: number; lookedAtMax: number };
/** A performer's name, or null for everybody. */
type ByPerformer = { performer: string | null };

/** The records of a scope, the last first, as many as are looked at. */
const lookedAt = <Values extends AuditSpan>(
  { index, condition }: ScopeOf<Values>,
  p: Parameters<Values>,
): SQL => sql`
    SELECT * FROM ${auditLog} l ${sql.raw(index)}
    WHERE ${condition(p)} AND l.id >= ${p.fromId} AND l.id < ${p.beforeId}
    ORDER BY l.id DESC LIMIT ${p.lookedAtMax}`;

interface ScopeOf<Values> {
  readonly index: string;
  readonly condition: (p: Parameters<Values>) => SQL;
}

const byPerformer = (p: Parameters<ByPerformer>): SQL =>
  sql`(${p.performer} IS NULL OR seen.performer_name = ${p.performer})`;

/** What is asked of the records of one kind of scope. */
function defineScope<Values extends AuditSpan>(scope: ScopeOf<Values>) {
  return {
    /** Those of a performer among the records that are looked at. */
    page: defineStatement<Values & ByPerformer & { limit: number }, RawRecord, AuditRecordRow>(
      (p) => sql`
        SELECT seen.id AS id, seen.kind AS kind, seen.namespace_name AS namespaceName,
          seen.repository_name AS repositoryName, seen.performer_kind AS performerKind,
          seen.performer_name AS performerName, seen.ip AS ip, seen.country AS country,
          seen.metadata AS metadata
        FROM (${lookedAt(scope, p)}) seen WHERE ${byPerformer(p)}
        ORDER BY seen.id DESC LIMIT ${p.limit}`,
      toAuditRecordRow,
    ),
    /** How many there are to look at, and the last of them. */
    end: defineStatement<Values, { count: number; lastId: number | null }>(
      (p) => sql`
        SELECT count(*) AS count, min(seen.id) AS lastId FROM (${lookedAt(scope, p)}) seen`,
    ),
    /** How many of each kind there were each day, a day by its number since 1970. */
    counts: defineStatement<Values & ByPerformer, { kind: AuditKind; day: number; count: number }>(
      (p) => sql`
        SELECT seen.kind AS kind, (seen.id >> 10) / 86400000 AS day, count(*) AS count
        FROM (${lookedAt(scope, p)}) seen WHERE ${byPerformer(p)}
        GROUP BY 2, 1 ORDER BY 2, 1`,
    ),
  };
}

export const repositoryAuditStatements = defineScope<AuditSpan & { repositoryId: number }>({
  index: 'INDEXED BY audit_log_repository',
  condition: (p) => sql`l.repository_id = ${p.repositoryId}`,
});

/** Of the namespace that has the name now. */
export const namespaceAuditStatements = defineScope<AuditSpan & { namespace: string }>({
  index: 'INDEXED BY audit_log_namespace',
  condition: (p) =>
    sql`l.namespace_id = (SELECT n.id FROM ${namespace} n WHERE n.name = ${p.namespace})`,
});

export const allAuditStatements = defineScope<AuditSpan>({
  index: '',
  condition: () => sql`true`,
});

/** Forgets the oldest records, those before an id. */
export const deleteOldAuditRecordsStatement = defineStatement<
  { beforeId: number; limit: number },
  { recordId: number }
>(
  (p) => sql`
    DELETE FROM ${auditLog} WHERE id IN (
      SELECT old.id FROM ${auditLog} old WHERE old.id < ${p.beforeId}
      ORDER BY old.id LIMIT ${p.limit})
    RETURNING id AS recordId`,
);
