import { namespaceEnabledStatement } from '../storage/d1/namespaces.ts';
import type { RegistryDeps } from './deps.ts';
import type { NamespaceReads } from './interface.ts';

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

/** No namespace has a character outside ASCII in its name. */
export function isPossibleName(namespaceName: string): boolean {
  return !/\P{ASCII}/u.test(namespaceName);
}
