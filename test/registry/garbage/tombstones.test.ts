import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import {
  TOMBSTONE_BACK_OFF_MS,
  TOMBSTONE_BACK_OFF_MS_MAX,
  TOMBSTONES_PER_ROUND_MAX,
  UPLOAD_PART_BYTES,
} from '../../../src/model/limits.ts';
import { HOUR_MS, MINUTE_MS, START_MS } from '../../support/clock.ts';
import { uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { codeOf, execute, openStage, select } from '../../support/stage.ts';
import { drainGraves, forgetBlobs } from '../../support/uploads.ts';

interface Grave {
  readonly key: string;
  readonly kind?: 'key' | 'mpu' | 'prefix';
  readonly r2UploadId?: string;
  /** Relative to the start of the test's clock. */
  readonly dueInMs?: number;
}

async function dig(...graves: readonly Grave[]): Promise<void> {
  await execute(
    `INSERT INTO r2_tombstone (object_key, kind, r2_upload_id, not_before_ms, created_ms)
    SELECT value ->> 'key', coalesce(value ->> 'kind', 'key'), value ->> 'r2UploadId',
      ${START_MS} + coalesce(value ->> 'dueInMs', 0), ${START_MS} FROM json_each(?)`,
    JSON.stringify(graves),
  );
}

const keysOf = async () => (await env.BUCKET.list()).objects.map(({ key }) => key);
const graveRows = () => select('SELECT * FROM r2_tombstone ORDER BY object_key, kind');

/** Fails calls of this name to R2. */
const failing =
  (operation: string): Gate =>
  (call, run) =>
    call.store === 'r2' && call.operation === operation
      ? Promise.reject(new Error(`R2 refuses ${operation}`))
      : run();

describe('the drain of tombstones', () => {
  it('deletes what is due and nothing else, then the tombstones', async ({ expect }) => {
    const names = ['blobs/a', 'blobs/b', 'uploads/u/tail-1', 'uploads/u/tail-2', 'uploads/v/tail'];
    await Promise.all(names.map((key) => env.BUCKET.put(key, 'bytes')));
    await dig(
      { key: 'blobs/a' },
      { key: 'blobs/b', dueInMs: 1 },
      { key: 'blobs/never-written' },
      { key: 'uploads/u/', kind: 'prefix' },
      { key: 'uploads/w/', kind: 'prefix' },
    );
    const { clock, housekeeping } = openTestRegistry();
    expect(await housekeeping.drainTombstones()).toEqual({ taken: 4, removed: 4, failures: [] });
    expect(await keysOf()).toEqual(['blobs/b', 'uploads/v/tail']);
    expect((await graveRows()).map((row) => row['object_key'])).toEqual(['blobs/b']);
    clock.advance(1);
    expect(await housekeeping.drainTombstones()).toMatchObject({ taken: 1, removed: 1 });
    expect(await keysOf()).toEqual(['uploads/v/tail']);
  });

  it('asks one thing when nothing is due', async ({ expect }) => {
    await dig({ key: 'blobs/later', dueInMs: HOUR_MS });
    const { housekeeping, meter } = openTestRegistry();
    expect(await housekeeping.drainTombstones()).toEqual({ taken: 0, removed: 0, failures: [] });
    expect(meter.usage).toMatchObject({ d1RoundTrips: 1, r2Deletes: 0, r2Writes: 0 });
    expect(meter.usage.d1RowsRead).toBeLessThanOrEqual(6);
  });

  it('aborts a multipart upload before it deletes its key', async ({ expect }) => {
    const multipart = await env.BUCKET.createMultipartUpload('blobs/m');
    const part = await multipart.uploadPart(1, uniqueBytes(UPLOAD_PART_BYTES));
    const gone = await env.BUCKET.createMultipartUpload('blobs/gone');
    await gone.abort();
    await dig(
      { key: 'blobs/m' },
      { key: 'blobs/m', kind: 'mpu', r2UploadId: multipart.uploadId },
      { key: 'blobs/gone', kind: 'mpu', r2UploadId: gone.uploadId },
    );
    const asked: string[] = [];
    const { housekeeping } = openTestRegistry({
      gate: (call, run) => {
        asked.push(call.operation);
        return run();
      },
    });
    expect(await housekeeping.drainTombstones()).toMatchObject({ taken: 3, removed: 3 });
    expect(asked.indexOf('delete')).toBeGreaterThan(asked.lastIndexOf('abort'));
    await expect(multipart.complete([part])).rejects.toThrow(/10024|not exist/);
    expect(await keysOf()).toEqual([]);
  });

  it('leaves the key of a multipart upload that could not be aborted', async ({ expect }) => {
    await env.BUCKET.put('blobs/m', 'bytes');
    await env.BUCKET.put('blobs/other', 'bytes');
    const { uploadId } = await env.BUCKET.createMultipartUpload('blobs/m');
    await dig(
      { key: 'blobs/m' },
      { key: 'blobs/m', kind: 'mpu', r2UploadId: uploadId },
      { key: 'blobs/other' },
    );
    const { clock } = openTestRegistry();
    const refused = openTestRegistry({ gate: failing('abort'), clock }).housekeeping;
    const report = await refused.drainTombstones();
    expect(report).toMatchObject({ taken: 3, removed: 1 });
    expect(report.failures).toHaveLength(1);
    expect(await keysOf()).toEqual(['blobs/m']);
    await drainGraves();
    expect([await keysOf(), await graveRows()]).toEqual([[], []]);
  });

  it('scenario 64 (blobs): tries again what R2 refused, ever more rarely', async ({ expect }) => {
    await env.BUCKET.put('blobs/a', 'bytes');
    await dig({ key: 'blobs/a' });
    const { clock, housekeeping } = openTestRegistry();
    const refused = openTestRegistry({ gate: failing('delete'), clock }).housekeeping;
    const waits: number[] = [];
    for (let attempt = 0; attempt < 12; attempt += 1) {
      expect(await refused.drainTombstones()).toMatchObject({ taken: 1, removed: 0 });
      expect(await refused.drainTombstones()).toMatchObject({ taken: 0 });
      const [grave] = await graveRows();
      const waitMs = Number(grave?.['not_before_ms']) - clock.nowMs();
      waits.push(waitMs);
      clock.advance(waitMs);
    }
    expect(waits.slice(0, 4)).toEqual([1, 2, 4, 8].map((n) => n * TOMBSTONE_BACK_OFF_MS));
    expect(waits.slice(-3)).toEqual(Array.from({ length: 3 }, () => TOMBSTONE_BACK_OFF_MS_MAX));
    expect(await keysOf()).toEqual(['blobs/a']);
    await housekeeping.drainTombstones();
    expect([await keysOf(), await graveRows()]).toEqual([[], []]);
  });

  it('goes on by rounds of a thousand, with one deletion each', async ({ expect }) => {
    const count = 2 * TOMBSTONES_PER_ROUND_MAX + 1;
    await dig(...Array.from({ length: count }, (_, at) => ({ key: `blobs/${at}` })));
    const { housekeeping, meter } = openTestRegistry();
    expect(await housekeeping.drainTombstones()).toMatchObject({ taken: count, removed: count });
    expect(meter.usage).toMatchObject({ r2Deletes: 3, d1RoundTrips: 6 });
    expect(await graveRows()).toEqual([]);
  });

  it('empties a prefix that has more objects than one list shows', async ({ expect }) => {
    for (let at = 0; at < 1005; at += 201) {
      await Promise.all(
        Array.from({ length: 201 }, (_, n) => env.BUCKET.put(`uploads/u/${at + n}`, '')),
      );
    }
    await dig({ key: 'uploads/u/', kind: 'prefix' });
    await drainGraves();
    expect(await keysOf()).toEqual([]);
  });

  it('I-IDEM: two drains at once end as one does', async ({ expect }) => {
    await interleaveAll(async () => {
      await forgetBlobs();
      await env.BUCKET.put('blobs/a', 'bytes');
      await env.BUCKET.put('uploads/u/tail', 'bytes');
      await dig({ key: 'blobs/a' }, { key: 'uploads/u/', kind: 'prefix' });
      const { clock } = openTestRegistry();
      const drain = (gate: Gate) =>
        openTestRegistry({ gate, clock }).housekeeping.drainTombstones();
      return {
        racers: [drain, drain],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          expect([await keysOf(), await graveRows()], schedule).toEqual([[], []]);
        },
      };
    });
  });

  it('I-CRASH: the world may stop at any call of it', async ({ expect }) => {
    const points = await crashEverywhere(async () => {
      await forgetBlobs();
      const multipart = await env.BUCKET.createMultipartUpload('blobs/m');
      await env.BUCKET.put('blobs/a', 'bytes');
      await env.BUCKET.put('uploads/u/tail', 'bytes');
      await dig(
        { key: 'blobs/m' },
        { key: 'blobs/m', kind: 'mpu', r2UploadId: multipart.uploadId },
        { key: 'blobs/a' },
        { key: 'uploads/u/', kind: 'prefix' },
      );
      const { clock } = openTestRegistry();
      return {
        operation: (gate) => openTestRegistry({ gate, clock }).housekeeping.drainTombstones(),
        check: async ({ callNumber, when }) => {
          const what = `stopped ${when} call ${callNumber}`;
          expect(await findViolations(), what).toEqual([]);
          clock.advance(MINUTE_MS);
          await openTestRegistry({ clock }).housekeeping.drainTombstones();
          expect([await keysOf(), await graveRows()], what).toEqual([[], []]);
        },
      };
    });
    expect(points.length).toBeGreaterThanOrEqual(14);
  });
});

