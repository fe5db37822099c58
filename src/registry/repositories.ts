import type { Page } from '../model/datatypes.ts';
import { RegistryError } from '../model/errors.ts';
import { REPOSITORY_DESCRIPTION_LENGTH_MAX } from '../model/limits.ts';
import type { RepositoryName } from '../model/names.ts';
import type { REPOSITORY_STATES, RepositoryRef, RepositoryState } from '../model/references.ts';
import { Batch, type BatchSlot } from '../storage/d1/batch.ts';
import {
  changeRepositoryStateStatement,
  type DescribedRepository,
  descriptionStatement,
  insertNamespaceStatement,
  insertRepositoryByAccountStatement,
  insertRepositoryStatement,
  insertRightOfCreatorStatement,
  repositoriesByNamesStatement,
  repositoriesStatement,
  repositoryByNameStatement,
  repositoryNamesStatement,
  setDescriptionStatement,
  setVisibilityStatement,
} from '../storage/d1/repositories.ts';
import type { Statement } from '../storage/d1/statement.ts';
import { requireText } from './accounts/fields.ts';
import type { RegistryDeps } from './deps.ts';
import type { RepositoryReads } from './interface.ts';
import { sendAgain } from './send-again.ts';

/** Looks repositories up. */
export function createRepositoryReads({ database }: RegistryDeps): RepositoryReads {
  return {
    async lookupRepository(namespace, name, { kind, raiseOnError = false } = {}) {
      const found = await database.firstAnywhere(
        repositoryByNameStatement({ namespace, repository: name }),
      );
      if (found !== null && (kind === undefined || found.kind === kind)) {
        return found;
      }
      if (raiseOnError) {
        throw new RegistryError('RepositoryNotFound', { name: `${namespace}/${name}` });
      }
      return null;
    },
  };
}

/** A repository, and whether it was made only now; null: nobody knows, for an answer was lost. */
export interface EnsuredRepository extends RepositoryRef {
  readonly isNew: boolean | null;
}

/** Makes repositories. */
export interface RepositoryProvisioning {
  /**
   * The repository of this name, made if there is none. The administrator, whose `creatorId` is
   * null, makes its namespace with it. An account becomes the admin of what it makes, where it is
   * not that already; null if it may make none there, or there is no such namespace.
   * Errors: FieldInvalid (a description over 25,000 characters).
   */
  ensureRepository(
    name: RepositoryName,
    options?: {
      readonly visibility?: 'public' | 'private';
      readonly description?: string;
      readonly creatorId?: number | null;
    },
  ): Promise<EnsuredRepository | null>;
}

export function createRepositoryProvisioning({
  database,
  settings,
}: RegistryDeps): RepositoryProvisioning {
  return {
    async ensureRepository(
      name,
      { visibility = 'private', description = '', creatorId = null } = {},
    ) {
      requireText('description', description, { max: REPOSITORY_DESCRIPTION_LENGTH_MAX });
      const content = { ...name, visibility, description };
      const batch = new Batch();
      let made: BatchSlot<unknown>;
      if (creatorId === null) {
        const { removedTagExpirationSec } = settings;
        batch.add(insertNamespaceStatement({ namespace: name.namespace, removedTagExpirationSec }));
        made = batch.add(insertRepositoryStatement(content));
      } else {
        made = batch.add(insertRepositoryByAccountStatement({ ...content, creatorId }));
        batch.add(insertRightOfCreatorStatement({ ...name, creatorId }));
      }
      const found = batch.add(repositoryByNameStatement({ ...name }));
      return sendAgain(async (isAgain) => {
        const results = await batch.run(database.primary);
        const repository = results.firstOf(found);
        const isMade = results.firstOf(made) !== null;
        return repository && { ...repository, isNew: isMade || (isAgain ? null : false) };
      });
    },
  };
}

/** Changes what a repository shows of itself. */
export interface RepositoryChanges {
  /**
   * Shows a repository to everybody, or only to those who have a right there. False: it is gone.
   */
  changeVisibility(repository: RepositoryRef, visibility: 'public' | 'private'): Promise<boolean>;
  /** What is said of a repository; empty if nobody said anything, null if it is gone. */
  getRepositoryDescription(repository: RepositoryRef): Promise<string | null>;
  /** Says something else of it. False: it is gone. Errors: FieldInvalid (over 25,000 characters). */
  changeRepositoryDescription(repository: RepositoryRef, description: string): Promise<boolean>;
}

