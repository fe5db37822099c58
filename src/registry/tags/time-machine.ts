import { Batch } from '../../storage/d1/batch.ts';
import { lowerHintToHorizonStatement } from '../../storage/d1/gc-hints.ts';
import { raiseTagsGenerationIfWrittenStatement } from '../../storage/d1/tag-lifetimes.ts';
import {
  removeAliveGenerationStatement,
  removeChildTagsOfAliveStatement,
  removeChildTagsOfEndedStatement,
  removedGenerationStatement,
  removeEndedGenerationsStatement,
} from '../../storage/d1/time-machine.ts';
import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { retryWrite } from '../retry-write.ts';

/** Puts generations of tags beyond recovery. */
export function createTimeMachineRemovals(
  deps: RegistryDeps,
): Pick<TagWrites, 'removeTagFromTimemachine'> {
  const { database, clock, settings } = deps;
  return {
    async removeTagFromTimemachine(repository, tagName, manifest, options = {}) {
      const { includeSubmanifests = false, isAlive = false } = options;
      const { id: repositoryId } = repository;
      const nowMs = clock.nowMs();
      const generations = { repositoryId, tagName, manifestId: manifest.id, nowMs };
      const values = { ...generations, enforceImmutability: Number(settings.immutableTags) };
      return retryWrite(async ({ answerLost }) => {
        // What an attempt whose answer was lost removed may have a successor, which is not ours.
        if (answerLost && (await database.primary.first(removedGenerationStatement(generations)))) {
          return true;
        }
        const batch = new Batch();
        if (includeSubmanifests) {
          batch.add(
            isAlive
              ? removeChildTagsOfAliveStatement(values)
              : removeChildTagsOfEndedStatement(values),
          );
        }
        const removed = batch.add(
          isAlive
            ? removeAliveGenerationStatement(values)
            : removeEndedGenerationsStatement(values),
        );
        if (isAlive) {
          batch.add(raiseTagsGenerationIfWrittenStatement({ repositoryId }));
        }
        batch.add(lowerHintToHorizonStatement({ repositoryId, nowMs }));
        return (await batch.run(database.primary)).firstOf(removed) !== null;
      });
    },
  };
}