describe('a push of a large manifest whose batch comes late', () => {
  it('I-OWN: and the drain of what it wrote ahead: no body is lost', async ({ expect }) => {
    const stage = await openStage();
    const orders = await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image({ padding: 1_100_000 });
      const { clock } = stage;
      let isPut = false;
      const { promise: bodyPut, resolve: bodyIsPut } = Promise.withResolvers<void>();
      /** Races from when the body lies in R2 and its tombstone is due. */
      const afterPut =
        (gate: Gate): Gate =>
        async (call, run) => {
          if (isPut) {
            return gate(call, run);
          }
          const result = await run();
          if (call.operation === 'put') {
            isPut = true;
            clock.advance(2 * HOUR_MS);
            bodyIsPut();
          }
          return result;
        };
      return {
        racers: [
          (gate: Gate) => stage.push('v1', image, afterPut(gate)),
          async (gate: Gate) => {
            await bodyPut;
            return openTestRegistry({ gate, clock }).housekeeping.drainTombstones();
          },
        ],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(codeOf), schedule).toEqual([null, null]);
          expect(await stage.names(), schedule).toEqual(['v1']);
          await drainGraves();
          expect(await findViolations(), schedule).toEqual([]);
          expect(await graveRows(), schedule).toEqual([]);
        },
      };
    });
    expect(orders).toBeGreaterThan(3);
  });
});
