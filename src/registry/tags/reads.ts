import { RegistryError } from '../../model/errors.ts';
import { tagsVersionStatement } from '../../storage/d1/repositories.ts';
import { aliveTagStatement, endedGenerationStatement } from '../../storage/d1/tags.ts';
import type { RegistryDeps } from '../deps.ts';
import type { CachedReads, TagReads } from '../interface.ts';
import { cachedTagPage, loadTagPage } from './cached-page.ts';

type Built = Pick<TagReads, 'getRepoTag' | 'hasExpiredTag' | 'lookupActiveRepositoryTags'> &
  Pick<CachedReads, 'lookupCachedActiveRepositoryTags'>;

/** Looks tags up and lists them. */
export function createTagReads(deps: RegistryDeps): Built {
  const { database, clock } = deps;
  return {
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
  };
}
