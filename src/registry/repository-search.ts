import type { Account } from '../model/accounts.ts';
import type { Page } from '../model/datatypes.ts';
import { SEARCHED_REPOSITORIES_MAX } from '../model/limits.ts';
import {
  type FoundRepository,
  searchAllStatement,
  searchPublicStatement,
  searchReadableStatement,
} from '../storage/d1/repository-search.ts';
import type { RegistryDeps } from './deps.ts';

/** Who searches. An account was found to be who it says it is. */
export type Searcher =
  | { readonly kind: 'administrator' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'account'; readonly account: Account };

/** Finds repositories by what they are called, and by what is said of them. */
export interface RepositorySearch {
  /**
   * Those that the searcher may read and whose `namespace/name` or description holds the text, in any
   * case of ASCII letters; an empty text is in all. The best first, then by name: what is called so,
   * what a part of is called so from its beginning, what has it anywhere in its name, the rest. Page
   * `page` (1 or more) of `size`. Looks at the newest `SEARCHED_REPOSITORIES_MAX` at most of those
   * that everybody sees, and at as many that are the searcher's own.
   */
  searchRepositories(
    searcher: Searcher,
    text: string,
    options: { readonly page: number; readonly size: number },
  ): Promise<Page<FoundRepository>>;
}

export function createRepositorySearch({ database, settings }: RegistryDeps): RepositorySearch {
  return {
    async searchRepositories(searcher, text, { page, size }) {
      const asked = {
        text,
        searchedMax: SEARCHED_REPOSITORIES_MAX,
        limit: size + 1,
        offset: (page - 1) * size,
      };
      const statement = statementFor(searcher, asked, settings);
      const rows = statement === null ? [] : await database.nearest.all(statement);
      return { items: rows.slice(0, size), hasMore: rows.length > size };
    },
  };
}

/** Null: they may read nothing at all. */
function statementFor(
  searcher: Searcher,
  asked: Parameters<typeof searchAllStatement>[0],
  { anonymousPull }: RegistryDeps['settings'],
) {
  switch (searcher.kind) {
    case 'administrator':
      return searchAllStatement(asked);
    case 'anonymous':
      return anonymousPull ? searchPublicStatement(asked) : null;
    case 'account': {
      const { id: accountId, isEnabled, purpose } = searcher.account;
      return isEnabled && purpose !== 'push'
        ? searchReadableStatement({ ...asked, accountId })
        : null;
    }
  }
}
