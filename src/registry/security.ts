import { z } from 'zod';

import { encodeUtf8 } from '../model/bytes.ts';
import type { Page } from '../model/datatypes.ts';
import type { Digest } from '../model/digest.ts';
import { RegistryError } from '../model/errors.ts';
import { SCANS_LOOKED_AT_MAX, SECURITY_REPORT_BYTES_MAX } from '../model/limits.ts';
import { NOTIFIED_TAGS_MAX } from '../model/notification-limits.ts';
import type { ManifestInfo } from '../model/references.ts';
import type {
  ScannedManifest,
  ScanResult,
  SecurityReport,
  SecurityState,
  SecurityStatus,
} from '../model/security.ts';
import type { EpochMs } from '../model/time.ts';
import { Batch } from '../storage/d1/batch.ts';
import {
  assertScannedStatement,
  deleteSecurityReportStatement,
  deleteSecurityStatusStatement,
  type LookedAt,
  manifestsForSecurityNotificationStatement,
  queuedManifestsStatement,
  scanGroundsStatement,
  scannedManifestsStatement,
  securityNotificationsStatement,
  securityStatusStatement,
  setSecurityReportStatement,
  setSecurityStatusStatement,
  tagNamesHoldingStatement,
} from '../storage/d1/security.ts';
import type { RegistryDeps } from './deps.ts';
import type { SecurityReports } from './interface.ts';
import { type Findings, newVulnerabilities } from './notifications/events.ts';
import { addVulnerabilityMessage, deliverTold, type Place } from './notifications/outbox.ts';
import { retryWrite } from './retry-write.ts';
import { sendAgain } from './send-again.ts';

/** What scanners said of manifests, and who wants to hear of it. */
export function createSecurityReports({ database }: RegistryDeps): SecurityReports {
  return {
    async resetSecurityStatus(target) {
      const { id: manifestId } = 'manifest' in target ? target.manifest : target;
      await sendAgain(() =>
        database.primary.batch([
          deleteSecurityStatusStatement({ manifestId }),
          deleteSecurityReportStatement({ manifestId }),
        ]),
      );
    },

    findManifestsForSecNotification: (digest) =>
      database.primary.all(manifestsForSecurityNotificationStatement({ digest })),

    async lookupSecscanNotificationSeverities({ id: repositoryId }) {
      const rows = await database.primary.all(securityNotificationsStatement({ repositoryId }));
      return rows.length === 0
        ? null
        : rows
            .map(({ eventConfigJson: json }) => (json === null ? null : parsePriority(json)))
            .filter((priority) => priority !== null);
    },
  };
}

const STATUS_BY_INDEX: Readonly<Record<number, SecurityStatus>> = {
  [-4]: 'failed',
  [-3]: 'manifest_layer_too_large',
  [-2]: 'unsupported',
  [-1]: 'failed',
  0: 'queued',
  1: 'queued',
  2: 'scanned',
};
const INDEX_BY_RESULT: Readonly<Record<ScanResult, number>> = {
  scanned: 2,
  failed: -1,
  unsupported: -2,
  manifest_layer_too_large: -3,
};

/** What a scanner came to; a report there is of what was scanned, and only of that. */
export type Scan =
  | { readonly status: 'scanned'; readonly report: SecurityReport }
  | { readonly status: Exclude<ScanResult, 'scanned'> };

/** Keeps what scanners say of manifests, and tells them what is left to do. */
export interface SecurityStatuses {
  /** How far the scanning of a manifest is; one that nobody has begun with is queued. */
  readSecurityState(manifest: Pick<ManifestInfo, 'id'>): Promise<SecurityState>;
  /**
   * Writes down what a scanner came to, instead of what it came to before. Errors: FieldInvalid
   * (data: the report has more than {@link SECURITY_REPORT_BYTES_MAX} bytes), ManifestNotFound (it
   * was collected meanwhile, or its repository deleted), Conflict. What it found that the report
   * before did not have is told to whoever wants to hear of it.
   */
  setSecurityState(
    manifest: Pick<ManifestInfo, 'id' | 'repositoryId' | 'digest'>,
    scan: Scan,
  ): Promise<void>;
  /**
   * The images in use that are queued, the newest first. A page looks at
   * {@link SCANS_LOOKED_AT_MAX} manifests, and may have few or none although there are more;
   * `cursor` is where the next one begins. Errors: InvalidFilter (not a cursor of this method).
   */
  listQueuedScans(options?: { readonly cursor?: string | null }): Promise<Page<ScannedManifest>>;
  /**
   * The manifests in use that scanners came to one result with before a time, those first that were
   * scanned the longest ago; pages as above. Errors: InvalidFilter (as above).
   */
  listScans(
    status: ScanResult,
    options?: { readonly beforeMs?: EpochMs | null; readonly cursor?: string | null },
  ): Promise<Page<ScannedManifest>>;
}

