import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { createTagDeletes } from './deletes.ts';
import { createTagExpirations } from './expiration.ts';
import { createTagLocks } from './immutability.ts';
import { createTagMoves } from './moves.ts';

type Built = Omit<TagWrites, 'removeTagFromTimemachine'>;

/** All that changes tags. */
export function createTagWrites(deps: RegistryDeps): Built {
  return {
    ...createTagMoves(deps),
    ...createTagDeletes(deps),
    ...createTagExpirations(deps),
    ...createTagLocks(deps),
  };
}
