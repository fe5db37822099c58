import type { PastTag } from '../../model/past-tag.ts';
import type { Batch } from '../../storage/d1/batch.ts';
import { lowerEndHintStatement } from '../../storage/d1/gc-hints.ts';
import { insertTempTagOfPastStatement } from '../../storage/d1/resolve-at.ts';
import {
  insertTempTagIfAvailableStatement,
  insertTempTagIfVisibleStatement,
  insertTempTagStatement,
} from '../../storage/d1/tag-lifetimes.ts';

/** Whose hold on a manifest a caller goes by: nobody's, any tag's, or visible tags' only. */
export type Reach = 'stored' | 'available' | 'visible';

/**
 * A hidden tag that keeps a manifest while no user's tag points to it. `$` is not legal in the
 * names of users' tags, so the names never meet.
 */
export interface TempTag {
  readonly repositoryId: number;
  readonly digest: string;
  readonly uuid: string;
  readonly nowMs: number;
  /** Null makes a pin: the manifest is kept until it is deleted by digest. */
  readonly endMs: number | null;
}

const INSERT_BY_REACH = {
  stored: insertTempTagStatement,
  available: insertTempTagIfAvailableStatement,
  visible: insertTempTagIfVisibleStatement,
} as const satisfies Record<Reach, unknown>;

/**
 * Adds a temporary tag, if the manifest is within reach and not held for as long already.
 */
export function addTempTag(batch: Batch, { uuid, ...tempTag }: TempTag, reach: Reach): void {
  batch.add(INSERT_BY_REACH[reach]({ ...tempTag, tagName: tempTagName(uuid) }));
  if (tempTag.endMs !== null) {
    const { repositoryId, endMs } = tempTag;
    batch.add(lowerEndHintStatement({ repositoryId, atMs: endMs }));
  }
}

/** A temporary tag on what a name pointed to at a moment. */
export interface TempTagOfPast extends PastTag {
  readonly repositoryId: number;
  readonly uuid: string;
  readonly nowMs: number;
  readonly endMs: number;
  /** No tag is needed where others hold the manifest until then. */
  readonly heldUntilMs: number;
}

/** Adds a temporary tag, if the name still has that past and its manifest is not held for long. */
export function addTempTagOfPast(batch: Batch, { uuid, ...tempTag }: TempTagOfPast): void {
  batch.add(insertTempTagOfPastStatement({ ...tempTag, tempTagName: tempTagName(uuid) }));
  batch.add(lowerEndHintStatement({ repositoryId: tempTag.repositoryId, atMs: tempTag.endMs }));
}

const tempTagName = (uuid: string): string => `$temp-${uuid}`;
