import type { Brand } from './brand.ts';

/** A tag's name, as the distribution specification allows it. Made by {@link parseTagName} only. */
export type TagName = Brand<string, 'TagName'>;

/**
 * A repository's full name, split where permission and ownership split it: at the first slash.
 * Made by {@link parseRepositoryName} only.
 */
export interface RepositoryName {
  readonly namespace: NamespaceName;
  /** What follows the namespace; may hold further slashes. */
  readonly repository: RepositoryPath;
}
export type NamespaceName = Brand<string, 'NamespaceName'>;
export type RepositoryPath = Brand<string, 'RepositoryPath'>;

/** Where a name of one component lives, so that `docker pull <host>/alpine` works. */
export const LIBRARY_NAMESPACE = 'library';

/** Clients cap host, slash and name at 255 together. */
const REPOSITORY_NAME_LENGTH_MAX = 255;

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_{1,2}|-+)[a-z0-9]+)*';
const REPOSITORY_NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const NAMESPACE_NAME = new RegExp(`^${COMPONENT}$`);
const TAG_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** The text as a {@link TagName}, or `null` (distribution-spec, "Pulling manifests"). */
export function parseTagName(text: string): TagName | null {
  return TAG_NAME.test(text) ? (text as TagName) : null;
}

/**
 * The text as a {@link RepositoryName}, or `null` if it breaks the distribution-spec's grammar or
 * is longer than 255 characters. One component alone belongs to {@link LIBRARY_NAMESPACE}.
 */
export function parseRepositoryName(text: string): RepositoryName | null {
  if (!REPOSITORY_NAME.test(text)) {
    return null;
  }
  const full = text.includes('/') ? text : `${LIBRARY_NAMESPACE}/${text}`;
  if (full.length > REPOSITORY_NAME_LENGTH_MAX) {
    return null;
  }
  const slash = full.indexOf('/');
  return {
    namespace: full.slice(0, slash) as NamespaceName,
    repository: full.slice(slash + 1) as RepositoryPath,
  };
}

/** The text as a {@link NamespaceName}: the first part of a repository's name; or `null`. */
export function parseNamespaceName(text: string): NamespaceName | null {
  const fits = text.length < REPOSITORY_NAME_LENGTH_MAX && NAMESPACE_NAME.test(text);
  return fits ? (text as NamespaceName) : null;
}

/** The name as it is written: `namespace/repository`. */
export function formatRepositoryName(name: RepositoryName): string {
  return `${name.namespace}/${name.repository}`;
}

const SIGNATURE_TAG_NAME = /^sha256-[0-9a-f]{64}\.(?:sig|att|sbom)$/;

/** Whether the name is one that cosign gives to what it attaches to a manifest. */
export function isSignatureTagName(tagName: string): boolean {
  return SIGNATURE_TAG_NAME.test(tagName);
}
