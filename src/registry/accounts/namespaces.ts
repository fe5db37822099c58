import type { DefaultRole, NamespaceInfo } from '../../model/access.ts';
import type { Page } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import type { NamespaceName } from '../../model/names.ts';
import { settleHintsOfNamespaceStatement } from '../../storage/d1/gc-hints.ts';
import {
  createNamespaceStatement,
  namespacesPageStatement,
  namespaceStatement,
  setMemberRoleStatement,
  setNamespaceEnabledStatement,
} from '../../storage/d1/namespaces.ts';
import type { RegistryDeps } from '../deps.ts';
import { lockedMayGo } from '../garbage/steps.ts';
import { retryWrite } from '../retry-write.ts';
import { sendAgain } from '../send-again.ts';
import { type PageOptions, readPage } from './pages.ts';

/** Makes organizations, and changes namespaces of both kinds. */
export interface Namespaces {
  /** The namespace of exactly this name; null if there is none, or it is marked for deletion. */
  getNamespace(name: NamespaceName): Promise<NamespaceInfo | null>;
  /** Namespaces of both kinds, by name in byte order. */
  listNamespaces(options?: PageOptions): Promise<Page<NamespaceInfo>>;
  /**
   * Makes an organization, which has no members yet and the default window of the time machine. One
   * that a push of the administrator made is an organization already, and needs no second making.
   * The names that people may not have are free to organizations. Errors: NameTaken.
   */
  createOrganization(name: NamespaceName): Promise<NamespaceInfo>;
  /**
   * Sets what all members of an organization may do in its repositories.
   * Errors: NamespaceNotFound, NotAnOrganization.
   */
  changeMemberRole(name: NamespaceName, memberRole: DefaultRole): Promise<NamespaceInfo>;
  /**
   * Closes a namespace to everybody, or opens it again. While it is closed nothing of it is served
   * or collected, and its robots and its person do not log in. A token that was issued before is
   * good to its end, some minutes at most. Errors: NamespaceNotFound.
   */
  changeNamespaceEnabled(name: NamespaceName, isEnabled: boolean): Promise<NamespaceInfo>;
}

export function createNamespaces({ database, settings }: RegistryDeps): Namespaces {
  const { primary } = database;
  return {
    getNamespace: (name) => primary.first(namespaceStatement({ namespace: name })),

    listNamespaces: (options = {}) =>
      readPage(
        options,
        ({ name }) => name,
        (after, limit) => primary.all(namespacesPageStatement({ afterName: after ?? '', limit })),
      ),

    async createOrganization(name) {
      let wasFree = false;
      return retryWrite(async ({ answerLost }) => {
        const found = await primary.first(namespaceStatement({ namespace: name }));
        // Free before and there after a lost answer: it is ours, or one that cannot be told from it.
        if (found !== null && answerLost && wasFree && found.kind === 'organization') {
          return found;
        }
        if (found !== null) {
          throw new RegistryError('NameTaken', { name });
        }
        wasFree = true;
        const { removedTagExpirationSec } = settings;
        const [[created], [now]] = await primary.batch([
          createNamespaceStatement({
            namespace: name,
            kind: 'organization',
            removedTagExpirationSec,
          }),
          namespaceStatement({ namespace: name }),
        ]);
        if (created === undefined || now === undefined) {
          throw new RegistryError('NameTaken', { name });
        }
        return now;
      });
    },

    async changeMemberRole(name, memberRole) {
      const [, found] = await sendAgain(() =>
        primary.batch([
          setMemberRoleStatement({ namespace: name, memberRole }),
          namespaceStatement({ namespace: name }),
        ]),
      );
      const now = requireNamespace(found[0], name);
      if (now.kind !== 'organization') {
        throw new RegistryError('NotAnOrganization', { name });
      }
      return now;
    },

    async changeNamespaceEnabled(name, isEnabled) {
      const [, , found] = await sendAgain(() =>
        primary.batch([
          setNamespaceEnabledStatement({ namespace: name, enabled: Number(isEnabled) }),
          settleHintsOfNamespaceStatement({
            namespace: name,
            lockedMayGo: lockedMayGo(settings),
          }),
          namespaceStatement({ namespace: name }),
        ]),
      );
      return requireNamespace(found[0], name);
    },
  };
}

function requireNamespace(found: NamespaceInfo | undefined, name: NamespaceName): NamespaceInfo {
  if (found === undefined) {
    throw new RegistryError('NamespaceNotFound', { name });
  }
  return found;
}
