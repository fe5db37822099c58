import type { Tag } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { MOST_RECENT_REPOSITORIES_MAX, TAG_PAGE_SIZE_MAX } from '../../model/limits.ts';
import { toEpochSeconds } from '../../model/time.ts';
import { tagsVersionStatement } from '../../storage/d1/repositories.ts';
import {
  aliveTagStatement,
  endedGenerationStatement,
  firstAliveTagStatement,
  mostRecentStartsStatement,
  mostRecentTagStatement,
  tagNamesOfManifestStatement,
  tagsStatement,
} from '../../storage/d1/tags.ts';
import type { RegistryDeps } from '../deps.ts';
import type { CachedReads, TagReads } from '../interface.ts';
import { cachedTagPage, loadTagPage } from './cached-page.ts';

type Built = Omit<TagReads, 'listRepositoryTagHistory'> &
  Pick<CachedReads, 'lookupCachedActiveRepositoryTags'>;

/** Looks tags up and lists them. */
export function createTagReads(deps: RegistryDeps): Built {
  return { ...createTagLookups(deps), ...createTagLists(deps) };
}

type Lookups = Pick<
  TagReads,
  | 'findMatchingTag'
  | 'getMostRecentTag'
  | 'getMostRecentTagLifetimeStart'
  | 'getRepoTag'
  | 'hasExpiredTag'
>;

function createTagLookups({ database, clock }: RegistryDeps): Lookups {
  return {
    async findMatchingTag({ id: repositoryId }, names) {
      if (names.length === 0) {
        throw new RangeError('a tag is looked for by one name at least');
      }
      const tagNames = JSON.stringify(names);
      return database.firstAnywhere(
        firstAliveTagStatement({ repositoryId, tagNames, nowMs: clock.nowMs() }),
      );
    },

    async getMostRecentTag({ id: repositoryId }) {
      return database.firstAnywhere(mostRecentTagStatement({ repositoryId, nowMs: clock.nowMs() }));
    },

    async getMostRecentTagLifetimeStart(repositories) {
      if (repositories.length > MOST_RECENT_REPOSITORIES_MAX) {
        throw new RangeError(`${repositories.length} repositories are too many to ask for at once`);
      }
      if (repositories.length === 0) {
        return new Map();
      }
      const repositoryIds = JSON.stringify(repositories.map(({ id }) => id));
      // It is shown beside a repository's name, where a moment's lag does no harm.
      const starts = await database.nearest.all(
        mostRecentStartsStatement({ repositoryIds, nowMs: clock.nowMs() }),
      );
      return new Map(
        starts.flatMap(({ repositoryId, startMs }) =>
          startMs === null ? [] : [[repositoryId, toEpochSeconds(startMs)] as const],
        ),
      );
    },

    async getRepoTag(repository, tagName, { raiseOnError = false } = {}) {
      const found = await database.firstAnywhere(
        aliveTagStatement({ repositoryId: repository.id, tagName, nowMs: clock.nowMs() }),
      );
      if (found === null && raiseOnError) {
        throw new RegistryError('TagNotFound', { tagName });
      }
      return found;
    },

    async hasExpiredTag(repository, tagName) {
      const ended = await database.firstAnywhere(
        endedGenerationStatement({ repositoryId: repository.id, tagName, nowMs: clock.nowMs() }),
      );
      return ended !== null;
    },
  };
}

/** The lists come from the primary: that a tag is not in one is an answer too. */
function createTagLists(deps: RegistryDeps): Omit<Built, keyof Lookups> {
  const { database, clock } = deps;
  return {
    async lookupActiveRepositoryTags({ id: repositoryId }, lastName, limit) {
      const nowMs = clock.nowMs();
      const { items, hasMore } = await loadTagPage({ repositoryId, lastName, limit, nowMs }, deps);
      return { items, hasMore };
    },

    async lookupCachedActiveRepositoryTags(repository, lastName, limit) {
      const { id: repositoryId, namespaceName: namespace, name } = repository;
      const cached = await cachedTagPage(
        { namespace, repository: name, lastName, limit },
        () => database.primary.first(tagsVersionStatement({ repositoryId })),
        deps,
      );
      return cached?.page ?? { items: [], hasMore: false };
    },

    async listAllActiveRepositoryTags({ id: repositoryId }) {
      const limit = TAG_PAGE_SIZE_MAX;
      const nowMs = clock.nowMs();
      const tags: Tag[] = [];
      for (let hasMore = true; hasMore;) {
        const afterName = tags.at(-1)?.name ?? '';
        const page = await database.primary.all(
          tagsStatement({ repositoryId, afterName, limit, nowMs }),
        );
        tags.push(...page);
        hasMore = page.length === limit;
      }
      return tags;
    },

    async tagNamesForManifest({ id: manifestId }, limit) {
      if (limit !== null && (!Number.isSafeInteger(limit) || limit < 0)) {
        throw new RangeError(`a list cannot have ${limit} names`);
      }
      const named = await database.primary.all(
        tagNamesOfManifestStatement({
          manifestId,
          limit: limit ?? Number.MAX_SAFE_INTEGER,
          nowMs: clock.nowMs(),
        }),
      );
      return named.map(({ tagName }) => tagName);
    },
  };
}
