import { IMPORT_KEPT_MS, IMPORTS_FORGOTTEN_PER_RUN_MAX } from '../model/import-limits.ts';
import {
  AUDIT_RECORDS_PER_PRUNE_MAX,
  RELEASE_KEPT_MS,
  RELEASES_PER_PRUNE_MAX,
  REMOVAL_KEPT_MS,
  REMOVALS_PER_PRUNE_MAX,
} from '../model/limits.ts';
import { MS_PER_DAY } from '../model/time.ts';
import { deleteOldAuditRecordsStatement, firstAuditId } from '../storage/d1/audit-log.ts';
import { deleteOldImportsStatement } from '../storage/d1/imports.ts';
import { deleteOldReleasesStatement } from '../storage/d1/releases.ts';
import { deleteOldRemovalsStatement } from '../storage/d1/removals.ts';
import type { RegistryDeps } from './deps.ts';

/** Forgets what was written down long ago. */
export interface Forgetting {
  /**
   * Forgets removals that are {@link REMOVAL_KEPT_MS} old, releases that are
   * {@link RELEASE_KEPT_MS} old, records of the audit log that are as old as the operator wants, and
   * imports that ended {@link IMPORT_KEPT_MS} ago, the oldest first;
   * {@link REMOVALS_PER_PRUNE_MAX}, {@link RELEASES_PER_PRUNE_MAX},
   * {@link AUDIT_RECORDS_PER_PRUNE_MAX} and {@link IMPORTS_FORGOTTEN_PER_RUN_MAX} at most. One round
   * trip; gives how many there were.
   */
  forgetOldRecords(): Promise<{
    readonly removals: number;
    readonly releases: number;
    readonly auditRecords: number;
    readonly imports: number;
  }>;
}

export function createForgetting({ database, clock, settings }: RegistryDeps): Forgetting {
  return {
    async forgetOldRecords() {
      const nowMs = clock.nowMs();
      const keptFromMs = nowMs - settings.auditLogDays * MS_PER_DAY;
      const [removals, releases, auditRecords, imports] = await database.primary.batch([
        deleteOldRemovalsStatement({
          untilMs: nowMs - REMOVAL_KEPT_MS,
          limit: REMOVALS_PER_PRUNE_MAX,
        }),
        deleteOldReleasesStatement({
          untilMs: nowMs - RELEASE_KEPT_MS,
          limit: RELEASES_PER_PRUNE_MAX,
        }),
        deleteOldAuditRecordsStatement({
          beforeId: firstAuditId(keptFromMs + 1),
          limit: AUDIT_RECORDS_PER_PRUNE_MAX,
        }),
        deleteOldImportsStatement({
          untilMs: nowMs - IMPORT_KEPT_MS,
          limit: IMPORTS_FORGOTTEN_PER_RUN_MAX,
        }),
      ]);
      return {
        removals: removals.length,
        releases: releases.length,
        auditRecords: auditRecords.length,
        imports: imports.length,
      };
    },
  };
}
