import type {
  AuditKind,
  AuditMetadata,
  AuditRecord,
  Performer,
  RequestSource,
} from '../model/audit-log.ts';
import type { Page } from '../model/datatypes.ts';
import { RegistryError } from '../model/errors.ts';
import {
  AUDIT_METADATA_LENGTH_MAX,
  AUDIT_RECORD_PAGE_SIZE,
  AUDIT_RECORDS_COUNTED_MAX,
  AUDIT_RECORDS_LOOKED_AT_MAX,
  AUDIT_SPAN_MS_DEFAULT,
} from '../model/limits.ts';
import type { NamespaceName } from '../model/names.ts';
import type { RepositoryRef } from '../model/references.ts';
import { type EpochMs, epochMs, MS_PER_DAY } from '../model/time.ts';
import {
  allAuditStatements,
  type AuditSpan,
  firstAuditId,
  insertAuditRecordsStatement,
  namespaceAuditStatements,
  type NewAuditRecord,
  repositoryAuditStatements,
} from '../storage/d1/audit-log.ts';
import type { Statement } from '../storage/d1/statement.ts';
import type { RegistryDeps } from './deps.ts';
import { sendAgain } from './send-again.ts';

/** Something that somebody did, to a repository, to a namespace, or to neither. */
export interface AuditEvent {
  readonly kind: AuditKind;
  readonly repository?: Pick<RepositoryRef, 'id' | 'name' | 'namespaceId' | 'namespaceName'>;
  /** Where there is no repository. */
  readonly namespace?: NamespaceName;
  readonly metadata?: AuditMetadata;
}

/** Who did it, and where from. */
export interface AuditOrigin extends RequestSource {
  readonly performer: Performer;
}

/** Writes down who did what. */
export interface AuditRecorder {
  /**
   * Writes events of one request down behind its answer, in one statement: a row for each, and one
   * for each of its indexes. What goes wrong is logged. Of metadata above
   * {@link AUDIT_METADATA_LENGTH_MAX} characters the last entries are left out, and `truncated` is
   * true in it.
   */
  recordAuditEvents(events: readonly AuditEvent[], origin: AuditOrigin): void;
}

export function createAuditRecorder({ database, clock, defer, ids }: RegistryDeps): AuditRecorder {
  return {
    recordAuditEvents(events, { performer, ip, country }) {
      if (events.length === 0) {
        return;
      }
      const atMs = clock.nowMs();
      const records = JSON.stringify(
        events.map((event) => ({ ...toNewRecord(event), atMs, uuid: ids.uuid() })),
      );
      const { kind: performerKind, name: performerName } = performer;
      const insert = { records, performerKind, performerName, ip, country };
      defer(sendAgain(() => database.primary.all(insertAuditRecordsStatement(insert))));
    },
  };
}

function toNewRecord(event: AuditEvent): Omit<NewAuditRecord, 'atMs' | 'uuid'> {
  const { kind, repository, namespace, metadata = {} } = event;
  return {
    kind,
    namespaceId: repository?.namespaceId ?? null,
    namespaceName: repository?.namespaceName ?? namespace ?? null,
    repositoryId: repository?.id ?? null,
    repositoryName: repository?.name ?? null,
    metadata: bounded(metadata),
  };
}

/** As many of the entries, in their order, as fit. */
function bounded(metadata: AuditMetadata): AuditMetadata {
  if (JSON.stringify(metadata).length <= AUDIT_METADATA_LENGTH_MAX) {
    return metadata;
  }
  let kept: AuditMetadata = { truncated: true };
  for (const [key, value] of Object.entries(metadata)) {
    const more = { ...kept, [key]: value };
    if (JSON.stringify(more).length > AUDIT_METADATA_LENGTH_MAX) {
      break;
    }
    kept = more;
  }
  return kept;
}

/** Whose records are asked for. */
export type AuditScope =
  | { readonly kind: 'repository'; readonly repositoryId: number }
  /** A namespace with all that is in it, also what is gone; and who of it logs in. */
  | { readonly kind: 'namespace'; readonly name: NamespaceName }
  | { readonly kind: 'all' };

/** Which of them. */
export interface AuditFilter {
  /** By default {@link AUDIT_SPAN_MS_DEFAULT} before the end. */
  readonly fromMs?: EpochMs | null;
  /** The first moment that is too late; by default what comes after now. */
  readonly toMs?: EpochMs | null;
  /** By whoever has this name, or had it then. */
  readonly performer?: string | null;
}

/** The span that an answer is about. */
interface AnsweredSpan {
  readonly fromMs: EpochMs;
  readonly toMs: EpochMs;
}

export interface AuditCount {
  readonly kind: AuditKind;
  /** The first moment of the day, in UTC. */
  readonly dayMs: EpochMs;
  readonly count: number;
}

