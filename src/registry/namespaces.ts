import type { NamespaceInfo } from '../model/access.ts';
import { RegistryError } from '../model/errors.ts';
import { HELD_BY_PULL_DAYS_MAX } from '../model/limits.ts';
import { Batch } from '../storage/d1/batch.ts';
import { settleHintsOfNamespaceStatement } from '../storage/d1/gc-hints.ts';
import {
  changeNamespaceStatement,
  moveHintsToWindowStatement,
  namespaceEnabledStatement,
  namespaceStatement,
} from '../storage/d1/namespaces.ts';
import type { RegistryDeps } from './deps.ts';
import { lockedMayGo } from './garbage/steps.ts';
import type { NamespaceReads } from './interface.ts';
import { sendAgain } from './send-again.ts';

/** Tells which namespaces may be used. */
export function createNamespaceReads({ database }: RegistryDeps): NamespaceReads {
  /** Null: no such namespace. */
  async function isEnabled(namespace: string, forPush: boolean): Promise<boolean | null> {
    if (!isPossibleName(namespace)) {
      return null;
    }
    const asked = namespaceEnabledStatement({ namespace });
    const found = await (forPush ? database.primary.first(asked) : database.firstAnywhere(asked));
    return found?.isEnabled ?? null;
  }
  return {
    isExistingDisabledNamespace: async (namespaceName, { forPush = false } = {}) =>
      (await isEnabled(namespaceName, forPush)) === false,
    isNamespaceEnabled: async (namespaceName, { forPush = false } = {}) =>
      (await isEnabled(namespaceName, forPush)) === true,
  };
}

/** What is changed of a namespace; what is left out stays. */
export type NamespaceChange = Partial<
  Pick<NamespaceInfo, 'windowSec' | 'heldByPullDays' | 'isEnabled' | 'memberRole'>
>;

/** Changes what namespaces decide. */
export interface NamespaceSettings {
  /**
   * Changes a namespace and gives it as it is now; null: no such namespace, or it is marked for
   * deletion. A shorter window puts beyond recovery, at once, what ended before it. What is held
   * because it was pulled stays so until the date that it has; pulls from then on go by the new
   * number of days, those that a location answers by itself a minute later. A namespace that is not
   * enabled is closed to everybody: nothing of it is served or collected, and its robots and its
   * person do not log in; a token that was issued before is good to its end, some minutes at most.
   * What all members may do is for organizations. Errors: HeldByPullDaysOutOfRange,
   * NotAnOrganization.
   */
  changeNamespace(namespaceName: string, change: NamespaceChange): Promise<NamespaceInfo | null>;
}

export function createNamespaceSettings({ database, settings }: RegistryDeps): NamespaceSettings {
  return {
    async changeNamespace(name, { windowSec, heldByPullDays: days, isEnabled, memberRole }) {
      if (windowSec !== undefined && !(Number.isSafeInteger(windowSec) && windowSec >= 0)) {
        throw new RangeError(`a window has no ${windowSec} seconds`);
      }
      if (days !== undefined && !isNumberOfDays(days)) {
        throw new RegistryError('HeldByPullDaysOutOfRange', { days });
      }
      const named = { namespace: name };
      if (memberRole !== undefined) {
        const found = await database.primary.first(namespaceStatement(named));
        if (found?.kind === 'user') {
          throw new RegistryError('NotAnOrganization', { name });
        }
      }
      // What is sent twice, as an answer was lost, is the same.
      return sendAgain(async () => {
        const batch = new Batch();
        batch.add(
          changeNamespaceStatement({
            ...named,
            windowSec: windowSec ?? null,
            heldByPullDays: days ?? null,
            enabled: isEnabled === undefined ? null : Number(isEnabled),
            memberRole: memberRole ?? null,
          }),
        );
        if (windowSec !== undefined) {
          batch.add(moveHintsToWindowStatement({ ...named, windowSec }));
        }
        if (isEnabled !== undefined) {
          // While it is closed its repositories are not visited, and have no hint.
          batch.add(
            settleHintsOfNamespaceStatement({ ...named, lockedMayGo: lockedMayGo(settings) }),
          );
        }
        const now = batch.add(namespaceStatement(named));
        return (await batch.run(database.primary)).firstOf(now);
      });
    },
  };
}

function isNumberOfDays(days: number): boolean {
  return Number.isInteger(days) && days >= 0 && days <= HELD_BY_PULL_DAYS_MAX;
}

/** No namespace has a character outside ASCII in its name. */
export function isPossibleName(namespaceName: string): boolean {
  return !/\P{ASCII}/u.test(namespaceName);
}
