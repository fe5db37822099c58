import { z } from 'zod';

import type { Page, ShallowTag } from '../../model/datatypes.ts';
import type { TagName } from '../../model/names.ts';
import { tagPageStatement } from '../../storage/d1/tags.ts';
import { TAG_PAGE_TTL_SEC, tagPageKey } from '../../storage/kv/keys.ts';
import type { RegistryDeps } from '../deps.ts';
import { retrieveCurrent } from '../model-cache.ts';

/** Which page: of whose tags, after which name, how many. */
export interface TagPageRequest {
  readonly namespace: string;
  readonly repository: string;
  readonly lastName: string | null;
  readonly limit: number;
}

/** The version of a repository that a page of its tags depends on. */
export interface TagsVersion {
  readonly repositoryId: number;
  readonly tagsGeneration: number;
}

/** A page, and the first of its tags' ends. */
interface LoadedPage extends Page<ShallowTag> {
  readonly earliestEndMs: number | null;
}

const loadedPage = z.object({
  hasMore: z.boolean(),
  items: z.array(
    z.object({ id: z.number(), name: z.string().transform((name) => name as TagName) }),
  ),
  earliestEndMs: z.number().nullable(),
});

/** A page of alive visible tags from the primary, and the first of their ends. */
export async function loadTagPage(
  {
    repositoryId,
    lastName,
    limit,
    nowMs,
  }: { repositoryId: number; lastName: string | null; limit: number; nowMs: number },
  { database }: Pick<RegistryDeps, 'database'>,
): Promise<LoadedPage> {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new RangeError(`a page has at least one tag, not ${limit}`);
  }
  const rows = await database.primary.all(
    tagPageStatement({
      repositoryId,
      afterName: lastName ?? '',
      limit: limit + 1,
      nowMs,
    }),
  );
  const ends = rows.map(({ endMs }) => endMs).filter((endMs) => endMs !== null);
  return {
    items: rows.slice(0, limit).map(({ tag }) => tag),
    hasMore: rows.length > limit,
    earliestEndMs: ends.length === 0 ? null : Math.min(...ends),
  };
}

/**
 * The same through the cache: a kept page is served while the repository has the generation that
 * the page was read at and none of its tags has ended. Null if there is no version: no such
 * repository.
 */
export async function cachedTagPage<Version extends TagsVersion>(
  request: TagPageRequest,
  readVersion: () => Promise<Version | null>,
  deps: RegistryDeps,
): Promise<{ readonly version: Version; readonly page: Page<ShallowTag> } | null> {
  const { lastName, limit } = request;
  const nowMs = deps.clock.nowMs();
  const cached = await retrieveCurrent<Version, LoadedPage>(
    {
      key: tagPageKey({ ...request, afterName: lastName ?? '' }),
      ttlSec: TAG_PAGE_TTL_SEC,
      shape: loadedPage,
    },
    {
      nowMs,
      readVersion,
      nameVersion: ({ repositoryId, tagsGeneration }) => `${repositoryId}.${tagsGeneration}`,
      load: ({ repositoryId }) => loadTagPage({ repositoryId, lastName, limit, nowMs }, deps),
      endMs: ({ earliestEndMs }) => earliestEndMs,
    },
    deps,
  );
  if (cached === null) {
    return null;
  }
  const { items, hasMore } = cached.value;
  return { version: cached.version, page: { items, hasMore } };
}
