import { z } from 'zod';

import {
  deleteSecurityStatusStatement,
  manifestsForSecurityNotificationStatement,
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
