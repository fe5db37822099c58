import type { Performer } from './audit-log.ts';
import type { Digest } from './digest.ts';
import type { NamespaceName, RepositoryPath, TagName } from './names.ts';
import type { EpochMs } from './time.ts';

/** Several tags of one namespace that were moved by one step. */
export interface Release {
  /** Its name. The generations that it began carry it. */
  readonly uuid: string;
  readonly namespaceId: number;
  readonly namespaceName: NamespaceName;
  readonly releasedMs: EpochMs;
  /** Who did it, by the name of then. */
  readonly performer: Performer;
  /** The release that this one put back; null: it is none that undoes. */
  readonly undoes: string | null;
  /** The release that put this one back; null: none did. */
  readonly undoneBy: string | null;
  /** In the order in which they were asked for. */
  readonly moves: readonly ReleasedTag[];
}

/** What a release did to a tag: it moved, made or ended it. */
export interface ReleasedTag {
  readonly repositoryId: number;
  /** Of then; the repository may be gone, and another may have its name. */
  readonly repositoryName: RepositoryPath;
  readonly tagName: TagName;
  /** What it pointed to before; null: it was not there. */
  readonly beforeDigest: Digest | null;
  /** The row of its newest generation before, alive or not; null: it had none. */
  readonly beforeTagId: number | null;
  /** What it was pointed to; null: it was ended. */
  readonly digest: Digest | null;
}

/** Why a release, or its being undone, was refused for a tag. */
export type ReleaseRefusal =
  /** The tag is not where it had to be. */
  | 'tag_moved'
  | 'tag_immutable'
  /** The repository has no such manifest that may be tagged. */
  | 'manifest_unknown'
  | 'repository_gone';
