import type { EpochMs } from './time.ts';

/** How far an import has come; the last three do not change any more. */
export type ImportState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';

/** An import from another registry. */
export interface Import {
  readonly uuid: string;
  readonly source: string;
  readonly state: ImportState;
  /** What is here already of {@link bytesTotal}, with what was here before. */
  readonly bytesDone: number;
  /** Of the manifests and distinct blobs that are known so far. */
  readonly bytesTotal: number;
  /** Why it failed; while it waits, why its last run stopped. */
  readonly error: string | null;
  readonly createdMs: EpochMs;
  readonly endedMs: EpochMs | null;
}

/** A tag that an import is to set. */
export interface ImportTag {
  readonly tagName: string;
  /** What the source calls what the tag gets: a tag, or a digest. */
  readonly reference: string;
}
