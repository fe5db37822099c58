import { describe, it } from 'vitest';

import { GARBAGE_TAGS_PER_STEP_MAX } from '../../../src/model/limits.ts';
import { DAY_MS, HOUR_MS } from '../../support/clock.ts';
import { anImage, pushTagged } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { codeOf, execute, openStage, select } from '../../support/stage.ts';
import { drainGraves, forgetBlobs } from '../../support/uploads.ts';

const NO_WINDOW = { settings: { removedTagExpirationSec: 0 } };

const count = async (table: string) =>
  Number((await select(`SELECT count(*) AS n FROM ${table}`))[0]?.['n']);

/** A repository with so many ended generations, two or more, of as many names of one image. */
async function endedTags(generations: number) {
  const world = openTestRegistry(NO_WINDOW);
  const repository = await aRepository(world);
  await pushTagged(world, repository, { tagName: 'v0', layers: 0 });
  await execute(
    `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ${generations})
    INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms, is_current)
    SELECT t.repository_id, 'w' || n.i, t.manifest_id, 0, 0, 0 FROM n CROSS JOIN tag t`,
  );
  await world.registry.deleteTag(repository, 'v0');
  await execute('UPDATE repository_gc SET earliest_end_ms = 0');
  world.clock.advance(DAY_MS);
  return { ...world, repository };
}

