import type { Tag } from '../../model/datatypes.ts';
import { RegistryError } from '../../model/errors.ts';
import { parseTagName } from '../../model/names.ts';
import type { ManifestInfo } from '../../model/references.ts';
import type { EpochMs } from '../../model/time.ts';
import { assertManifestInRepositoryStatement } from '../../storage/d1/assertions.ts';
import { Batch } from '../../storage/d1/batch.ts';
import type { Database } from '../../storage/d1/database.ts';
import { type ChildLabels, linkedChildrenStatement } from '../../storage/d1/manifests.ts';
import { newestGenerationStatement } from '../../storage/d1/tags.ts';
import type { RegistryDeps } from '../deps.ts';
import type { TagWrites } from '../interface.ts';
import { retryWrite } from '../retry-write.ts';
import { generationTraits } from './lifetime.ts';
import {
  addRetargetReads,
  findGenerationsMade,
  liveScope,
  type RetargetContext,
} from './retarget-context.ts';
import { addRetarget, addRetargetAssertions, type Retarget, runRetarget } from './retarget.ts';

/** Points tags to manifests that are stored already. */
export function createTagMoves(deps: RegistryDeps): Pick<TagWrites, 'retargetTag'> {
  return {
    async retargetTag(repository, tagName, target, { isReversion = false } = {}) {
      if (parseTagName(tagName) === null) {
        throw new RegistryError('TagNameInvalid', { tagName });
      }
      const manifest = 'manifest' in target ? target.manifest : target;
      if (manifest.repositoryId !== repository.id) {
        throw new RegistryError('RetargetFailed', { reason: 'cross-repository' });
      }
      const nowMs = deps.clock.nowMs();
      return moveTag({ tagName, manifest, reversion: isReversion, nowMs }, deps);
    },
  };
}

/** A tag's name, the manifest that it shall point to, and whether that restores it. */
interface Move {
  readonly tagName: string;
  readonly manifest: ManifestInfo;
  readonly reversion: boolean;
  readonly nowMs: EpochMs;
}

interface MoveContext extends RetargetContext {
  readonly children: readonly ChildLabels[];
}

/** Reads and writes in one round trip each, and begins again where what was read changed. */
async function moveTag(move: Move, deps: RegistryDeps): Promise<Tag> {
  const { digest } = move.manifest;
  let before: MoveContext | null = null;
  return retryWrite(async ({ answerLost }) => {
    const context = await readMoveContext(deps.database, move);
    before ??= context;
    const made = answerLost
      ? findGenerationsMade({ ...move, digest, tagNames: [move.tagName] }, { context, before })
      : null;
    return made?.[0] ?? attempt(move, { context, deps });
  });
}

async function readMoveContext(
  database: Database,
  { tagName, manifest }: Move,
): Promise<MoveContext> {
  const { repositoryId, digest } = manifest;
  const batch = new Batch();
  const retarget = addRetargetReads(batch, {
    repositoryId,
    digest,
    tagNames: [tagName],
    childDigests: '[]',
  });
  const children = batch.add(linkedChildrenStatement({ manifestId: manifest.id }));
  const results = await batch.run(database.primary);
  return { ...retarget(results), children: results.rowsOf(children) };
}

async function attempt(
  { tagName, manifest, reversion, nowMs }: Move,
  { context, deps }: { context: MoveContext; deps: RegistryDeps },
): Promise<Tag> {
  const { repositoryId, digest } = manifest;
  const scope = liveScope(context);
  const { newest, ownLabels: own, children, policies } = context;
  const traits = generationTraits({ tagName, nowMs, own, children, policies }, deps.settings);
  const retarget: Retarget = { repositoryId, tagName, digest, nowMs, reversion, ...traits };
  const grounds = { ...context, repositoryId, digest, scope };
  const batch = new Batch();
  batch.add(assertManifestInRepositoryStatement({ repositoryId, manifestId: manifest.id, digest }));
  addRetargetAssertions(batch, [retarget], { grounds, settings: deps.settings });
  addRetarget(batch, retarget, deps.settings);
  const generation = batch.add(newestGenerationStatement({ repositoryId, tagName }));
  const tag = (await runRetarget(batch, [retarget], { newest, deps })).firstOf(generation);
  if (tag === null) {
    throw new Error(`the batch that moved '${tagName}' does not show the tag`);
  }
  return tag;
}
