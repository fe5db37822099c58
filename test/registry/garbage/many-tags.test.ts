import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { TOMBSTONE_GRACE_MS } from '../../../src/model/limits.ts';
import { DAY_MS, MINUTE_MS, START_MS } from '../../support/clock.ts';
import { pushTagged } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { missingOf } from '../../support/pulls.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';

const TAGS = 400;
const NO_WINDOW = { settings: { removedTagExpirationSec: 0 } };
/** What a run asks beside its budget: what an earlier one left, and the windows. */
const STATEMENTS_TO_BEGIN = 3;

/**
 * Gives a repository so many tags that ended, each of an image of its own: a body, a blob that only
 * it has, and one that all share.
 */
async function addEndedTags({ id }: { readonly id: number }, tags: number): Promise<void> {
  const counted = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${tags})`;
  const digest = `'sha256:' || printf('%064x', n.i)`;
  await execute(`INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
    ${counted} SELECT 'own-' || n.i, ${digest}, 3, 'blobs/own-' || n.i, 'r2', 0 FROM n
    UNION ALL SELECT 'shared', 'sha256:${'f'.repeat(64)}', 3, 'blobs/shared', 'r2', 0`);
  await execute(`INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
    ${counted} SELECT ${id}, ${digest}, 'x', 2, 0, '{}' FROM n`);
  await execute(`INSERT INTO manifest_blob (repository_id, manifest_id, blob_id)
    SELECT ${id}, m.id, b.id FROM manifest m JOIN blob b ON b.digest = m.digest OR b.uuid = 'shared'
    WHERE m.media_type = 'x'`);
  await execute(`INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms,
      lifetime_end_ms, is_current)
    SELECT ${id}, 'v' || m.id, m.id, 0, ${START_MS}, 0 FROM manifest m WHERE m.media_type = 'x'`);
  await execute(`UPDATE repository_gc SET earliest_end_ms = ${START_MS}
    WHERE repository_id = ${id}`);
  for (let from = 1; from <= tags; from += 50) {
    const some = Array.from({ length: Math.min(50, tags - from + 1) }, (_, at) => from + at);
    await Promise.all(some.map((at) => env.BUCKET.put(`blobs/own-${at}`, 'own')));
  }
  await env.BUCKET.put('blobs/shared', 'all');
}

describe('a repository of very many dead tags', () => {
  it('goes tick by tick, each within its limits, while pushes go on', async ({ expect }) => {
    const world = openTestRegistry(NO_WINDOW);
    const { clock, registry } = world;
    const repository = await aRepository(world);
    const kept = [await pushTagged(world, repository, { tagName: 'kept' })];
    await addEndedTags(repository, TAGS);
    clock.advance(DAY_MS);
    const limits = { statements: 200 };
    const removed = { tags: 0, manifests: 0, blobs: 0 };
    let ticks = 0;
    for (let isFinished = false; !isFinished; ticks += 1) {
      const { housekeeping, meter } = openTestRegistry({ ...NO_WINDOW, clock });
      const report = await housekeeping.collectGarbage(limits);
      ({ isFinished } = report);
      removed.tags += report.tags;
      removed.manifests += report.manifests;
      removed.blobs += report.blobs;
      expect(meter.usage.d1Statements).toBeLessThanOrEqual(limits.statements + STATEMENTS_TO_BEGIN);
      expect(report.tags).toBeGreaterThan(isFinished ? -1 : 0);
      kept.push(await pushTagged(world, repository, { tagName: `new-${ticks}` }));
      clock.advance(MINUTE_MS);
    }
    expect(ticks).toBeGreaterThan(3);
    expect(removed).toEqual({ tags: TAGS, manifests: TAGS, blobs: TAGS + 1 });
    for (const { manifest } of kept) {
      expect(await missingOf(world, repository, manifest.digest)).toEqual([]);
    }
    clock.advance(TOMBSTONE_GRACE_MS);
    const { housekeeping, meter } = openTestRegistry({ ...NO_WINDOW, clock });
    expect(await housekeeping.drainTombstones()).toMatchObject({ removed: TAGS + 1 });
    expect(meter.usage.r2Deletes).toBe(1);
    expect(await select("SELECT * FROM tag WHERE name LIKE 'v%'")).toEqual([]);
    expect(await findViolations()).toEqual([]);
    expect(await registry.getRepoTag(repository, 'kept')).not.toBeNull();
  });
});
