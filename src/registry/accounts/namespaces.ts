import type { NamespaceInfo } from '../../model/access.ts';
import type { Page } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import type { NamespaceName } from '../../model/names.ts';
import {
  createNamespaceStatement,
  namespacesPageStatement,
  namespaceStatement,
} from '../../storage/d1/namespaces.ts';
import type { RegistryDeps } from '../deps.ts';
import { retryWrite } from '../retry-write.ts';
import { type PageOptions, readPage } from './pages.ts';

/** Looks namespaces up, and makes organizations. */
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
  };
}
