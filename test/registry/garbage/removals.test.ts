import { describe, it } from 'vitest';

import {
  REMOVAL_KEPT_MS,
  REMOVAL_PAGE_SIZE_MAX,
  REMOVALS_PER_PRUNE_MAX,
} from '../../../src/model/limits.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import type { Housekeeping } from '../../../src/registry/index.ts';
import { HOUR_MS, SECOND_MS, START_MS } from '../../support/clock.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, openStage, select } from '../../support/stage.ts';
import { tagNamed } from '../../support/time-travel.ts';

const NO_WINDOW = { settings: { removedTagExpirationSec: 0 } };

/** Records of so many removals, a second apart; the last is the youngest. */
async function recordRemovals({ id }: RepositoryRef, count: number, lastMs: number = START_MS) {
  await execute(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
    INSERT INTO gc_removal (removed_ms, kind, reason, repository_id, digest, tag_name, ended_ms)
    SELECT ?3 - (?2 - i) * 1000, 'tag', 'window_passed', ?1, 'sha256:' || (i % 3), 't' || (i % 5), 0
    FROM n`,
    id,
    count,
    lastMs,
  );
}

describe('listRemovals', () => {
  it('tells what a repository lost, when and why, the last first', async ({ expect }) => {
    const stage = await openStage(NO_WINDOW);
    const { registry, repository, clock, housekeeping, operations } = stage;
    const app = await stage.image();
    await stage.push('v1', app);
    await registry.deleteTag(repository, 'v1');
    const endedMs = clock.nowMs();
    await registry.createManifestWithTempTag(repository, app, 60);
    clock.advance(HOUR_MS);
    await housekeeping.collectRepository(repository.id);
    const common = { removedMs: clock.nowMs(), digest: app.digest };
    expect(await operations.listRemovals(repository)).toEqual({
      items: [
        {
          ...common,
          kind: 'manifest',
          reason: 'unreferenced',
          sizeBytes: app.bytes.byteLength,
          tagName: null,
          endedMs: null,
        },
        {
          ...common,
          kind: 'tag',
          reason: 'window_passed',
          sizeBytes: null,
          tagName: 'v1',
          endedMs,
        },
      ],
      hasMore: false,
    });
  });

  it('finds one name, one digest, or both, and nothing of other repositories', async ({
    expect,
  }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    const other = await aRepository(world);
    await recordRemovals(repository, 30);
    await recordRemovals(other, 15);
    const { operations } = world;
    const count = async (filter: object) =>
      (await operations.listRemovals(repository, filter)).items.length;
    const digest = 'sha256:1';
    expect(await count({})).toBe(30);
    expect(await count({ tagName: tagNamed('t1') })).toBe(6);
    expect(await count({ digest })).toBe(10);
    expect(await count({ digest, tagName: tagNamed('t1') })).toBe(2);
    expect(await count({ tagName: tagNamed('t9') })).toBe(0);
    await execute('UPDATE repository SET state = 3 WHERE id = ?', repository.id);
    expect(await count({})).toBe(0);
  });

  it('gives every removal once, page by page, also those that came meanwhile or not', async ({
    expect,
  }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    await recordRemovals(repository, 25);
    const names: (string | null)[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof world.operations.listRemovals>> =
        await world.operations.listRemovals(repository, { cursor, limit: 7 });
      names.push(...page.items.map(({ tagName }) => tagName));
      cursor = page.cursor ?? null;
      await recordRemovals(repository, 1);
    } while (cursor !== null);
    expect(names).toEqual(Array.from({ length: 25 }, (_, at) => `t${(25 - at) % 5}`));
  });

  it('refuses a cursor that is none, and reads no more than a page', async ({ expect }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    const { operations, meter } = world;
    for (const cursor of ['', 'x', '1-2', '-1']) {
      await expect(operations.listRemovals(repository, { cursor })).rejects.toMatchObject({
        code: 'InvalidFilter',
      });
    }
    await expect(operations.listRemovals(repository, { limit: 0 })).rejects.toThrow(RangeError);
    await recordRemovals(repository, REMOVAL_PAGE_SIZE_MAX + 50);
    const filters = [{ limit: 10 }, { limit: 10, tagName: tagNamed('t1') }];
    for (const filter of [...filters, { limit: 10, digest: 'sha256:1' }]) {
      const before = { ...meter.usage };
      await operations.listRemovals(repository, filter as object);
      expect(meter.usage.d1RoundTrips - before.d1RoundTrips).toBe(1);
      expect(meter.usage.d1RowsRead - before.d1RowsRead).toBeLessThanOrEqual(2 * 11 + 2);
    }
    const most = await operations.listRemovals(repository, { limit: 5000 });
    expect(most.items).toHaveLength(REMOVAL_PAGE_SIZE_MAX);
  });
});

async function forgotten(housekeeping: Housekeeping): Promise<number> {
  return (await housekeeping.forgetOldRecords()).removals;
}

describe('forgetOldRecords', () => {
  it('forgets what is 90 days old, to the millisecond', async ({ expect }) => {
    const { clock, housekeeping, ...world } = openTestRegistry();
    const repository = await aRepository(world);
    await recordRemovals(repository, 10);
    clock.set(START_MS + REMOVAL_KEPT_MS - 4 * SECOND_MS - 1);
    expect(await forgotten(housekeeping)).toBe(5);
    clock.advance(1);
    expect(await forgotten(housekeeping)).toBe(1);
    const [oldest] = await select('SELECT min(removed_ms) AS ms FROM gc_removal');
    expect(oldest?.['ms']).toBe(START_MS - 3 * SECOND_MS);
  });

  it('takes so many a run, and the next goes on; with nothing to do it reads 16 rows', async ({
    expect,
  }) => {
    const { housekeeping, meter, ...world } = openTestRegistry();
    const repository = await aRepository(world);
    await recordRemovals(repository, REMOVALS_PER_PRUNE_MAX + 7, START_MS - REMOVAL_KEPT_MS);
    await recordRemovals(repository, 1000);
    expect(await forgotten(housekeeping)).toBe(REMOVALS_PER_PRUNE_MAX);
    expect(await forgotten(housekeeping)).toBe(7);
    const before = { ...meter.usage };
    expect(await forgotten(housekeeping)).toBe(0);
    expect(meter.usage.d1RowsRead - before.d1RowsRead).toBeLessThanOrEqual(16);
    expect(meter.usage.d1RowsWritten - before.d1RowsWritten).toBe(0);
    expect(await select('SELECT count(*) AS n FROM gc_removal')).toEqual([{ n: 1000 }]);
  });
});
