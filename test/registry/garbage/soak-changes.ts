import type { RepositoryRef } from '../../../src/model/references.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../support/clock.ts';
import { select } from '../../support/stage.ts';
import {
  aRepositoryOf,
  aTagNameOf,
  pushByDigest,
  pushImage,
  pushIndex,
  pushMounted,
  pushReferrer,
  unless,
  uploadHalf,
} from './soak-pushes.ts';
import type { SoakWorld } from './soak-world.ts';

/** A manifest that the repository has, alive or not. */
async function someManifest(world: SoakWorld, repository: RepositoryRef) {
  const rows = await select('SELECT digest FROM manifest WHERE repository_id = ?', repository.id);
  const digest = world.random.oneOf(rows)?.['digest'];
  return world.persist(() =>
    world.actor().registry.lookupManifestByDigest(repository, String(digest), { allowDead: true }),
  );
}

async function moveTag(world: SoakWorld): Promise<void> {
  const repository = aRepositoryOf(world);
  const manifest = await someManifest(world, repository);
  if (manifest !== null) {
    const tagName = aTagNameOf(world);
    await world.actor().registry.retargetTag(repository, tagName, manifest);
    world.noteTag(repository, tagName, manifest.digest);
  }
}

async function deleteTag(world: SoakWorld): Promise<void> {
  const repository = aRepositoryOf(world);
  const tagName = aTagNameOf(world);
  // Who deletes by a slow clock may find a tag that begins in his future; it ends all the same.
  await world.actor().registry.deleteTag(repository, tagName);
  world.noteEnd(repository, tagName);
}

async function deleteByDigest(world: SoakWorld): Promise<void> {
  const repository = aRepositoryOf(world);
  const manifest = await someManifest(world, repository);
  if (manifest !== null) {
    world.pins.delete(`${repository.id} ${manifest.digest}`);
    const { tags } = await world.actor().registry.deleteTagsForManifest(manifest);
    for (const { name } of tags) {
      world.noteEnd(repository, name);
    }
  }
}

async function unlinkBlob(world: SoakWorld): Promise<void> {
  const repository = aRepositoryOf(world);
  const blob = world.random.oneOf([...world.layers, ...world.configs]);
  if (blob !== null) {
    await unless(['BlobInUse'], () =>
      world.actor().operations.unlinkRepoBlob(repository, blob.digest),
    );
  }
}

const JUMPS_MS = [SECOND_MS, MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, DAY_MS, 3 * DAY_MS, 15 * DAY_MS];

/** Time passes: some of it, or exactly until something is over, or its window. */
async function passTime(world: SoakWorld): Promise<void> {
  const [bounds] = await select(
    `SELECT (SELECT min(expires_ms) FROM uploaded_blob WHERE expires_ms > ?1) AS lease,
      (SELECT min(t.lifetime_end_ms + 1000 * n.removed_tag_expiration_s)
        FROM tag t JOIN repository r ON r.id = t.repository_id
        JOIN namespace n ON n.id = r.namespace_id
        WHERE t.lifetime_end_ms + 1000 * n.removed_tag_expiration_s > ?1) AS window`,
    world.nowMs,
  );
  const bound = world.random.oneOf([bounds?.['lease'], bounds?.['window'], null, null]);
  const jumpMs = world.random.oneOf(JUMPS_MS) ?? 0;
  world.nowMs = typeof bound === 'number' ? bound : world.nowMs + jumpMs;
}

async function changeWindow(world: SoakWorld): Promise<void> {
  const { namespaceId } = aRepositoryOf(world);
  await world.setWindow(namespaceId, world.random.oneOf([0, 3600, 86_400, 604_800]) ?? 0);
}

async function collect(world: SoakWorld): Promise<void> {
  const statements = world.random.oneOf([9, 12, 25, 60, 300]) ?? 300;
  await world.actor().housekeeping.collectGarbage({ statements });
}

async function drain(world: SoakWorld): Promise<void> {
  await world.actor().housekeeping.drainTombstones();
}

async function expireUploads(world: SoakWorld): Promise<void> {
  await world.actor().housekeeping.expireUploads();
}

/** Nothing that happens here may look like a mistake of whoever collects, buries or pushes. */
async function audit(world: SoakWorld): Promise<void> {
  const statements = world.random.oneOf([2, 10, 50]) ?? 50;
  const limits = { statements, rowsPerPage: 7, keysPerPage: 5, sampledBlobs: 5 };
  const { found } = await world.persist(() => world.actor().housekeeping.auditStores(limits));
  if (Object.values(found).some((count) => count !== 0)) {
    throw new Error(`the audit found ${JSON.stringify(found)}`);
  }
}

/** What actors do, and how often. The deletion of repositories will be one more. */
const STEPS: readonly (readonly [number, (world: SoakWorld) => Promise<void>])[] = [
  [12, pushImage],
  [6, pushMounted],
  [5, pushByDigest],
  [5, pushIndex],
  [4, pushReferrer],
  [4, uploadHalf],
  [5, moveTag],
  [10, deleteTag],
  [7, deleteByDigest],
  [5, unlinkBlob],
  [12, passTime],
  [2, changeWindow],
  [14, collect],
  [6, drain],
  [2, expireUploads],
  [6, audit],
];

/** Does one thing, and says what. */
export async function step(world: SoakWorld): Promise<string> {
  let rank = world.random.below(STEPS.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, act] of STEPS) {
    rank -= weight;
    if (rank < 0) {
      await act(world);
      return act.name;
    }
  }
  throw new Error('the weights were summed wrongly');
}
