import {
  type Access,
  accessOf,
  type Grant,
  grantsOf,
  type RepositoryRight,
  type RepositoryRole,
  type RightOfAccount,
} from '../../model/access.ts';
import type { Account, AccountName } from '../../model/accounts.ts';
import type { Page } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { RIGHTS_PER_REPOSITORY_MAX } from '../../model/limits.ts';
import { formatRepositoryName } from '../../model/names.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { accessStatement } from '../../storage/d1/access.ts';
import {
  deleteRightStatement,
  rightPlaceStatement,
  rightsOfAccountPageStatement,
  rightsPageStatement,
  rightStatement,
  setRightStatement,
} from '../../storage/d1/rights.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { type PageOptions, readPage } from './pages.ts';

/** What somebody may do with a repository, and all that they may do it by. */
export interface ExplainedAccess extends Access {
  /** Without any they may nothing; the role is that of the one which goes furthest. */
  readonly grants: readonly Grant[];
}

/** Says who has which right of their own in a repository: people, and its namespace's robots. */
export interface RepositoryRights {
  /** By name in byte order; nothing for a repository that is gone. */
  listRepositoryRights(
    repository: RepositoryRef,
    options?: PageOptions,
  ): Promise<Page<RepositoryRight>>;
  /** Null: they have none, or the repository is gone. */
  getRepositoryRight(repository: RepositoryRef, name: AccountName): Promise<RepositoryRight | null>;
  /**
   * Gives somebody a right, or another one. Errors: RepositoryNotFound, AccountNotFound,
   * RobotNotAllowed (another namespace's), LimitReached.
   */
  setRepositoryRight(
    repository: RepositoryRef,
    name: AccountName,
    role: RepositoryRole,
  ): Promise<RepositoryRight>;
  /** Takes a right back; false: they had none. What they may by other grants stays. */
  removeRepositoryRight(repository: RepositoryRef, name: AccountName): Promise<boolean>;
  /**
   * The rights of an account, those in the oldest repository first.
   * Errors: InvalidFilter (not a cursor of this method).
   */
  listRightsOf(account: Pick<Account, 'id'>, options?: PageOptions): Promise<Page<RightOfAccount>>;
  /** What somebody may do with a repository and why; null: nobody is called so, or it is gone. */
  explainAccess(repository: RepositoryRef, name: AccountName): Promise<ExplainedAccess | null>;
}

export function createRepositoryRights({ database }: RegistryDeps): RepositoryRights {
  const { primary } = database;
  return {
    listRepositoryRights: ({ id: repositoryId }, options = {}) =>
      readPage(
        options,
        ({ name }) => name,
        (after, limit) =>
          primary.all(rightsPageStatement({ repositoryId, afterName: after ?? '', limit })),
      ),

    getRepositoryRight: ({ id }, name) =>
      primary.first(rightStatement({ repositoryId: id, accountName: name })),

    async setRepositoryRight(repository, name, role) {
      const named = { repositoryId: repository.id, accountName: name };
      const max = RIGHTS_PER_REPOSITORY_MAX;
      const [, [right], [place]] = await sendAgain(() =>
        primary.batch([
          setRightStatement({ ...named, role, max }),
          rightStatement(named),
          rightPlaceStatement(named),
        ]),
      );
      if (right?.role !== role) {
        throw refusal(place, { repository, name });
      }
      return right;
    },

    async removeRepositoryRight({ id: repositoryId }, name) {
      return sendAgain(async (isAgain) => {
        const removed = await primary.first(
          deleteRightStatement({ repositoryId, accountName: name }),
        );
        // Gone at the second time, it went at the first, whose answer was lost.
        return removed !== null || isAgain;
      });
    },

    async listRightsOf({ id: accountId }, options = {}) {
      return readPage(
        options,
        ({ repositoryId }) => String(repositoryId),
        (after, limit) => {
          const afterRepositoryId = parseCursor(after);
          return primary.all(rightsOfAccountPageStatement({ accountId, afterRepositoryId, limit }));
        },
      );
    },

    async explainAccess({ namespaceName, name: repositoryPath }, name) {
      const found = await primary.first(
        accessStatement({
          credentialPrefix: null,
          accountName: name,
          repositories: JSON.stringify([[namespaceName, repositoryPath]]),
        }),
      );
      return found === null || found.facts.account === null || found.facts.repository === null
        ? null
        : { ...accessOf(found.facts), grants: grantsOf(found.facts) };
    },
  };
}

/** Why somebody could not be given a right. */
function refusal(
  place: { readonly isAccount: boolean; readonly isForeignRobot: boolean } | undefined,
  { repository, name }: { readonly repository: RepositoryRef; readonly name: AccountName },
): RegistryError {
  if (place === undefined) {
    const { namespaceName: namespace, name: path } = repository;
    return new RegistryError('RepositoryNotFound', {
      name: formatRepositoryName({ namespace, repository: path }),
    });
  }
  if (!place.isAccount) {
    return new RegistryError('AccountNotFound', { name });
  }
  return place.isForeignRobot
    ? new RegistryError('RobotNotAllowed', { name, reason: 'foreign' })
    : new RegistryError('LimitReached', { what: 'permissions', max: RIGHTS_PER_REPOSITORY_MAX });
}

/** A cursor is the id of the repository that the page before ended with. */
function parseCursor(cursor: string | null): number {
  if (cursor !== null && !/^\d{1,15}$/.test(cursor)) {
    throw new RegistryError('InvalidFilter', { parameter: 'cursor' });
  }
  return Number(cursor ?? 0);
}
