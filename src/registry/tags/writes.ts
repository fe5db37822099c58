import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { createTagDeletes } from './deletes.ts';
import { createTagMoves } from './moves.ts';

type Built = Pick<TagWrites, 'deleteTag' | 'deleteTagsForManifest' | 'retargetTag'>;

/** All that changes tags. */
export function createTagWrites(deps: RegistryDeps): Built {
  return { ...createTagMoves(deps), ...createTagDeletes(deps) };
}
