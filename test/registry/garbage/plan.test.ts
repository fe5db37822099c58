import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import type { RepositoryRef } from '../../../src/model/references.ts';
import type { CollectionPlan } from '../../../src/registry/garbage/plan.ts';
import { HOUR_MS } from '../../support/clock.ts';
import { anImage, anIndex, pushBlob, pushTagged } from '../../support/content.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { removable, settle, smallWorld } from '../../support/small-worlds.ts';
import { execute, openStage } from '../../support/stage.ts';

const NO_WINDOW = { settings: { removedTagExpirationSec: 0 } };
const NO_LIMITS = { statements: 1_000_000, repositories: 1000, durationMs: HOUR_MS };

/** The plan as `removable` writes it, in order. */
const written = ({ tags, manifests, leases, blobs }: CollectionPlan) => ({
  tags: tags
    .map((tag) => `${tag.repositoryId} ${tag.digest} ${tag.endedMs} ${tag.tagName ?? ''}`)
    .toSorted(),
  manifests: manifests
    .map(({ repositoryId, digest, sizeBytes }) => `${repositoryId} ${digest} ${sizeBytes}`)
    .toSorted(),
  leases: leases.map(({ repositoryId, digest }) => `${repositoryId} ${digest}`).toSorted(),
  blobs: blobs.map(({ digest, sizeBytes }) => `${digest} ${sizeBytes}`).toSorted(),
});

type Removable = Awaited<ReturnType<typeof removable>>;

/** What is in the first and not in the second; two rows may read alike. */
function without(before: readonly string[], after: readonly string[]): readonly string[] {
  const left = [...after];
  return before
    .filter((row) => {
      const at = left.indexOf(row);
      return at < 0 || left.splice(at, 1).length === 0;
    })
    .toSorted();
}

const gone = (before: Removable, after: Removable) => ({
  tags: without(before.tags, after.tags),
  manifests: without(before.manifests, after.manifests),
  leases: without(before.leases, after.leases),
  blobs: without(before.blobs, after.blobs),
});

const sizeOf = (row: string) => Number(row.split(' ').at(-1));
const sum = (rows: readonly string[]) => rows.reduce((bytes, row) => bytes + sizeOf(row), 0);

