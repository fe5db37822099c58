import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { UPLOAD_PART_BYTES } from '../../../src/model/limits.ts';
import { uniqueBytes } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  concat,
  isStored,
  nameOf,
  objectAt,
  rowsOf,
} from '../../support/uploads.ts';

const PART = UPLOAD_PART_BYTES;
/** The bytes of every test here; drawing them anew would be most of the time. */
const BYTES = uniqueBytes(2 * PART + 1);

/** The bucket; for each part that it is given, how many earlier ones are still in memory. */
function watched(bucket: R2Bucket, held: number[]): R2Bucket {
  const given: Bytes[] = [];
  return replacing(bucket, {
    resumeMultipartUpload(key, uploadId) {
      const upload = bucket.resumeMultipartUpload(key, uploadId);
      return replacing(upload, {
        uploadPart(number: number, bytes: Bytes) {
          held.push(given.filter(({ byteLength }) => byteLength > 0).length);
          given.push(bytes);
          return upload.uploadPart(number, bytes);
        },
      });
    },
  });
}

/** The same object with some methods of ours. */
function replacing<Target extends object>(target: Target, methods: Partial<Target>): Target {
  return new Proxy(target, {
    get(_target, name) {
      const member: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name, target);
      return typeof member === 'function'
        ? (...parameters: unknown[]): unknown => Reflect.apply(member, target, parameters)
        : member;
    },
  });
}

/** R2 puts parts together from 5 MiB on, so these are as small as multipart uploads come. */
describe('blobs of several parts', () => {
  const cuts: readonly (readonly number[])[] = [
    [PART - 1],
    [PART],
    [PART + 1],
    [PART - 1, 1],
    [PART - 3, 4, PART],
    [2 * PART],
    [PART, PART],
    [100, 2 * PART - 100, 1],
  ];
  for (const sizes of cuts) {
    it(`is whole after chunks of ${sizes.join(', ')} bytes`, async ({ expect }) => {
      const world = openTestRegistry();
      const repository = await aRepository(world);
      const name = nameOf(repository);
      const { uploadId } = await anUpload(world, repository);
      let at = 0;
      for (const size of sizes) {
        await world.operations.appendChunk(name, uploadId, chunkOf(BYTES.slice(at, at + size), at));
        at += size;
      }
      expect(await findViolations()).toEqual([]);
      const whole = BYTES.slice(0, at);
      const algorithm = sizes.length === 2 ? 'sha512' : 'sha256';
      const digest = await computeDigest(algorithm, whole);

      const blob = await world.operations.finishUpload(name, uploadId, closingAs(digest));

      expect(blob).toMatchObject({ digest, compressedSize: at });
      const stored = await objectAt(blob?.objectKey ?? '');
      expect(stored && (await computeDigest(algorithm, stored))).toBe(digest);
      expect(await rowsOf('SELECT * FROM blob_upload_part')).toEqual([]);
      expect(await findViolations()).toEqual([]);
    });
  }

  it('are out of memory as soon as R2 has them, in however long a body', async ({ expect }) => {
    const held: number[] = [];
    const world = openTestRegistry({ bindings: { ...env, BUCKET: watched(env.BUCKET, held) } });
    const repository = await aRepository(world);
    const name = nameOf(repository);
    const { uploadId } = await anUpload(world, repository);
    const whole = concat(BYTES, BYTES);

    await world.operations.appendChunk(name, uploadId, chunkOf(whole));

    expect(held).toEqual([0, 0, 0, 0]);
    const digest = await computeDigest('sha256', whole);
    const blob = await world.operations.finishUpload(name, uploadId, closingAs(digest));
    expect(await isStored(blob, whole)).toBe(true);
  });

  it('I-DIGEST: under a wrong digest nothing of them stays', async ({ expect }) => {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const world = openTestRegistry();
      const repository = await aRepository(world);
      const name = nameOf(repository);
      const { uploadId } = await anUpload(world, repository);
      await world.operations.appendChunk(name, uploadId, chunkOf(BYTES.slice(0, PART + 7)));
      const wrong = await computeDigest(algorithm, BYTES);
      await expect(
        world.operations.finishUpload(name, uploadId, closingAs(wrong)),
      ).rejects.toMatchObject({ code: 'DigestMismatch' });
      expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
      expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
      expect(await findViolations()).toEqual([]);
    }
  });
});
