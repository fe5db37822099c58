import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import type { RepositoryRef } from '../../../src/model/references.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll, type Racer } from '../../support/interleave.ts';
import { quotaSizesAreExact } from '../../support/invariants.ts';
import { FATES_OF_READ_AND_WRITE, losing } from '../../support/lost-answers.ts';
import {
  aBlobOf,
  anArtifact,
  limitsOf,
  pushArtifact,
  repositoryNamed,
} from '../../support/quota.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { codeOf, type StagedBlob } from '../../support/stage.ts';

const [A, B, C] = [aBlobOf(60, 1), aBlobOf(40, 2), aBlobOf(100, 3)] as const;
const SETTINGS = { removedTagExpirationSec: 0 };

const TABLES = [
  'quota_repository_size',
  'quota_namespace_size',
  'namespace_quota',
  'deleted_repository',
  'tag',
  'manifest_child',
  'manifest_blob',
  'manifest',
  'uploaded_blob',
  'blob',
  'gc_removal',
  'r2_tombstone',
  'repository',
  'namespace',
];

async function forgetAll(): Promise<void> {
  await env.DB.batch(TABLES.map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
}

/** A fresh world of two repositories of one namespace; `quotaBytes` null: without a quota. */
async function aWorld(quotaBytes: number | null) {
  await forgetAll();
  const world = openTestRegistry({ settings: SETTINGS });
  const { clock, operations } = world;
  const one = await repositoryNamed(world, 'acme/one');
  const two = await repositoryNamed(world, 'acme/two');
  if (quotaBytes !== null) {
    await operations.setQuota('acme', limitsOf(quotaBytes));
  }
  const behind = (gate: Gate) => openTestRegistry({ settings: SETTINGS, clock, gate });
  return {
    ...world,
    one,
    two,
    behind,
    used: async () => (await operations.readQuota('acme'))?.usedBytes,
    /** The push of an artifact of these blobs. */
    push: async (repository: RepositoryRef, tagName: string, blobs: readonly StagedBlob[]) => {
      const image = await anArtifact(repository, blobs);
      const racer: Racer<unknown> = (gate) =>
        behind(gate).registry.createManifestAndRetargetTag(repository, image, tagName, {
          raiseOnError: true,
        });
      return racer;
    },
  };
}

describe('a push under a quota, at the same time as', { timeout: 60_000 }, () => {
  it('another, does not slip over the limit with it', async ({ expect }) => {
    const schedules = await interleaveAll(async () => {
      const world = await aWorld(100);
      const { one, two, used, push } = world;
      return {
        racers: [await push(one, 'a', [A]), await push(two, 'a', [B, aBlobOf(1, 9)])],
        check: async (outcomes, schedule) => {
          const codes = outcomes.map(codeOf);
          expect(new Set(codes), schedule).toEqual(new Set(['QuotaExceeded', null]));
          expect(await used(), schedule).toBe(codes[0] === null ? 60 : 41);
          expect(await quotaSizesAreExact(), schedule).toEqual([]);
        },
      };
    });
    expect(schedules).toBeGreaterThan(5);
  });

  it('another of the same blobs, counts what they share once', async ({ expect }) => {
    for (const isSameRepository of [true, false]) {
      await interleaveAll(async () => {
        const { one, two, used, push } = await aWorld(100);
        return {
          racers: [
            await push(one, 'a', [A, B]),
            await push(isSameRepository ? one : two, 'b', [B, A]),
          ],
          check: async (outcomes, schedule) => {
            expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
            expect(await used(), schedule).toBe(100);
            expect(await quotaSizesAreExact(), schedule).toEqual([]);
          },
        };
      });
    }
  });

  it('the first quota, is counted by it or refused by it', async ({ expect }) => {
    const seen = new Set<string | null>();
    await interleaveAll(async () => {
      const { one, push, behind, used } = await aWorld(null);
      return {
        racers: [
          await push(one, 'a', [A, B]),
          (gate) => behind(gate).operations.setQuota('acme', limitsOf(99)),
        ],
        check: async ([pushed, set], schedule) => {
          const code = codeOf(pushed);
          seen.add(code);
          expect([null, 'QuotaExceeded'], schedule).toContain(code);
          expect(codeOf(set), schedule).toBeNull();
          expect(await used(), schedule).toBe(code === null ? 100 : 0);
          expect(await quotaSizesAreExact(), schedule).toEqual([]);
        },
      };
    });
    expect(seen).toEqual(new Set(['QuotaExceeded', null]));
  });

  it('the removal of the quota, or a lower limit, goes by what its batch finds', async ({
    expect,
  }) => {
    for (const change of ['remove', 'lower'] as const) {
      await interleaveAll(async () => {
        const { one, push, behind, used } = await aWorld(200);
        return {
          racers: [
            await push(one, 'a', [A, B]),
            async (gate): Promise<unknown> =>
              change === 'remove'
                ? behind(gate).operations.removeQuota('acme')
                : behind(gate).operations.setQuota('acme', limitsOf(99)),
          ],
          check: async ([pushed], schedule) => {
            const what = `${change} ${schedule}`;
            const code = codeOf(pushed);
            expect(change === 'remove' ? [null] : [null, 'QuotaExceeded'], what).toContain(code);
            const held = code === null ? 100 : 0;
            expect(await used(), what).toBe(change === 'remove' ? undefined : held);
            expect(await quotaSizesAreExact(), what).toEqual([]);
          },
        };
      });
    }
  });

  it('the collection of a manifest that shares its blobs, keeps count', async ({ expect }) => {
    const schedules = await interleaveAll(async () => {
      const world = await aWorld(1000);
      const { one, two, push, behind, registry, used } = world;
      await pushArtifact(world, one, { tagName: 'old', blobs: [A, C] });
      await registry.deleteTag(one, 'old');
      return {
        racers: [
          await push(two, 'new', [A, B]),
          (gate) => behind(gate).housekeeping.collectRepository(one.id),
        ],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          expect(await used(), schedule).toBe(100);
          expect(await quotaSizesAreExact(), schedule).toEqual([]);
        },
      };
    });
    expect(schedules).toBeGreaterThan(10);
  });

  it('the first quota, a collection is counted by it or takes from it', async ({ expect }) => {
    const schedules = await interleaveAll(async () => {
      const world = await aWorld(null);
      const { one, behind, registry, used } = world;
      await pushArtifact(world, one, { tagName: 'old', blobs: [A, C] });
      await pushArtifact(world, one, { tagName: 'kept', blobs: [A] });
      await registry.deleteTag(one, 'old');
      return {
        racers: [
          (gate) => behind(gate).housekeeping.collectRepository(one.id),
          (gate) => behind(gate).operations.setQuota('acme', limitsOf(1000)),
        ],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          expect(await used(), schedule).toBe(60);
          expect(await quotaSizesAreExact(), schedule).toEqual([]);
        },
      };
    });
    expect(schedules).toBeGreaterThan(4);
  });
});

