import { RegistryError } from '../model/errors.ts';
import type { RepositoryName } from '../model/names.ts';
import { percentOf, type Quota, type QuotaLimits } from '../model/quota.ts';
import type { RepositoryRef } from '../model/references.ts';
import { Batch } from '../storage/d1/batch.ts';
import {
  countNamespaceStatement,
  countRepositoriesStatement,
  deleteQuotaStatement,
  forgetNamespaceSizeStatement,
  forgetRepositorySizesStatement,
  quotaStatement,
  repositorySizeStatement,
  setQuotaStatement,
} from '../storage/d1/quota.ts';
import type { RegistryDeps } from './deps.ts';
import { tellOfRefusal } from './notifications/outbox.ts';
import { sendAgain } from './send-again.ts';

/** Says how many bytes namespaces may hold, and how many they do. */
export interface Quotas {
  /**
   * Gives a namespace a quota, or other limits to the one it has, and gives it as it is now; null:
   * no such namespace. A first quota counts what the namespace holds, in the transaction that sets
   * it. Nothing is removed from a namespace that holds more already. Errors: InvalidQuota.
   */
  setQuota(namespaceName: string, limits: QuotaLimits): Promise<Quota | null>;
  /** Takes the quota of a namespace away, and what was counted for it; false: it has none. */
  removeQuota(namespaceName: string): Promise<boolean>;
  /** The quota of a namespace and how much of it is used; null: it has none, or is none. */
  readQuota(namespaceName: string): Promise<Quota | null>;
  /**
   * The bytes of the distinct blobs that a repository's manifests link, the empty layer apart; null
   * if its namespace has no quota, for then nobody counts, or if the repository is gone.
   */
  readRepositorySize(repository: RepositoryRef): Promise<number | null>;
}

export function createQuotas({ database }: RegistryDeps): Quotas {
  return {
    async setQuota(namespace, limits) {
      requireLimits(limits);
      const { limitBytes, warningPercent, rejectPercent } = limits;
      return sendAgain(async () => {
        const batch = new Batch();
        batch.add(setQuotaStatement({ namespace, limitBytes, warningPercent, rejectPercent }));
        batch.add(countRepositoriesStatement({ namespace }));
        batch.add(countNamespaceStatement({ namespace }));
        const now = batch.add(quotaStatement({ namespace }));
        return (await batch.run(database.primary)).firstOf(now);
      });
    },

    removeQuota: (namespace) =>
      sendAgain(async (isAgain) => {
        const batch = new Batch();
        batch.add(forgetRepositorySizesStatement({ namespace }));
        batch.add(forgetNamespaceSizeStatement({ namespace }));
        const removed = batch.add(deleteQuotaStatement({ namespace }));
        return (await batch.run(database.primary)).firstOf(removed) !== null || isAgain;
      }),

    readQuota: (namespace) => database.primary.first(quotaStatement({ namespace })),

    async readRepositorySize({ id: repositoryId }) {
      const found = await database.primary.first(repositorySizeStatement({ repositoryId }));
      return found?.sizeBytes ?? null;
    },
  };
}

function requireLimits({ limitBytes, warningPercent, rejectPercent }: QuotaLimits): void {
  if (!Number.isSafeInteger(limitBytes) || limitBytes < 1) {
    throw new RegistryError('InvalidQuota', { reason: 'a limit is a whole number of bytes' });
  }
  if (!isPercentOrNull(warningPercent) || !isPercentOrNull(rejectPercent)) {
    throw new RegistryError('InvalidQuota', {
      reason: 'a percentage is a whole number from 1 to 100',
    });
  }
}

function isPercentOrNull(value: number | null): boolean {
  return value === null || (Number.isInteger(value) && value >= 1 && value <= 100);
}

/**
 * Refuses what would bring a namespace above its quota, and has that told to whoever wants to hear of
 * it. What adds nothing passes, however much is held: only an administrator can have brought that
 * about. Errors: QuotaExceeded.
 */
export function requireRoom(
  name: RepositoryName,
  { quota, addedBytes }: { quota: Quota; addedBytes: number },
  deps: RegistryDeps,
): void {
  const { limitBytes, warningPercent, rejectPercent, usedBytes } = quota;
  if (
    rejectPercent !== null &&
    addedBytes > 0 &&
    usedBytes + addedBytes > percentOf(limitBytes, rejectPercent)
  ) {
    tellOfRefusal(name, { quota, addedBytes }, deps);
    throw new RegistryError('QuotaExceeded', {
      namespaceName: name.namespace,
      quota: { limitBytes, warningPercent, rejectPercent, usedBytes },
      addedBytes,
    });
  }
}

/** The quota that a push brought above the percentage of its warning, else null. */
export function quotaToWarnOf(quota: Quota | null): Quota | null {
  return quota !== null &&
    quota.warningPercent !== null &&
    quota.usedBytes > percentOf(quota.limitBytes, quota.warningPercent)
    ? quota
    : null;
}
