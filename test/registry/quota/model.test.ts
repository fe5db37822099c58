import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { HOUR_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { pretendBlobs } from '../../support/images.ts';
import { quotaSizesAreExact } from '../../support/invariants.ts';
import { aBlobOf, anArtifact, limitsOf, repositoryNamed } from '../../support/quota.ts';
import { Random } from '../../support/random.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { select, type StagedBlob } from '../../support/stage.ts';

const STEPS = 90;
const SEED = 20_261_128;
/** Their sizes are powers of two, so that every sum says what it is of. */
const POOL = Array.from({ length: 8 }, (_, at) => aBlobOf(2 ** at, at + 1));
const NAMES = ['acme/one', 'acme/two', 'other/one'];
const TAGS = ['t0', 't1', 't2'];

const sizeOf = (blobs: readonly StagedBlob[]) => blobs.reduce((sum, { size }) => sum + size, 0);

/**
 * What may happen to what is counted, in random order; refusals are foretold from what the manifests
 * link, by plain sets.
 */
class QuotaWorld {
  readonly random = new Random(SEED);
  readonly registry = openTestRegistry({ settings: { removedTagExpirationSec: 0 } });
  readonly tally: Record<string, number> = {};
  #images: ParsedManifest[] = [];

  repository(): Promise<RepositoryRef> {
    return repositoryNamed(this.registry, this.random.oneOf(NAMES) ?? '');
  }

  tag(): string {
    return this.random.oneOf(TAGS) ?? '';
  }

  /** The blobs that the namespace holds, by their digests. */
  async #held(namespaceId: number): Promise<ReadonlySet<string>> {
    const rows = await select(
      `SELECT b.digest FROM manifest_blob l JOIN repository r ON r.id = l.repository_id
      JOIN blob b ON b.id = l.blob_id WHERE r.namespace_id = ?`,
      namespaceId,
    );
    return new Set(rows.map(({ digest }) => String(digest)));
  }

  /** Whether a push of these blobs is to be refused. */
  async #isTooMuch({ namespaceId }: RepositoryRef, blobs: readonly StagedBlob[]): Promise<boolean> {
    const [quota] = await select(
      'SELECT limit_bytes FROM namespace_quota WHERE namespace_id = ?',
      namespaceId,
    );
    const held = await this.#held(namespaceId);
    const used = sizeOf(POOL.filter(({ digest }) => held.has(digest)));
    const added = sizeOf(blobs.filter(({ digest }) => !held.has(digest)));
    return quota !== undefined && added > 0 && used + added > Number(quota['limit_bytes']);
  }

  async push(): Promise<string> {
    const repository = await this.repository();
    const blobs = this.random.some(POOL, 1 + this.random.below(4));
    const image = await anArtifact(repository, blobs);
    const isTooMuch = await this.#isTooMuch(repository, blobs);
    const push = this.random.isOneIn(4)
      ? this.registry.registry.createManifestWithTempTag(repository, image, 60)
      : this.registry.registry.createManifestAndRetargetTag(repository, image, this.tag());
    if (((await push) === null) !== isTooMuch) {
      throw new Error(`a push that should ${isTooMuch ? '' : 'not '}have been refused`);
    }
    this.#images.push(image);
    return isTooMuch ? 'refused' : 'pushed';
  }

  /** Another repository gets what one has, or a second manifest of the same blobs. */
  async pushAgain(): Promise<string> {
    const repository = await this.repository();
    const image = this.random.oneOf(this.#images);
    if (image === null || image.kind !== 'image') {
      return 'nothing';
    }
    const blobs = POOL.filter(({ digest }) => image.localBlobDigests.includes(digest));
    await pretendBlobs(repository, blobs);
    const isTooMuch = await this.#isTooMuch(repository, blobs);
    const pushed = await this.registry.registry.createManifestAndRetargetTag(
      repository,
      image,
      this.tag(),
    );
    if ((pushed === null) !== isTooMuch) {
      throw new Error(`a push that should ${isTooMuch ? '' : 'not '}have been refused`);
    }
    return isTooMuch ? 'refused again' : 'pushed again';
  }

  async pushIndex(): Promise<string> {
    const repository = await this.repository();
    const rows = await select('SELECT digest FROM manifest WHERE repository_id = ?', repository.id);
    const known = new Set(rows.map(({ digest }) => digest));
    const children = this.#images.filter(({ digest }) => known.has(digest));
    const index = await anIndex(this.random.some(children, 2));
    await this.registry.registry.createManifestAndRetargetTag(repository, index, this.tag(), {
      raiseOnError: true,
    });
    return 'index';
  }

  async deleteTag(): Promise<string> {
    await this.registry.registry.deleteTag(await this.repository(), this.tag());
    return 'deleted';
  }

  async collect(): Promise<string> {
    const { clock, housekeeping } = this.registry;
    clock.advance(HOUR_MS);
    const statements = this.random.oneOf([12, 30, 300]) ?? 300;
    await housekeeping.collectGarbage({ statements });
    return 'collected';
  }

  async mount(): Promise<string> {
    const [from, to] = [await this.repository(), await this.repository()];
    const { registry } = this.registry;
    const digest = this.random.oneOf(POOL)?.digest ?? '';
    const blob = await registry.getRepoBlobByDigest(from, digest);
    await (blob && registry.mountBlobIntoRepository(blob, to, 3600));
    return blob === null ? 'nothing' : 'mounted';
  }

  async deleteRepository(): Promise<string> {
    await this.registry.operations.markRepositoryForDeletion(await this.repository());
    return 'repository deleted';
  }

  async purge(): Promise<string> {
    this.registry.clock.advance(HOUR_MS);
    const statements = this.random.oneOf([12, 300]) ?? 300;
    await this.registry.housekeeping.purgeRepositories({ statements });
    return 'purged';
  }

  async setQuota(): Promise<string> {
    const { namespaceName } = await this.repository();
    const limitBytes = this.random.oneOf([100, 200, 255]) ?? 255;
    await this.registry.operations.setQuota(namespaceName, limitsOf(limitBytes));
    return 'quota set';
  }

  async removeQuota(): Promise<string> {
    const { namespaceName } = await this.repository();
    await this.registry.operations.removeQuota(namespaceName);
    return 'quota removed';
  }
}