describe('a run of the collector', () => {
  it('collects all that is due, of every window, and then has nothing to do', async ({
    expect,
  }) => {
    const { clock, housekeeping, ...world } = openTestRegistry(NO_WINDOW);
    for (const windowSec of [0, 86_400, 604_800]) {
      const repository = await aRepository(world, {
        namespace: `ns-${windowSec}`,
        repository: 'app',
      } as never);
      await execute(
        'UPDATE namespace SET removed_tag_expiration_s = ? WHERE id = ?',
        windowSec,
        repository.namespaceId,
      );
      await pushTagged({ ...world, clock, housekeeping }, repository, { tagName: 'v1' });
      await world.registry.deleteTag(repository, 'v1');
    }
    await execute(`UPDATE repository_gc SET policy_s = (SELECT removed_tag_expiration_s
      FROM repository r JOIN namespace n ON n.id = r.namespace_id WHERE r.id = repository_id)`);
    clock.advance(2 * HOUR_MS);
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 1, isFinished: true });
    clock.advance(DAY_MS);
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 1, manifests: 1, blobs: 2 });
    clock.advance(7 * DAY_MS);
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 1 });
    expect(await count('blob')).toBe(0);
    expect(await housekeeping.collectGarbage()).toEqual({
      repositories: 0,
      tags: 0,
      manifests: 0,
      leases: 0,
      blobs: 0,
      freedBytes: 0,
      isFinished: true,
    });
  });

  it('stops at its limits, and the next goes on', async ({ expect }) => {
    const { housekeeping } = await endedTags(5 * GARBAGE_TAGS_PER_STEP_MAX);
    let runs = 0;
    for (let isFinished = false; !isFinished; runs += 1) {
      const report = await housekeeping.collectGarbage({ statements: 20 });
      ({ isFinished } = report);
      expect(report.tags).toBeLessThanOrEqual(3 * GARBAGE_TAGS_PER_STEP_MAX);
      expect(await findViolations()).toEqual([]);
    }
    expect(runs).toBeGreaterThan(2);
    expect([await count('tag'), await count('manifest'), await count('blob')]).toEqual([0, 0, 0]);
  });

  it('stops when its time is over, and visits no more repositories than it may', async ({
    expect,
  }) => {
    const { housekeeping, clock } = await endedTags(2);
    expect(await housekeeping.collectGarbage({ durationMs: 0 })).toMatchObject({
      tags: 0,
      isFinished: false,
    });
    expect(await housekeeping.collectGarbage({ repositories: 0 })).toMatchObject({
      tags: 0,
      isFinished: false,
    });
    const ticking = openTestRegistry({
      ...NO_WINDOW,
      clock,
      gate: (_call, run) => {
        clock.advance(1000);
        return run();
      },
    });
    expect(await ticking.housekeeping.collectGarbage({ durationMs: 2500 })).toMatchObject({
      tags: 2,
      manifests: 0,
      isFinished: false,
    });
    expect(await housekeeping.collectGarbage()).toMatchObject({ manifests: 1, isFinished: true });
  });

  it('scenario 65 (blobs): I-LOCK: several at once end as one does', async ({ expect }) => {
    const { clock } = await endedTags(25);
    const collect = () => openTestRegistry({ clock }).housekeeping.collectGarbage();
    const reports = await Promise.all([collect(), collect(), collect()]);
    expect(reports.reduce((sum, { tags }) => sum + tags, 0)).toBe(25);
    expect(reports.reduce((sum, { manifests }) => sum + manifests, 0)).toBe(1);
    expect([await count('tag'), await count('manifest'), await count('blob')]).toEqual([0, 0, 0]);
    await drainGraves();
    expect(await findViolations()).toEqual([]);
  });

  it('I-IDEM: the first steps race themselves without harm, in any order', async ({ expect }) => {
    await interleaveAll(async () => {
      await forgetBlobs();
      await execute('DELETE FROM tag');
      await execute('DELETE FROM manifest');
      const { clock, repository } = await endedTags(2);
      const limits = { statements: 18 };
      const begin = (gate: Gate) =>
        openTestRegistry({ clock, gate }).housekeeping.collectRepository(repository.id, limits);
      return {
        racers: [begin, begin],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          await openTestRegistry({ clock }).housekeeping.collectGarbage();
          expect([await count('tag'), await count('manifest'), await count('blob')]).toEqual([
            0, 0, 0,
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I-CRASH: may stop at any call; the next run finishes its work', async ({ expect }) => {
    const points = await crashEverywhere(async () => {
      await forgetBlobs();
      await execute('DELETE FROM tag');
      await execute('DELETE FROM manifest');
      const world = await endedTags(12);
      const { clock, repository, registry } = world;
      const living = await pushTagged(world, repository, { tagName: 'living', layers: 0 });
      return {
        operation: (gate) =>
          openTestRegistry({ ...NO_WINDOW, clock, gate }).housekeeping.collectGarbage(),
        check: async ({ callNumber, when }) => {
          const what = `stopped ${when} call ${callNumber}`;
          expect(await findViolations(), what).toEqual([]);
          await openTestRegistry({ ...NO_WINDOW, clock }).housekeeping.collectGarbage();
          await drainGraves();
          expect(await findViolations(), what).toEqual([]);
          const left = [await count('tag'), await count('manifest'), await count('blob')];
          expect(left, what).toEqual([1, 1, 1]);
          const found = await registry.lookupManifestByDigest(repository, living.manifest.digest);
          expect(found, what).not.toBeNull();
        },
      };
    });
    expect(points.length).toBeGreaterThan(10);
  });
});

/** Other repositories, whose tags are alive, as the cost must not depend on them. */
async function fill(tags: number) {
  const stage = await openStage(NO_WINDOW);
  await stage.push('v0', await stage.image({}));
  await execute(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${tags})
    INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
    SELECT t.repository_id, 'alive' || n.i, t.manifest_id, 0, 1
      FROM n CROSS JOIN (SELECT * FROM tag ORDER BY id DESC LIMIT 1) t`,
  );
}

async function costOfOneImage(layers: number) {
  const world = openTestRegistry(NO_WINDOW);
  const repository = await aRepository(world);
  const image = await anImage(world, repository, { layers });
  await pushTagged(world, repository, { tagName: 'v1', manifest: image });
  await world.registry.deleteTag(repository, 'v1');
  world.clock.advance(2 * HOUR_MS);
  const { housekeeping, meter } = openTestRegistry({ ...NO_WINDOW, clock: world.clock });
  const report = await housekeeping.collectGarbage();
  return { report, usage: meter.usage };
}

describe('what collection costs', () => {
  // What it takes to write down what was removed is in it: some 20 rows, and 9 for each layer.
  it('is 160 rows and 43 for each layer at most, however large the registry', async ({
    expect,
  }) => {
    const rows: number[][] = [];
    for (const tags of [100, 100_000]) {
      await fill(tags);
      await openTestRegistry().housekeeping.collectGarbage();
      const some: number[] = [];
      for (const layers of [1, 5]) {
        const { report, usage } = await costOfOneImage(layers);
        expect(report).toMatchObject({ tags: 1, manifests: 1, blobs: layers + 1 });
        expect(usage.d1RowsRead).toBeLessThanOrEqual(160 + 43 * layers);
        some.push(usage.d1RowsRead);
      }
      rows.push(some);
    }
    expect(rows[1]).toEqual(rows[0]);
  });

  it('with nothing to do is two round trips', async ({ expect }) => {
    await fill(1000);
    await openTestRegistry().housekeeping.collectGarbage();
    const { housekeeping, meter } = openTestRegistry();
    await housekeeping.collectGarbage();
    expect(meter.usage.d1RoundTrips).toBe(2);
    expect(meter.usage.d1RowsRead).toBeLessThanOrEqual(12);
    expect(meter.usage.d1RowsWritten).toBe(0);
  });
});
