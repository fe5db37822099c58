import {
  type AccountName,
  isReservedName,
  type IssuedCredential,
  parseAccountName,
  type User,
} from '../../model/accounts.ts';
import { RegistryError } from '../../model/errors.ts';
import type { NamespaceName } from '../../model/names.ts';
import {
  credentialOfAccountStatement,
  insertFirstCredentialStatement,
} from '../../storage/d1/credentials.ts';
import { createNamespaceStatement } from '../../storage/d1/namespaces.ts';
import { insertUserStatement, userStatement } from '../../storage/d1/users.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { drawCredential } from './secrets.ts';

/**
 * Makes people. They are disabled with their namespace, which is their own (`changeNamespace`),
 * and deleted with it (`markNamespaceForDeletion`).
 */
export interface Users {
  /** The person of exactly this name, or null. */
  getUser(name: NamespaceName | AccountName): Promise<User | null>;
  /**
   * Makes a person, their namespace, and their first app token, which is good until it is revoked;
   * its secret is shown this once. Errors: NameInvalid (fewer than two characters), NameReserved,
   * NameTaken (by a person or an organization).
   */
  createUser(name: NamespaceName): Promise<{ readonly user: User } & IssuedCredential>;
}

const FIRST_TOKEN_TITLE = 'first token';

export function createUsers({ database, clock, ids, settings }: RegistryDeps): Users {
  const { primary } = database;
  return {
    getUser: (name) => primary.first(userStatement({ name })),

    async createUser(name) {
      requireUserName(name);
      const { secret, values } = await drawCredential(ids);
      const nowMs = clock.nowMs();
      const { removedTagExpirationSec } = settings;
      const [, , , [credential], [user]] = await sendAgain(() =>
        primary.batch([
          createNamespaceStatement({ namespace: name, kind: 'user', removedTagExpirationSec }),
          insertUserStatement({ name, nowMs }),
          insertFirstCredentialStatement({
            ...values,
            accountName: name,
            kind: 'app_token',
            title: FIRST_TOKEN_TITLE,
            nowMs,
          }),
          // By its own UUID: a sending whose answer was lost has done the work already.
          credentialOfAccountStatement({ accountName: name, uuid: values.uuid }),
          userStatement({ name }),
        ]),
      );
      if (credential === undefined || user === undefined) {
        throw new RegistryError('NameTaken', { name });
      }
      return { user, credential, secret };
    },
  };
}

function requireUserName(name: NamespaceName): void {
  if (parseAccountName(name) === null) {
    throw new RegistryError('NameInvalid', { name });
  }
  if (isReservedName(name)) {
    throw new RegistryError('NameReserved', { name });
  }
}
