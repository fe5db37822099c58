import { z } from 'zod';

import type { ManifestInfo } from '../model/references.ts';
import {
  deleteSecurityStatusStatement,
  manifestsForSecurityNotificationStatement,
  securityStatusStatement,
  securityNotificationsStatement,
} from '../storage/d1/security.ts';
import type { RegistryDeps } from './deps.ts';
import type { SecurityReports } from './interface.ts';
import { sendAgain } from './send-again.ts';

/** What scanners said of manifests, and who wants to hear of it. */
export function createSecurityReports({ database }: RegistryDeps): SecurityReports {
  return {
    async resetSecurityStatus(target) {
      const { id: manifestId } = 'manifest' in target ? target.manifest : target;
      await sendAgain(() => database.primary.all(deleteSecurityStatusStatement({ manifestId })));
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

/** What a scanner makes of a manifest. */
export const SECURITY_STATUSES = [
  'queued',
  'scanned',
  'failed',
  'unsupported',
  'manifest_layer_too_large',
] as const;
export type SecurityStatus = (typeof SECURITY_STATUSES)[number];

const STATUS_BY_INDEX: Readonly<Record<number, SecurityStatus>> = {
  [-4]: 'failed',
  [-3]: 'manifest_layer_too_large',
  [-2]: 'unsupported',
  [-1]: 'failed',
  0: 'queued',
  1: 'queued',
  2: 'scanned',
};

/** Tells how far scanners are. */
export interface SecurityStatuses {
  /** How far the indexing of a manifest is; one that nobody has begun with is queued. */
  readSecurityStatus(manifest: Pick<ManifestInfo, 'id'>): Promise<SecurityStatus>;
}

export function createSecurityStatuses({ database }: RegistryDeps): SecurityStatuses {
  return {
    async readSecurityStatus({ id: manifestId }) {
      const row = await database.primary.first(securityStatusStatement({ manifestId }));
      return (row && STATUS_BY_INDEX[row.indexStatus]) ?? 'queued';
    },
  };
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