export function createSecurityStatuses(deps: RegistryDeps): SecurityStatuses {
  const { database, clock } = deps;
  return {
    async readSecurityState({ id: manifestId }) {
      const row = await database.primary.first(securityStatusStatement({ manifestId }));
      const status = (row && STATUS_BY_INDEX[row.indexStatus]) ?? 'queued';
      const text = row?.report ?? null;
      return { status, report: text === null ? null : (JSON.parse(text) as SecurityReport) };
    },

    async setSecurityState({ id: manifestId, repositoryId, digest }, scan) {
      const nowMs = clock.nowMs();
      const key = { manifestId, repositoryId };
      const indexStatus = INDEX_BY_RESULT[scan.status];
      const report = scan.status === 'scanned' ? toReportText(scan.report) : null;
      // Written again it is the same, and what it found is not new any more.
      const isWritten = await retryWrite(async () => {
        const found = await findNews({ ...key, digest, scan, nowMs }, deps);
        const batch = new Batch();
        if (found !== null) {
          batch.add(assertScannedStatement({ manifestId, scannedMs: found.scannedMs }));
        }
        const written = batch.add(setSecurityStatusStatement({ ...key, indexStatus, nowMs }));
        const told =
          found === null ? [] : [addVulnerabilityMessage(batch, found.place, found.findings)];
        batch.add(
          report === null
            ? deleteSecurityReportStatement(key)
            : setSecurityReportStatement({ ...key, report }),
        );
        const results = await batch.run(database.primary);
        deliverTold(told, { results, repositoryId }, deps);
        return results.firstOf(written) !== null;
      });
      if (!isWritten) {
        throw new RegistryError('ManifestNotFound', { digest });
      }
    },

    async listQueuedScans({ cursor = null } = {}) {
      const [beforeId] = cursor === null ? [Number.MAX_SAFE_INTEGER] : parsePlace(cursor, 1);
      const page = { beforeId, nowMs: clock.nowMs(), limit: SCANS_LOOKED_AT_MAX };
      const rows = await database.primary.all(queuedManifestsStatement(page));
      return toPage(rows, ({ manifestId }) => [manifestId]);
    },

    async listScans(status, { beforeMs = null, cursor = null } = {}) {
      const nowMs = clock.nowMs();
      const [afterMs, afterId] = cursor === null ? [0, 0] : parsePlace(cursor, 2);
      const rows = await database.primary.all(
        scannedManifestsStatement({
          indexStatus: INDEX_BY_RESULT[status],
          afterMs,
          afterId,
          beforeMs: beforeMs ?? nowMs + 1,
          nowMs,
          limit: SCANS_LOOKED_AT_MAX,
        }),
      );
      return toPage(rows, ({ sinceMs, manifestId }) => [sinceMs, manifestId]);
    },
  };
}

/** What a scan found that the one before did not, and when that was; null: never. */
interface News {
  readonly place: Place;
  readonly findings: Findings & { readonly messageId: string };
  readonly scannedMs: number | null;
}

/** Null: nothing new, no tag holds the manifest, or the repository does not want to hear of it. */
async function findNews(
  scanned: {
    readonly manifestId: number;
    readonly repositoryId: number;
    readonly digest: Digest;
    readonly scan: Scan;
    readonly nowMs: EpochMs;
  },
  { database, ids }: RegistryDeps,
): Promise<News | null> {
  const { manifestId, repositoryId, digest, scan, nowMs } = scanned;
  if (scan.status !== 'scanned') {
    return null;
  }
  const [[grounds], tags] = await database.primary.batch([
    scanGroundsStatement({ manifestId, repositoryId }),
    tagNamesHoldingStatement({ manifestId, nowMs, limit: NOTIFIED_TAGS_MAX }),
  ]);
  if (grounds === undefined || tags.length === 0) {
    return null;
  }
  const { namespaceName: namespace, repositoryName, scannedMs, report } = grounds;
  const earlier = report === null ? null : (JSON.parse(report) as SecurityReport);
  const [worst, ...others] = newVulnerabilities(scan.report, earlier);
  if (worst === undefined) {
    return null;
  }
  const tagNames = tags.map(({ tagName }) => tagName);
  return {
    place: { repositoryId, namespace, repository: repositoryName, nowMs },
    findings: {
      digest,
      tagNames,
      vulnerabilities: [worst, ...others],
      messageId: ids.uuid(),
    },
    scannedMs,
  };
}

/** Errors: FieldInvalid. */
function toReportText(report: SecurityReport): string {
  const text = JSON.stringify(report);
  if (encodeUtf8(text).byteLength > SECURITY_REPORT_BYTES_MAX) {
    throw new RegistryError('FieldInvalid', {
      field: 'data',
      reason: `a report has ${SECURITY_REPORT_BYTES_MAX} bytes at most`,
    });
  }
  return text;
}

function toPage(
  rows: readonly LookedAt[],
  placeOf: (row: LookedAt) => readonly number[],
): Page<ScannedManifest> {
  const items = rows.flatMap(({ manifest }) => manifest ?? []);
  const last = rows.length < SCANS_LOOKED_AT_MAX ? undefined : rows.at(-1);
  return last === undefined
    ? { items, hasMore: false }
    : { items, hasMore: true, cursor: placeOf(last).join('-') };
}

/** The numbers that a list goes on behind. Errors: InvalidFilter. */
function parsePlace(cursor: string, count: 1): readonly [number];
function parsePlace(cursor: string, count: 2): readonly [number, number];
function parsePlace(cursor: string, count: number): readonly number[] {
  const numbers = cursor.split('-');
  if (numbers.length !== count || !numbers.every((digits) => /^\d{1,15}$/.test(digits))) {
    throw new RegistryError('InvalidFilter', { parameter: 'cursor' });
  }
  return numbers.map(Number);
}

const eventConfig = z.object({ vulnerability: z.object({ priority: z.string().min(1) }) });

/** The lowest severity that a notification is for; null if its configuration names none. */
function parsePriority(json: string): string | null {
  try {
    return eventConfig.safeParse(JSON.parse(json)).data?.vulnerability.priority ?? null;
  } catch (error) {
    // Written by users; one that is broken must not silence the others.
    if (error instanceof SyntaxError) {
      return null;
    }
    throw error;
  }
}