/** Tells who did what. */
export interface AuditReads {
  /**
   * A page of {@link AUDIT_RECORD_PAGE_SIZE} records, the last first; `cursor` is where the next one
   * begins. For one performer a page looks at {@link AUDIT_RECORDS_LOOKED_AT_MAX} records, and may
   * have few or none although there are more.
   *
   * Errors: InvalidFilter (not a cursor of this method, or a span that ends before it begins).
   */
  listAuditLog(
    scope: AuditScope,
    options?: AuditFilter & { readonly cursor?: string | null },
  ): Promise<Page<AuditRecord> & AnsweredSpan>;
  /**
   * How many records of each kind each day has, in order of time. The last
   * {@link AUDIT_RECORDS_COUNTED_MAX} are counted; `isComplete` tells whether those are all.
   *
   * Errors: InvalidFilter (a span that ends before it begins).
   */
  aggregateAuditLog(
    scope: AuditScope,
    options?: AuditFilter,
  ): Promise<
    AnsweredSpan & { readonly counts: readonly AuditCount[]; readonly isComplete: boolean }
  >;
}

export function createAuditLogReads({ database, clock }: RegistryDeps): AuditReads {
  return {
    async listAuditLog(scope, { cursor = null, performer = null, ...filter } = {}) {
      const span = spanOf(filter, clock.nowMs());
      const size = AUDIT_RECORD_PAGE_SIZE;
      const lookedAtMax = performer === null ? size + 1 : AUDIT_RECORDS_LOOKED_AT_MAX;
      const { page, end } = statementsOf(scope, { ...idsOf(span, cursor), lookedAtMax });
      const [rows, ends = []] =
        performer === null
          ? [await database.primary.all(page({ performer, limit: size + 1 }))]
          : await database.primary.batch([page({ performer, limit: size + 1 }), end()]);
      const items = rows.slice(0, size).map(({ record }) => record);
      const lastId = rows.length > size ? rows[size - 1]?.id : endOf(ends[0], lookedAtMax);
      return lastId === undefined
        ? { items, hasMore: false, ...span }
        : { items, hasMore: true, cursor: String(lastId), ...span };
    },

    async aggregateAuditLog(scope, { performer = null, ...filter } = {}) {
      const span = spanOf(filter, clock.nowMs());
      const lookedAtMax = AUDIT_RECORDS_COUNTED_MAX;
      const { counts, end } = statementsOf(scope, { ...idsOf(span, null), lookedAtMax });
      const [rows, ends] = await database.primary.batch([counts({ performer }), end()]);
      return {
        ...span,
        counts: rows.map(({ kind, day, count }) => ({
          kind,
          dayMs: epochMs(day * MS_PER_DAY),
          count,
        })),
        isComplete: endOf(ends[0], lookedAtMax) === undefined,
      };
    },
  };
}

/** The last record that was looked at, if there may be more. */
function endOf(
  end: { readonly count: number; readonly lastId: number | null } | undefined,
  lookedAtMax: number,
): number | undefined {
  return end?.count === lookedAtMax ? (end.lastId ?? undefined) : undefined;
}

function spanOf({ fromMs, toMs }: AuditFilter, nowMs: EpochMs): AnsweredSpan {
  const endMs = toMs ?? epochMs(nowMs + 1);
  const startMs = fromMs ?? epochMs(Math.max(endMs - AUDIT_SPAN_MS_DEFAULT, 0));
  if (endMs <= startMs) {
    throw new RegistryError('InvalidFilter', { parameter: 'span' });
  }
  return { fromMs: startMs, toMs: endMs };
}

/** A cursor is the id of the record that the page before ended with. */
function idsOf({ fromMs, toMs }: AnsweredSpan, cursor: string | null) {
  if (cursor !== null && !/^\d{1,15}$|^[1-8]\d{15}$/.test(cursor)) {
    throw new RegistryError('InvalidFilter', { parameter: 'cursor' });
  }
  const endId = firstAuditId(toMs);
  return {
    fromId: firstAuditId(fromMs),
    beforeId: cursor === null ? endId : Math.min(endId, Number(cursor)),
  };
}

function bind<Values extends AuditSpan>(
  { page, end, counts }: ScopeStatements<Values>,
  values: Values,
) {
  return {
    page: (by: ByPerformer & { limit: number }) => page({ ...values, ...by }),
    end: () => end(values),
    counts: (by: ByPerformer) => counts({ ...values, ...by }),
  };
}

/** What is asked of a scope's records, in a span of them. */
function statementsOf(scope: AuditScope, span: AuditSpan) {
  switch (scope.kind) {
    case 'repository':
      return bind(repositoryAuditStatements, { ...span, repositoryId: scope.repositoryId });
    case 'namespace':
      return bind(namespaceAuditStatements, { ...span, namespace: scope.name });
    case 'all':
      return bind(allAuditStatements, span);
  }
}

type ByPerformer = { readonly performer: string | null };
type RowOf<Define> = Define extends (values: never) => Statement<infer Row> ? Row : never;
type AllStatements = typeof allAuditStatements;

interface ScopeStatements<Values> {
  readonly page: (
    values: Values & ByPerformer & { limit: number },
  ) => Statement<RowOf<AllStatements['page']>>;
  readonly end: (values: Values) => Statement<RowOf<AllStatements['end']>>;
  readonly counts: (values: Values & ByPerformer) => Statement<RowOf<AllStatements['counts']>>;
}
