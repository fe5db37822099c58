import type { Digest } from './digest.ts';
import type { NamespaceName, RepositoryPath } from './names.ts';
import type { RegionMode } from './regions.ts';
import type { EpochMs } from './time.ts';

/**
 * What callers hold and pass back. References are plain readonly data: they cross a service
 * binding, they load nothing, and they may be stale by the time they are used. Row ids are never
 * reused, so a stale reference finds nothing rather than something else.
 */

export const REPOSITORY_STATES = {
  normal: 0,
  readOnly: 1,
  mirror: 2,
  /** Invisible to every look-up; no write succeeds. */
  markedForDeletion: 3,
  organizationMirror: 4,
} as const;
export type RepositoryState = (typeof REPOSITORY_STATES)[keyof typeof REPOSITORY_STATES];

export type RepositoryKind = 'image' | 'application';

export interface RepositoryRef {
  readonly id: number;
  readonly namespaceId: number;
  readonly namespaceName: NamespaceName;
  readonly name: RepositoryPath;
  readonly kind: RepositoryKind;
  readonly isPublic: boolean;
  readonly state: RepositoryState;
  readonly isNamespaceEnabled: boolean;
  /** What its namespace does about pulls from the countries that it blocks. */
  readonly regionMode: RegionMode;
  /** For how many days its namespace keeps what is pulled by digest; 0: not for that. */
  readonly heldByPullDays: number;
}

/** Whose tags a policy is about, by row id: those of one repository, or of all in a namespace. */
export type PolicyScope =
  | { readonly kind: 'repository'; readonly id: number }
  | { readonly kind: 'namespace'; readonly id: number };

/** A manifest without its bytes. */
export interface ManifestInfo {
  readonly id: number;
  readonly repositoryId: number;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Whether it is an OCI index or a Docker manifest list. */
  readonly isManifestList: boolean;
  readonly sizeBytes: number;
  readonly configMediaType: string | null;
  /** The sum of all layers' sizes in bytes, remote ones included; null for lists. */
  readonly layersCompressedSize: number | null;
  readonly subjectDigest: string | null;
  readonly artifactType: string | null;
  readonly createdMs: EpochMs;
}
