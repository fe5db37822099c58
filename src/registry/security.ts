import { z } from 'zod';

import { encodeUtf8 } from '../model/bytes.ts';
import type { Page } from '../model/datatypes.ts';
import { RegistryError } from '../model/errors.ts';
import { SCANS_LOOKED_AT_MAX, SECURITY_REPORT_BYTES_MAX } from '../model/limits.ts';
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
  deleteSecurityReportStatement,
  deleteSecurityStatusStatement,
  type LookedAt,
  manifestsForSecurityNotificationStatement,
  queuedManifestsStatement,
  scannedManifestsStatement,
  securityNotificationsStatement,
  securityStatusStatement,
  setSecurityReportStatement,
  setSecurityStatusStatement,
} from '../storage/d1/security.ts';
import type { RegistryDeps } from './deps.ts';
import type { SecurityReports } from './interface.ts';
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
   * was collected meanwhile, or its repository deleted).
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

export function createSecurityStatuses({ database, clock }: RegistryDeps): SecurityStatuses {
  return {
    async readSecurityState({ id: manifestId }) {
      const row = await database.primary.first(securityStatusStatement({ manifestId }));
      const status = (row && STATUS_BY_INDEX[row.indexStatus]) ?? 'queued';
      const text = row?.report ?? null;
      return { status, report: text === null ? null : (JSON.parse(text) as SecurityReport) };
    },

    async setSecurityState({ id: manifestId, repositoryId, digest }, scan) {
      const key = { manifestId, repositoryId };
      const indexStatus = INDEX_BY_RESULT[scan.status];
      const report = scan.status === 'scanned' ? toReportText(scan.report) : null;
      const batch = new Batch();
      const written = batch.add(
        setSecurityStatusStatement({ ...key, indexStatus, nowMs: clock.nowMs() }),
      );
      batch.add(
        report === null
          ? deleteSecurityReportStatement(key)
          : setSecurityReportStatement({ ...key, report }),
      );
      // Sent again it writes the same.
      const results = await sendAgain(() => batch.run(database.primary));
      if (results.firstOf(written) === null) {
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
