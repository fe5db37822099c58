/**
 * Every key of the cache and how long its value lives. The keys are made of names, so that they can
 * be read before any row is known; the values carry the version of the row that they depend on, and
 * are served only while that is the current one.
 */

/** A page of a repository's tag names: the names, the name it starts after, and its size. */
export function tagPageKey(page: {
  readonly namespace: string;
  readonly repository: string;
  readonly afterName: string;
  readonly limit: number;
}): string {
  const { namespace, repository, afterName, limit } = page;
  return `v1/tags/${namespace}/${encodeURIComponent(repository)}/${limit}/${afterName}`;
}
export const TAG_PAGE_TTL_SEC = 120;