export function createRepositoryChanges({ database }: RegistryDeps): RepositoryChanges {
  const { primary } = database;
  const isThereAfter = async (repositoryId: number, change: Statement<never>) => {
    const [, found] = await sendAgain(() =>
      primary.batch([change, descriptionStatement({ repositoryId })]),
    );
    return found.length > 0;
  };
  return {
    changeVisibility: ({ id: repositoryId }, visibility) =>
      isThereAfter(repositoryId, setVisibilityStatement({ repositoryId, visibility })),

    async getRepositoryDescription({ id: repositoryId }) {
      const found = await primary.first(descriptionStatement({ repositoryId }));
      return found?.description ?? null;
    },

    async changeRepositoryDescription({ id: repositoryId }, description) {
      requireText('description', description, { max: REPOSITORY_DESCRIPTION_LENGTH_MAX });
      return isThereAfter(repositoryId, setDescriptionStatement({ repositoryId, description }));
    },
  };
}

/** Changes what repositories take. */
export interface RepositoryStates {
  /** Has a repository take pushes, or none; false: it is gone. Doing it twice is the same. */
  changeRepositoryState(
    repository: Pick<RepositoryRef, 'id'>,
    state: Exclude<RepositoryState, typeof REPOSITORY_STATES.markedForDeletion>,
  ): Promise<boolean>;
}

export function createRepositoryStates({ database }: RegistryDeps): RepositoryStates {
  return {
    async changeRepositoryState({ id: repositoryId }, state) {
      const change = changeRepositoryStateStatement({ repositoryId, state });
      return (await sendAgain(() => database.primary.first(change))) !== null;
    },
  };
}

/** Lists repositories, and looks several up at once. */
export interface Catalog {
  /** The repositories of these names in their order, null for each that is not there; one round trip. */
  lookupRepositories(names: readonly RepositoryName[]): Promise<readonly (RepositoryRef | null)[]>;
  /** Names after `lastName` (empty: from the start) in byte order, at most `limit` (1 or more). */
  listRepositories(lastName: string, limit: number): Promise<Page<RepositoryName>>;
  /** The same as references with what is said of them, of all or of one namespace. */
  listRepositoryRefs(
    lastName: string,
    limit: number,
    options?: { readonly namespaceName?: string },
  ): Promise<Page<DescribedRepository>>;
}

/** Where a text stands in byte order of `namespace/name`, as the statements take it. */
function positionOf(lastName: string): { namespacePath: string; afterName: string } {
  const slash = lastName.indexOf('/') + 1;
  // A text without a slash lies between namespaces, and so before all names of the next.
  return slash === 0
    ? { namespacePath: lastName, afterName: '' }
    : { namespacePath: lastName.slice(0, slash), afterName: lastName.slice(slash) };
}

export function createCatalog({ database }: RegistryDeps): Catalog {
  return {
    async lookupRepositories(names) {
      const pairs = names.map(({ namespace, repository }) => [namespace, repository]);
      const rows = await database.primary.all(
        repositoriesByNamesStatement({ repositories: JSON.stringify(pairs) }),
      );
      const found = new Map(rows.map(({ index, repository }) => [index, repository]));
      return names.map((_name, index) => found.get(index) ?? null);
    },

    async listRepositories(lastName, limit) {
      const asked = { ...positionOf(lastName), limit: limit + 1 };
      const rows = await database.primary.all(repositoryNamesStatement(asked));
      return { items: rows.slice(0, limit), hasMore: rows.length > limit };
    },

    async listRepositoryRefs(lastName, limit, { namespaceName } = {}) {
      const from = namespaceName !== undefined && lastName === '' ? `${namespaceName}/` : lastName;
      const asked = { ...positionOf(from), limit: limit + 1 };
      const rows = (await database.primary.all(repositoriesStatement(asked))).filter(
        (found) => namespaceName === undefined || found.namespaceName === namespaceName,
      );
      return { items: rows.slice(0, limit), hasMore: rows.length > limit };
    },
  };
}
