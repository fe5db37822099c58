import { describe, it } from 'vitest';

import { HELD_BY_PULL_DAYS_MAX, PULL_HOLD_EXTRA_MS } from '../../../src/model/limits.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, TestClock } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { pullByDigest, pullByTag } from '../../support/recorded-pulls.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { codeOf, execute, openStage, select, valueOf } from '../../support/stage.ts';
import { tagRows } from '../../support/tags.ts';

const NO_WINDOW = { settings: { removedTagExpirationSec: 0, pullReportIntervalSec: 0 } };
const DAYS = 3;

/** A stage without a time machine whose namespace holds what is pulled. */
async function openHolding(options = NO_WINDOW, days = DAYS) {
  const stage = await openStage(options);
  await stage.operations.changeNamespace(stage.repository.namespaceName, { heldByPullDays: days });
  return {
    ...stage,
    /** An isolate that has not seen anything yet. */
    anotherIsolate: (gate?: Gate, clock = stage.clock) =>
      openTestRegistry({ ...options, clock, ...(gate === undefined ? {} : { gate }) }),
    isThere: async (digest: string) =>
      (await pullByDigest(
        openTestRegistry({ ...options, clock: stage.clock }),
        stage.repository,
        digest,
      )) !== null,
    isStored: async (digest: string) =>
      (await select('SELECT 1 FROM manifest WHERE digest = ?', digest)).length === 1,
    holds: () => select("SELECT * FROM tag WHERE name LIKE '$temp-pulled-%' ORDER BY id"),
  };
}

type Holding = Awaited<ReturnType<typeof openHolding>>;

/** The end of the one hold that there is, as time from now. */
async function heldFor({ holds, clock }: Holding): Promise<number | null> {
  const rows = await holds();
  if (rows.length > 1) {
    throw new Error(`${rows.length} holds`);
  }
  return rows[0] === undefined ? null : Number(rows[0]['lifetime_end_ms']) - clock.nowMs();
}

