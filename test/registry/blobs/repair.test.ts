import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { pushBlob, uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  closingWith,
  drainGraves,
  forgetBlobs,
  graves,
  isStored,
  nameOf,
  rowsOf,
} from '../../support/uploads.ts';

const BYTES = uniqueBytes(100);

/** A blob whose object is gone, or has other bytes of another length. */
async function aLostBlob(object: 'missing' | 'truncated' = 'missing') {
  await forgetBlobs();
  const world = openTestRegistry();
  const repository = await aRepository(world);
  const blob = await pushBlob(world, repository, BYTES);
  await (object === 'missing'
    ? env.BUCKET.delete(blob.objectKey)
    : env.BUCKET.put(blob.objectKey, BYTES.slice(1)));
  const name = nameOf(repository);
  const over = (gate?: Gate) =>
    gate === undefined
      ? world.operations
      : openTestRegistry({ gate, clock: world.clock }).operations;
  const { digest } = blob;
  return {
    world,
    repository,
    blob,
    seen: () => world.registry.getRepoBlobByDigest(repository, digest),
    pushWhole: (gate?: Gate) => over(gate).uploadWhole(name, closingWith(digest, BYTES)),
    pushChunk: async (gate?: Gate) => {
      const { uploadId } = await anUpload(world, repository);
      await world.operations.appendChunk(name, uploadId, chunkOf(BYTES));
      return over(gate).finishUpload(name, uploadId, closingAs(digest));
    },
    pushInto: (other: typeof repository, gate?: Gate) =>
      over(gate).uploadWhole(nameOf(other), closingWith(digest, BYTES)),
  };
}

/** R2 cannot say whether an object is there. */
const withoutHeads: Gate = async (call, run) => {
  if (call.operation === 'head') {
    throw new Error('We encountered an internal error. (10001)');
  }
  return run();
};

describe('a blob whose object is lost', () => {
  for (const object of ['missing', 'truncated'] as const) {
    for (const way of ['pushWhole', 'pushChunk'] as const) {
      it(`scenario 69 (blobs): is repaired by ${way} where it is ${object}`, async ({ expect }) => {
        const lost = await aLostBlob(object);
        const pushed = await lost[way]();
        expect(pushed).toMatchObject({ uuid: lost.blob.uuid, digest: lost.blob.digest });
        expect(pushed?.objectKey).not.toBe(lost.blob.objectKey);
        expect(await isStored(pushed, BYTES)).toBe(true);
        expect(await lost.seen()).toMatchObject({ objectKey: pushed?.objectKey });
        expect(await rowsOf('SELECT * FROM blob')).toHaveLength(1);
        expect(await graves()).toContain(`key ${lost.blob.objectKey}`);
        expect(await findViolations()).toEqual([]);
        await drainGraves();
        expect(await findViolations()).toEqual([]);
      });
    }
  }

  it('is repaired by a push into another repository too', async ({ expect }) => {
    const lost = await aLostBlob();
    const other = await aRepository(lost.world);
    expect(await lost.pushInto(other)).toMatchObject({ uuid: lost.blob.uuid });
    expect(await isStored(await lost.seen(), BYTES)).toBe(true);
    expect(await findViolations()).toEqual([]);
  });

  it('takes its length from the object that repairs it', async ({ expect }) => {
    const lost = await aLostBlob();
    await rowsOf('UPDATE blob SET size_bytes = 7');
    expect(await lost.pushWhole()).toMatchObject({ compressedSize: 100 });
    expect(await findViolations()).toEqual([]);
  });

  it('is not given up for one that R2 fails to tell of', async ({ expect }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    const blob = await pushBlob(world, repository, BYTES);
    const { operations } = openTestRegistry({ gate: withoutHeads, clock: world.clock });
    await expect(
      operations.uploadWhole(nameOf(repository), closingWith(blob.digest, BYTES)),
    ).rejects.toThrow('10001');
    expect(await world.registry.getRepoBlobByDigest(repository, blob.digest)).toMatchObject({
      objectKey: blob.objectKey,
    });
    expect(await graves()).not.toContain(`key ${blob.objectKey}`);
    await drainGraves();
    expect(await findViolations()).toEqual([]);
  });

  it('is repaired once by two pushes at a time', async ({ expect }) => {
    await interleaveAll(async () => {
      const lost = await aLostBlob();
      return {
        racers: [(gate) => lost.pushWhole(gate), (gate) => lost.pushWhole(gate)],
        check: async ([one, other], schedule) => {
          expect(one.status, schedule).toBe('fulfilled');
          expect(one, schedule).toEqual(other);
          expect(await findViolations(), schedule).toEqual([]);
          await drainGraves();
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I-CRASH: is repaired by a retry after the world stopped at any call', async ({ expect }) => {
    const points = await crashEverywhere(async () => {
      const lost = await aLostBlob();
      return {
        operation: (gate) => lost.pushWhole(gate),
        check: async ({ callNumber, when }) => {
          const what = `stopped ${when} call ${callNumber}`;
          expect(await lost.pushWhole(), what).toMatchObject({ uuid: lost.blob.uuid });
          expect(await findViolations(), what).toEqual([]);
          await drainGraves();
          expect(await findViolations(), what).toEqual([]);
        },
      };
    });
    expect(points.length).toBeGreaterThan(6);
  });

  it('under another algorithm is another blob', async ({ expect }) => {
    const lost = await aLostBlob();
    const digest = await computeDigest('sha512', BYTES);
    const name = nameOf(lost.repository);
    const other = await lost.world.operations.uploadWhole(name, closingWith(digest, BYTES));
    expect(other?.uuid).not.toBe(lost.blob.uuid);
    expect(await isStored(other, BYTES)).toBe(true);
    expect(await lost.seen()).toMatchObject({ objectKey: lost.blob.objectKey });
  });
});
