import { z } from 'zod';

import type { Page, ShallowTag } from '../../model/datatypes.ts';
import type { TagName } from '../../model/names.ts';
import { MS_PER_SECOND } from '../../model/time.ts';
import { tagPageStatement } from '../../storage/d1/tags.ts';
import { TAG_PAGE_TTL_SEC, tagPageKey } from '../../storage/kv/keys.ts';
import type { RegistryDeps } from '../deps.ts';

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

const cachedPage = z.object({
  repositoryId: z.number(),
  tagsGeneration: z.number(),
  validUntilMs: z.number(),
  hasMore: z.boolean(),
  items: z.array(
    z.object({ id: z.number(), name: z.string().transform((name) => name as TagName) }),
  ),
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
): Promise<Page<ShallowTag> & { readonly earliestEndMs: number | null }> {
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
 * the page was read at and none of its tags has ended. The cache is read while the version is; a
 * page is kept under a version that was read before it, so it can be newer than it says, never
 * older. Null if there is no version: no such repository.
 */
export async function cachedTagPage<Version extends TagsVersion>(
  request: TagPageRequest,
  readVersion: () => Promise<Version | null>,
  deps: RegistryDeps,
): Promise<{ readonly version: Version; readonly page: Page<ShallowTag> } | null> {
  const { cache, clock, defer } = deps;
  const nowMs = clock.nowMs();
  const key = tagPageKey({ ...request, afterName: request.lastName ?? '' });
  const [version, value] = await Promise.all([readVersion(), cache.get(key)]);
  if (version === null) {
    return null;
  }
  const { repositoryId, tagsGeneration } = version;
  const kept = cachedPage.safeParse(value).data;
  if (
    kept?.repositoryId === repositoryId &&
    kept.tagsGeneration === tagsGeneration &&
    nowMs < kept.validUntilMs
  ) {
    return { version, page: { items: kept.items, hasMore: kept.hasMore } };
  }
  const { lastName, limit } = request;
  const { earliestEndMs, ...page } = await loadTagPage(
    { repositoryId, lastName, limit, nowMs },
    deps,
  );
  const validUntilMs = Math.min(
    nowMs + TAG_PAGE_TTL_SEC * MS_PER_SECOND,
    earliestEndMs ?? Number.MAX_SAFE_INTEGER,
  );
  const fresh = { repositoryId, tagsGeneration, validUntilMs, ...page };
  defer(cache.put(key, fresh, { ttlSec: TAG_PAGE_TTL_SEC }));
  return { version, page };
}
