import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { createTagDeletes } from './deletes.ts';
import { createTagExpirations } from './expiration.ts';
import { createTagLocks } from './immutability.ts';
import { createTagMoves } from './moves.ts';
import { createTimeMachineRemovals } from './time-machine.ts';

/** All that changes tags. */
export function createTagWrites(deps: RegistryDeps): TagWrites {
  return {
    ...createTagMoves(deps),
    ...createTagDeletes(deps),
    ...createTagExpirations(deps),
    ...createTagLocks(deps),
    ...createTimeMachineRemovals(deps),
  };
}
