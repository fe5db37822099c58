import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { openDatabase } from '../../src/storage/d1/database.ts';
import { IsolateMemory } from '../../src/storage/isolate-memory.ts';
import { openCache } from '../../src/storage/kv/cache.ts';
import { Meter } from '../../src/storage/meter.ts';
import { TestClock } from '../support/clock.ts';
import { pushTagged, uniqueBytes } from '../support/content.ts';
import type { Gate } from '../support/gate.ts';
import { aRepository, openTestRegistry } from '../support/registry.ts';
import { anUpload, chunkOf, nameOf } from '../support/uploads.ts';

const READS = new Set(['head', 'get']);

/** Counts beside the meter what goes through to the stores, from what they answer themselves. */
function countingGate() {
  const seen = {
    d1RoundTrips: 0,
    d1Statements: 0,
    d1RowsRead: 0,
    d1RowsWritten: 0,
    r2Writes: 0,
    r2Reads: 0,
  };
  const gate: Gate = async (call, run) => {
    const answer = await run();
    if (call.store === 'r2') {
      seen[READS.has(call.operation) ? 'r2Reads' : 'r2Writes'] += 1;
      return answer;
    }
    const results = (Array.isArray(answer) ? answer : [answer]) as D1Result[];
    seen.d1RoundTrips += 1;
    seen.d1Statements += results.length;
    for (const { meta } of results) {
      seen.d1RowsRead += meta.rows_read;
      seen.d1RowsWritten += meta.rows_written;
    }
    return answer;
  };
  return { gate, seen };
}

describe('the meter', () => {
  it('says of D1 and R2 what they say themselves', async ({ expect }) => {
    const { gate, seen } = countingGate();
    const world = openTestRegistry({ gate });
    const repository = await aRepository(world);
    await pushTagged(world, repository, { tagName: 'latest' });
    const { uploadId } = await anUpload(world, repository);
    await world.operations.appendChunk(nameOf(repository), uploadId, chunkOf(uniqueBytes()));
    await world.operations.cancelUpload(nameOf(repository), uploadId);
    await world.registry.deleteTag(repository, 'latest');

    expect(world.meter.usage).toMatchObject(seen);
    for (const [what, count] of Object.entries(seen)) {
      expect(count, what).toBeGreaterThan(0);
    }
  });

  it('counts a round trip that failed to none, and one that only asks for an answer', async ({
    expect,
  }) => {
    const meter = new Meter();
    const options = { meter, readConsistency: 'primary', bookmark: null } as const;
    await openDatabase(env.DB, options).ping();
    expect(meter.usage).toMatchObject({ d1RoundTrips: 1, d1RowsWritten: 0 });
  });

  it('counts what KV is asked, and not what it is spared', async ({ expect }) => {
    const meter = new Meter();
    const cache = openCache(env.CACHE, {
      meter,
      clock: new TestClock(),
      recentWrites: new IsolateMemory(10),
      onFailure: (error) => {
        throw error;
      },
    });
    await cache.put('key', { a: 1 }, { ttlSec: 60 });
    expect(await cache.get('key')).toEqual({ a: 1 });
    await cache.get('k'.repeat(513));
    await cache.put('k'.repeat(513), 1, { ttlSec: 60 });
    await cache.put('key', { a: 2 }, { ttlSec: 60 });
    expect(meter.usage).toMatchObject({ kvReads: 1, kvWrites: 1 });
    await cache.drop('key');
    await cache.drop('k'.repeat(513));
    expect(meter.usage).toMatchObject({ kvReads: 1, kvWrites: 2 });
  });
});