describe('a manifest that was pulled by digest', () => {
  it('is kept without a tag for the days of its namespace, and then goes', async ({ expect }) => {
    const world = await openHolding();
    const { repository, clock, housekeeping, isStored } = world;
    const image = await world.image();
    await world.push('v1', image);
    expect((await pullByDigest(world, repository, image.digest))?.digest).toBe(image.digest);
    await world.push('v1', await world.image());
    clock.advance(DAYS * DAY_MS);
    await housekeeping.collectGarbage();
    const reader = world.anotherIsolate();
    const found = await reader.registry.lookupManifestByDigest(repository, image.digest, {
      allowHidden: true,
    });
    expect(found?.digest).toBe(image.digest);
    const endsMs = clock.nowMs() + PULL_HOLD_EXTRA_MS;
    expect((await world.operations.explainDigest(repository, image.digest)).manifest).toEqual({
      state: 'kept',
      reasons: [{ kind: 'pulled', endsMs, untilMs: endsMs }],
      moreReasons: 0,
      goesAtMs: endsMs,
      isComplete: true,
    });
    clock.set(endsMs - 1);
    await housekeeping.collectGarbage();
    expect(await isStored(image.digest)).toBe(true);
    clock.set(endsMs);
    const plan = await world.operations.planCollection(repository);
    expect(plan.manifests.map(({ digest }) => digest)).toEqual([image.digest]);
    await housekeeping.collectGarbage();
    expect(await isStored(image.digest)).toBe(false);
    expect(await world.holds()).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('is not, unless its namespace says so, nor by a pull of its tag', async ({ expect }) => {
    const world = await openStage(NO_WINDOW);
    const { repository, operations, housekeeping } = world;
    const pulledWhileOff = await world.image();
    await world.push('v1', pulledWhileOff);
    const { d1RowsWritten, d1RoundTrips } = world.meter.usage;
    await pullByDigest(world, repository, pulledWhileOff.digest);
    expect(world.meter.usage).toMatchObject({ d1RowsWritten, d1RoundTrips: d1RoundTrips + 1 });
    await operations.changeNamespace(repository.namespaceName, { heldByPullDays: DAYS });
    const pulledByTag = await world.image();
    await world.push('v2', pulledByTag);
    await pullByTag(world, repository, 'v2');
    expect(await tagRows()).toHaveLength(2);
    await world.push('v1', await world.image());
    await world.push('v2', await world.image());
    world.clock.advance(1);
    await housekeeping.collectGarbage();
    const left = await select('SELECT digest FROM manifest');
    expect(left).toHaveLength(2);
    expect(left).not.toContainEqual({ digest: pulledWhileOff.digest });
    expect(left).not.toContainEqual({ digest: pulledByTag.digest });
  });

  it('is kept if it is the child of an index that moves; the index is not', async ({ expect }) => {
    const world = await openHolding();
    const { repository, registry, housekeeping, clock } = world;
    const child = await world.image();
    const sibling = await world.image();
    await registry.createManifestWithTempTag(repository, child, 1);
    await registry.createManifestWithTempTag(repository, sibling, 1);
    const index = await anIndex([child, sibling]);
    await world.push('v1', index);
    clock.advance(MINUTE_MS);
    await pullByTag(world, repository, 'v1');
    await pullByDigest(world, repository, child.digest);
    await world.push('v1', await world.image());
    clock.advance(MINUTE_MS);
    await housekeeping.collectGarbage();
    expect(await world.isThere(child.digest)).toBe(true);
    expect(await world.isStored(sibling.digest)).toBe(false);
    expect(await world.isStored(index.digest)).toBe(false);
    expect(await findViolations()).toEqual([]);
  });

  it('is kept as long after its last pull as after its first, at one write a day', async ({
    expect,
  }) => {
    const world = await openHolding(NO_WINDOW, 1);
    const { repository, clock, meter } = world;
    const image = await world.image();
    await world.push('v1', image);
    const costOfPull = async (
      puller: Pick<typeof world, 'operations' | 'settleDeferred' | 'meter'>,
    ) => {
      const before = { ...puller.meter.usage };
      await pullByDigest(puller, repository, image.digest);
      return [
        puller.meter.usage.d1RoundTrips - before.d1RoundTrips,
        puller.meter.usage.d1RowsWritten - before.d1RowsWritten,
      ];
    };
    const [first, written = 0] = await costOfPull({ ...world, meter });
    expect(first).toBe(2);
    expect(written).toBeLessThanOrEqual(8);
    // The same isolate does not ask again for an hour; another one asks, and writes nothing.
    expect(await costOfPull(world)).toEqual([1, 0]);
    expect(await costOfPull(world.anotherIsolate())).toEqual([2, 0]);
    let writes = 0;
    for (let hour = 1; hour <= 96; hour += 1) {
      clock.advance(HOUR_MS);
      const [, rows = 0] = await costOfPull(world);
      writes += Math.min(rows, 1);
      expect(rows).toBeLessThanOrEqual(5);
      expect(await heldFor(world)).toBeGreaterThanOrEqual(DAY_MS + HOUR_MS);
    }
    expect(writes).toBe(4);
    await world.push('v1', await world.image());
    clock.advance(DAY_MS);
    expect(await world.isThere(image.digest)).toBe(true);
    expect(await findViolations()).toEqual([]);
  });

  it('is held anew where a hold is over, and never for less', async ({ expect }) => {
    const world = await openHolding();
    const { repository, operations, clock } = world;
    const image = await world.image();
    await world.push('v1', image);
    await pullByDigest(world, repository, image.digest);
    // The tag was never gone; the hold ran out and still has the slot of its name.
    clock.advance(30 * DAY_MS);
    await pullByDigest(world, repository, image.digest);
    const endMs = clock.nowMs() + DAYS * DAY_MS + PULL_HOLD_EXTRA_MS;
    expect((await world.holds()).map((row) => row['lifetime_end_ms'])).toEqual([endMs]);
    // So it is with a hold that the sweep took the slot of.
    clock.advance(30 * DAY_MS);
    expect(await world.housekeeping.sweepEndedTags()).toBe(1);
    await pullByDigest(world, repository, image.digest);
    await world.housekeeping.collectGarbage();
    expect(await heldFor(world)).toBe(DAYS * DAY_MS + PULL_HOLD_EXTRA_MS);
    // A pull that is told late, by the clock of long ago, or a shorter time, take nothing back.
    const late = new TestClock();
    late.set(clock.nowMs() - 20 * HOUR_MS);
    await pullByDigest(world.anotherIsolate(undefined, late), repository, image.digest);
    await operations.changeNamespace(repository.namespaceName, { heldByPullDays: 1 });
    await pullByDigest(world.anotherIsolate(), repository, image.digest);
    expect(await heldFor(world)).toBe(DAYS * DAY_MS + PULL_HOLD_EXTRA_MS);
    await operations.changeNamespace(repository.namespaceName, { heldByPullDays: 10 });
    await pullByDigest(world.anotherIsolate(), repository, image.digest);
    expect(await heldFor(world)).toBe(10 * DAY_MS + PULL_HOLD_EXTRA_MS);
  });

  it('needs no hold while it is pinned', async ({ expect }) => {
    const world = await openHolding();
    const { repository, registry } = world;
    const subject = await world.image();
    const referrer = await world.image({ subject });
    await registry.createManifestWithTempTag(repository, referrer, 60);
    await pullByDigest(world, repository, referrer.digest);
    expect(await world.holds()).toEqual([]);
    // What a push by digest leaves is over long before.
    const image = await world.image();
    await registry.createManifestWithTempTag(repository, image, 60);
    await pullByDigest(world, repository, image.digest);
    expect(await world.holds()).toHaveLength(1);
  });
});

describe('a hold and a deletion', () => {
  it('by digest: it is gone at once, and what is told late does not bring it back', async ({
    expect,
  }) => {
    const world = await openHolding();
    const { repository, registry, housekeeping, clock } = world;
    const image = await world.image();
    await world.push('v1', image);
    const late = world.anotherIsolate();
    const pulled = await pullByDigest(world, repository, image.digest);
    await world.push('v1', await world.image());
    if (pulled === null) {
      throw new Error('the image is there');
    }
    const { hiddenEnded, stillAvailable } = await registry.deleteTagsForManifest(pulled);
    expect({ hiddenEnded, stillAvailable }).toEqual({ hiddenEnded: 1, stillAvailable: false });
    expect(await world.isThere(image.digest)).toBe(false);
    late.operations.recordPull({
      repository: { ...repository, heldByPullDays: DAYS },
      manifest: pulled,
      by: { kind: 'digest' },
    });
    await late.settleDeferred();
    expect(await world.isThere(image.digest)).toBe(false);
    clock.advance(1);
    await housekeeping.collectGarbage();
    expect(await world.isStored(image.digest)).toBe(false);
    // What was pushed again is another thing, and is held by its own pulls.
    await world.push('v1', image);
    await pullByDigest(world.anotherIsolate(), repository, image.digest);
    expect(await world.holds()).toHaveLength(1);
  });

  it('by digest wins in every order, whatever the clocks say; a move never does', async ({
    expect,
  }) => {
    const world = await openHolding();
    const { repository, clock } = world;
    const clockAt = (offsetMs: number) => {
      const other = new TestClock();
      other.set(clock.nowMs() + offsetMs);
      return other;
    };
    for (const skewMs of [-SECOND_MS, 0, SECOND_MS]) {
      for (const end of ['deleted', 'moved', 'moved, then deleted'] as const) {
        await interleaveAll(async () => {
          await world.clear();
          const image = await world.image();
          const other = await world.image();
          const { manifest } = await world.push('v1', image);
          if (end === 'moved, then deleted') {
            await world.push('v2', image);
          }
          clock.advance(MINUTE_MS);
          const holding = { ...repository, heldByPullDays: DAYS };
          const ending = (gate: Gate) =>
            openTestRegistry({ ...NO_WINDOW, gate, clock: clockAt(skewMs) }).registry;
          // Moved a little later by a good clock, and deleted by one that is behind.
          const mover = openTestRegistry({ ...NO_WINDOW, clock: clockAt(5) }).registry;
          return {
            racers: [
              async (gate) => {
                const puller = world.anotherIsolate(gate);
                puller.operations.recordPull({
                  repository: holding,
                  manifest,
                  by: { kind: 'digest' },
                });
                await puller.settleDeferred();
              },
              async (gate) => {
                if (end === 'moved, then deleted') {
                  await mover.createManifestAndRetargetTag(repository, other, 'v2');
                }
                return end === 'moved'
                  ? openTestRegistry({
                      ...NO_WINDOW,
                      gate,
                      clock: clockAt(Math.abs(skewMs)),
                    }).registry.createManifestAndRetargetTag(repository, other, 'v1')
                  : ending(gate).deleteTagsForManifest(manifest);
              },
            ],
            check: async (outcomes, schedule) => {
              outcomes.forEach((outcome) => void valueOf<unknown>(outcome));
              const at = `${skewMs} ${end} ${schedule}`;
              clock.advance(2 * SECOND_MS);
              // In one and the same millisecond it is over already when it is pulled.
              if (end !== 'moved' || skewMs !== 0) {
                expect([at, await world.isThere(image.digest)]).toEqual([at, end === 'moved']);
              }
              expect([at, await findViolations()]).toEqual([at, []]);
            },
          };
        });
      }
    }
  });

  it('of its index by digest: what is told late does not bring the child back', async ({
    expect,
  }) => {
    for (const reset of [false, true]) {
      const settings = { ...NO_WINDOW.settings, resetChildManifestExpiration: reset };
      const world = await openHolding({ settings });
      const { repository, registry, clock } = world;
      const child = await world.image();
      await registry.createManifestWithTempTag(repository, child, 1);
      const { manifest } = await world.push('v1', await anIndex([child]));
      const indexed = await registry.lookupManifestByDigest(repository, child.digest, {
        allowHidden: true,
      });
      if (indexed === null) {
        throw new Error('the child is there');
      }
      clock.advance(MINUTE_MS);
      const holding = { ...repository, heldByPullDays: DAYS };
      const late = world.anotherIsolate();
      const pullLate = new TestClock();
      pullLate.set(clock.nowMs() - SECOND_MS);
      const puller = openTestRegistry({ settings, clock: pullLate });
      // Deleting the tag is what the setting is about; without it only the digest is.
      await (reset
        ? late.registry.deleteTag(repository, 'v1')
        : late.registry.deleteTagsForManifest(manifest));
      puller.operations.recordPull({
        repository: holding,
        manifest: indexed,
        by: { kind: 'digest' },
      });
      await puller.settleDeferred();
      expect([reset, await world.isThere(child.digest)]).toEqual([reset, false]);
      await world.clear();
    }
  });
});

describe('holding', () => {
  it('survives lost answers and crashes; what failed is tried again by the next pull', async ({
    expect,
  }) => {
    const world = await openHolding();
    const { repository } = world;
    const image = await world.image();
    const holding = { ...repository, heldByPullDays: DAYS };
    const { manifest } = await world.push('v1', image);
    const pull = { repository: holding, manifest, by: { kind: 'digest' } } as const;
    for (const fates of allFates(3)) {
      await execute("DELETE FROM tag WHERE name LIKE '$temp-%'");
      const { gate, losses } = losing(fates);
      const puller = world.anotherIsolate(gate);
      puller.operations.recordPull(pull);
      const [first] = await Promise.allSettled([puller.settleDeferred()]);
      expect(first.status).toBe(losses() === 3 ? 'rejected' : 'fulfilled');
      puller.operations.recordPull(pull);
      await Promise.allSettled([puller.settleDeferred()]);
      expect([fates, await heldFor(world)]).toEqual([fates, DAYS * DAY_MS + PULL_HOLD_EXTRA_MS]);
    }
    await crashEverywhere(async () => {
      await execute("DELETE FROM tag WHERE name LIKE '$temp-%'");
      return {
        operation: async (gate) => {
          const puller = world.anotherIsolate(gate);
          puller.operations.recordPull(pull);
          await puller.settleDeferred();
        },
        check: async () => {
          expect(await findViolations()).toEqual([]);
          await pullByDigest(world.anotherIsolate(), repository, image.digest);
          expect(await world.holds()).toHaveLength(1);
        },
      };
    });
  });

  it('is set by namespace, in whole days', async ({ expect }) => {
    const { operations, repository } = await openStage(NO_WINDOW);
    const change = (days: number, name: string = repository.namespaceName) =>
      operations.changeNamespace(name, { heldByPullDays: days });
    expect((await change(HELD_BY_PULL_DAYS_MAX))?.heldByPullDays).toBe(HELD_BY_PULL_DAYS_MAX);
    expect((await change(0))?.heldByPullDays).toBe(0);
    expect(await change(1, 'nobody')).toBeNull();
    for (const days of [-1, 0.5, HELD_BY_PULL_DAYS_MAX + 1, Number.NaN]) {
      const [outcome] = await Promise.allSettled([change(days)]);
      expect(codeOf(outcome)).toBe('HeldByPullDaysOutOfRange');
    }
    expect(await select('SELECT held_by_pull_days AS n FROM namespace')).toEqual([{ n: 0 }]);
  });
});