const MOVES = [
  [14, (world: QuotaWorld) => world.push()],
  [6, (world: QuotaWorld) => world.pushAgain()],
  [3, (world: QuotaWorld) => world.pushIndex()],
  [12, (world: QuotaWorld) => world.deleteTag()],
  [10, (world: QuotaWorld) => world.collect()],
  [3, (world: QuotaWorld) => world.mount()],
  [1, (world: QuotaWorld) => world.deleteRepository()],
  [3, (world: QuotaWorld) => world.purge()],
  [4, (world: QuotaWorld) => world.setQuota()],
  [1, (world: QuotaWorld) => world.removeQuota()],
] as const;
const BAG = MOVES.flatMap(([weight, move]) => Array.from({ length: weight }, () => move));

describe('pushes, deletions, collection and purges in random order', () => {
  it('leave the sizes exact after every step, and refuse what they should', async ({ expect }) => {
    const world = new QuotaWorld();
    for (let count = 1; count <= STEPS; count += 1) {
      const what = await world.random.oneOf(BAG)?.(world);
      expect(await quotaSizesAreExact(), `step ${count}: ${what}`).toEqual([]);
      world.tally[what ?? ''] = (world.tally[what ?? ''] ?? 0) + 1;
    }
    for (const what of ['pushed', 'pushed again', 'refused', 'refused again', 'purged', 'index']) {
      expect(world.tally, what).toHaveProperty(what);
    }
    expect(await select('SELECT 1 FROM gc_removal LIMIT 1')).toHaveLength(1);
  });
});