describe('the plan of a collection', () => {
  it('of the whole registry is what a run then removes, to the row and the byte', async ({
    expect,
  }) => {
    await fc.assert(
      fc.asyncProperty(smallWorld, fc.boolean(), async (world, immutableTagsCanExpire) => {
        await settle(world);
        const options = { settings: { immutableTagsCanExpire } };
        const { operations, meter } = openTestRegistry(options);
        const plan = await operations.planCollection(null);
        expect(meter.usage.d1RowsWritten).toBe(0);
        const before = await removable();
        const { housekeeping } = openTestRegistry(options);
        const report = await housekeeping.collectGarbage(NO_LIMITS);
        expect(written(plan)).toEqual(gone(before, await removable()));
        expect(plan.freedBytes).toBe(report.freedBytes);
        expect(plan.isComplete).toBe(true);
        expect(plan.elsewhere).toEqual({ manifests: 0, blobs: 0, freedBytes: 0 });
      }),
      { seed: 20_261_124, numRuns: 120, plugins: [fc.interruptAfterTimeLimit(6000)] },
    );
  });

  it('of one repository is the same, and only counts what goes in others', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(smallWorld, fc.integer({ min: 1, max: 3 }), async (world, id) => {
        await settle(world);
        const { operations, housekeeping } = openTestRegistry();
        const plan = await operations.planCollection({ id } as RepositoryRef);
        const before = await removable();
        await housekeeping.collectRepository(id, NO_LIMITS);
        const removed = gone(before, await removable());
        const planned = written(plan);
        expect(planned.tags).toEqual(removed.tags);
        expect(planned.leases).toEqual(removed.leases);
        const isHere = (row: string) => row.startsWith(`${id} `);
        expect(planned.manifests).toEqual(removed.manifests.filter(isHere));
        expect(plan.elsewhere.manifests).toBe(removed.manifests.length - plan.manifests.length);
        expect(removed.blobs).toEqual(expect.arrayContaining(planned.blobs));
        expect(plan.elsewhere.blobs).toBe(removed.blobs.length - plan.blobs.length);
        expect(plan.freedBytes + plan.elsewhere.freedBytes).toBe(sum(removed.blobs));
      }),
      { seed: 20_261_124, numRuns: 120, plugins: [fc.interruptAfterTimeLimit(6000)] },
    );
  });

  it('follows an index down to the last child, a round trip for each step', async ({ expect }) => {
    const world = openTestRegistry(NO_WINDOW);
    const { registry, operations, housekeeping, clock } = world;
    const repository = await aRepository(world);
    const child = await anImage(world, repository);
    await registry.createManifestWithTempTag(repository, child, 60);
    const inner = await anIndex([child]);
    await registry.createManifestWithTempTag(repository, inner, 60);
    const outer = await anIndex([inner]);
    await pushTagged(world, repository, { tagName: 'list', manifest: outer });
    clock.advance(2 * HOUR_MS);
    await housekeeping.collectRepository(repository.id);
    expect(await operations.planCollection(repository)).toMatchObject({ tags: [], manifests: [] });
    await registry.deleteTag(repository, 'list');
    const { meter, operations: counted } = openTestRegistry({ ...NO_WINDOW, clock });
    const plan = await counted.planCollection(repository);
    expect(plan.tags).toEqual([
      {
        repositoryId: repository.id,
        tagName: 'list',
        digest: outer.digest,
        endedMs: clock.nowMs(),
      },
    ]);
    expect(plan.manifests.map(({ digest }) => digest)).toEqual(
      [outer, inner, child].map(({ digest }) => digest),
    );
    expect(plan.blobs).toHaveLength(2);
    // What is over, three steps down, and the blobs.
    expect(meter.usage.d1RoundTrips).toBe(5);
    expect(meter.usage.d1RowsRead).toBeLessThanOrEqual(100);
    expect((await operations.planCollection(repository, { rounds: 2 })).isComplete).toBe(false);
  });

  it('stays within its limits, says so, and lists nothing that would stay', async ({ expect }) => {
    const stage = await openStage(NO_WINDOW);
    const { registry, repository, operations, clock } = stage;
    for (const name of ['a', 'b', 'c']) {
      await stage.push(name, await stage.image());
      await registry.deleteTag(repository, name);
    }
    await pushBlob({ operations }, repository);
    clock.advance(2 * HOUR_MS);
    const plan = (limits: object) => operations.planCollection(repository, limits);
    const whole = await plan({});
    expect([whole.tags.length, whole.manifests.length, whole.isComplete]).toEqual([3, 3, true]);
    expect(await plan({ tags: 3, leases: whole.leases.length })).toEqual(whole);
    const some = await plan({ tags: 2 });
    expect([some.tags.length, some.manifests.length, some.isComplete]).toEqual([2, 2, false]);
    // The third image and its lease would keep what all of them share.
    expect(some.blobs.length).toBeLessThan(whole.blobs.length);
    for (const limits of [{ leases: 1 }, { blobs: 1 }, { rounds: 0 }]) {
      expect((await plan(limits)).isComplete).toBe(false);
    }
    expect(await operations.planCollection(null, { repositories: 0 })).toMatchObject({
      tags: [],
      isComplete: false,
    });
  });

  it('is empty where nothing is collected: a disabled namespace, a repository on its way out', async ({
    expect,
  }) => {
    const stage = await openStage(NO_WINDOW);
    const { registry, repository, operations, clock } = stage;
    await stage.push('v1', await stage.image());
    await registry.deleteTag(repository, 'v1');
    clock.advance(2 * HOUR_MS);
    const counts = async () => {
      const { tags, manifests, leases, blobs } = await operations.planCollection(repository);
      return [tags, manifests, leases, blobs].map(({ length }) => length);
    };
    expect(await counts()).toEqual([1, 1, 2, 2]);
    await execute('UPDATE namespace SET enabled = 0');
    expect(await counts()).toEqual([0, 0, 0, 0]);
    await execute('UPDATE namespace SET enabled = 1');
    await execute('UPDATE repository SET state = 3');
    expect(await counts()).toEqual([0, 0, 0, 0]);
  });
});