describe('what is counted', { timeout: 60_000 }, () => {
  it('is right wherever a push, a collection, a purge or a change of the quota dies', async ({
    expect,
  }) => {
    type World = Awaited<ReturnType<typeof aWorld>>;
    const operations: Record<string, (world: World) => Promise<Racer<unknown>>> = {
      push: ({ one, push }) => push(one, 'new', [A, B]),
      collection: async ({ one, registry, behind }) => {
        await registry.deleteTag(one, 'old');
        return (gate) => behind(gate).housekeeping.collectRepository(one.id);
      },
      purge: async (world) => {
        await world.operations.markRepositoryForDeletion(world.one);
        return (gate) => world.behind(gate).housekeeping.purgeRepositories();
      },
      removal:
        async ({ behind }) =>
        (gate) =>
          behind(gate).operations.removeQuota('acme'),
      'new quota': async (world) => {
        await world.operations.removeQuota('acme');
        return (gate) => world.behind(gate).operations.setQuota('acme', limitsOf(500));
      },
    };
    for (const [name, prepare] of Object.entries(operations)) {
      const points = await crashEverywhere(async () => {
        const world = await aWorld(1000);
        await pushArtifact(world, world.one, { tagName: 'old', blobs: [A, C] });
        await pushArtifact(world, world.two, { tagName: 'kept', blobs: [A] });
        const operation = await prepare(world);
        return {
          operation,
          check: async ({ callNumber, when }) => {
            const what = `${name}, ${when} call ${callNumber}`;
            expect(await quotaSizesAreExact(), what).toEqual([]);
            await operation((_call, run) => run());
            expect(await quotaSizesAreExact(), `${what}, again`).toEqual([]);
          },
        };
      });
      expect(points.length, name).toBeGreaterThan(1);
    }
  });

  it('is right whatever answers of a push are lost', async ({ expect }) => {
    for (const fates of FATES_OF_READ_AND_WRITE) {
      const { one, push, used } = await aWorld(100);
      const racer = await push(one, 'a', [A, B]);
      await Promise.allSettled([racer(losing(fates).gate)]);
      expect(await quotaSizesAreExact(), fates.join()).toEqual([]);
      // What is there passes again although the quota is full; what is not fits.
      await racer((_call, run) => run());
      expect(await used(), fates.join()).toBe(100);
    }
  });

  it('is right whatever answers of a change of the quota are lost', async ({ expect }) => {
    for (const fates of [['committed, then lost'], ['lost before']] as const) {
      const world = await aWorld(null);
      await pushArtifact(world, world.one, { tagName: 'a', blobs: [A, B] });
      const { operations } = world.behind(losing(fates).gate);
      expect(await operations.setQuota('acme', limitsOf(10))).toMatchObject({ usedBytes: 100 });
      expect(await quotaSizesAreExact()).toEqual([]);
      const again = world.behind(losing(fates).gate);
      expect(await again.operations.removeQuota('acme')).toBe(true);
      expect(await quotaSizesAreExact()).toEqual([]);
    }
  });
});
