/**
 * Every key of the cache and how long its value lives. The keys are made of names, so that they can
 * be read before any row is known; the values carry the version of the row that they depend on, and
 * are served only while that is the current one. Names are encoded, so that a key is ASCII and no
 * two lists of names have one key.
 */

const keyOf = (...parts: readonly string[]): string =>
  parts.map((part) => encodeURIComponent(part.toWellFormed())).join('/');

/** A page of a repository's tag names: the names, the name it starts after, and its size. */
export function tagPageKey(page: {
  readonly namespace: string;
  readonly repository: string;
  readonly afterName: string;
  readonly limit: number;
}): string {
  const { namespace, repository, afterName, limit } = page;
  return keyOf('v1', 'tags', namespace, repository, String(limit), afterName);
}
export const TAG_PAGE_TTL_SEC = 120;

/** A blob as it is seen from a repository. */
export function repoBlobKey(blob: {
  readonly namespace: string;
  readonly repository: string;
  readonly digest: string;
}): string {
  return keyOf('v1', 'blob', blob.namespace, blob.repository, blob.digest);
}
export const REPO_BLOB_TTL_SEC = 60;

/** The countries that a namespace does not serve. By time alone: a change may be seen so late. */
export function regionsKey(namespace: string): string {
  return keyOf('v1', 'geo', namespace);
}
export const REGIONS_TTL_SEC = 240;

/** The keys of an OpenID issuer. By time alone: one that it withdrew is taken for so long. */
export function issuerKeysKey(issuer: string): string {
  return keyOf('v1', 'issuer-keys', issuer);
}
