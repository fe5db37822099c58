import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  closingWith,
  drainGraves,
  graves,
  nameOf,
  objectAt,
  rowsOf,
} from '../../support/uploads.ts';

const ALGORITHMS = ['sha256', 'sha512'] as const;

async function aWorld(options: Parameters<typeof openTestRegistry>[0] = {}) {
  const world = openTestRegistry(options);
  const repository = await aRepository(world);
  return { ...world, world, repository, name: nameOf(repository) };
}

type World = Awaited<ReturnType<typeof aWorld>>;
type Close = (world: World, bytes: Uint8Array<ArrayBuffer>, digest: string) => Promise<unknown>;

/** Every way in which bytes become a blob. */
const WAYS: readonly (readonly [string, Close])[] = [
  [
    'one request',
    ({ operations, name }, bytes, digest) =>
      operations.uploadWhole(name, { ...closingWith(digest as never, bytes) }),
  ],
  [
    'an upload closed by its only body',
    async ({ operations, name, world, repository }, bytes, digest) => {
      const { uploadId } = await anUpload(world, repository);
      return operations.finishUpload(name, uploadId, closingWith(digest as never, bytes));
    },
  ],
  [
    'an upload closed by its only body at offset 0',
    async ({ operations, name, world, repository }, bytes, digest) => {
      const { uploadId } = await anUpload(world, repository);
      return operations.finishUpload(name, uploadId, closingWith(digest as never, bytes, 0));
    },
  ],
  [
    'an upload closed by its only body of unknown length',
    async ({ operations, name, world, repository }, bytes, digest) => {
      const { uploadId } = await anUpload(world, repository);
      const closing = { ...closingWith(digest as never, bytes), length: null };
      return operations.finishUpload(name, uploadId, closing);
    },
  ],
  [
    'one chunk, closed without a body',
    async ({ operations, name, world, repository }, bytes, digest) => {
      const { uploadId } = await anUpload(world, repository);
      await operations.appendChunk(name, uploadId, chunkOf(bytes));
      return operations.finishUpload(name, uploadId, closingAs(digest as never));
    },
  ],
  [
    'one chunk, closed by an empty body',
    async ({ operations, name, world, repository }, bytes, digest) => {
      const { uploadId } = await anUpload(world, repository);
      await operations.appendChunk(name, uploadId, chunkOf(bytes));
      const closing = closingWith(digest as never, new Uint8Array());
      return operations.finishUpload(name, uploadId, closing);
    },
  ],
  [
    'a chunk and a last body',
    async ({ operations, name, world, repository }, bytes, digest) => {
      const { uploadId } = await anUpload(world, repository);
      const half = bytes.byteLength >> 1;
      await operations.appendChunk(name, uploadId, chunkOf(bytes.slice(0, half)));
      const closing = closingWith(digest as never, bytes.slice(half), half);
      return operations.finishUpload(name, uploadId, closing);
    },
  ],
];

describe.for(WAYS)('a blob by %s', ([, close]) => {
  it('is stored under either digest, also when it is empty, and leaves only graves', async ({
    expect,
  }) => {
    const world = await aWorld();
    for (const algorithm of ALGORITHMS) {
      for (const bytes of [uniqueBytes(100), new Uint8Array()]) {
        const digest = await computeDigest(algorithm, bytes);
        const blob = await close(world, bytes, digest);
        expect(blob).toMatchObject({ digest, compressedSize: bytes.byteLength });
        expect(blob).toMatchObject({ uncompressedSize: null });
        const key = (blob as { objectKey: string }).objectKey;
        expect(await objectAt(key)).toEqual(bytes);
        expect(await world.registry.getRepoBlobByDigest(world.repository, digest)).not.toBeNull();
      }
    }
    expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
    expect(await findViolations()).toEqual([]);
    await drainGraves();
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 27 (blobs): I-DIGEST: is refused under a wrong digest, and all of it buried', async ({
    expect,
  }) => {
    for (const algorithm of ALGORITHMS) {
      const world = await aWorld();
      const bytes = uniqueBytes(100);
      const wrong = await computeDigest(algorithm, uniqueBytes(100));
      await expect(close(world, bytes, wrong)).rejects.toMatchObject({ code: 'DigestMismatch' });
      expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
      expect(await rowsOf('SELECT * FROM uploaded_blob')).toEqual([]);
      expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
      expect(await findViolations()).toEqual([]);
      expect((await graves()).map((grave) => grave.split(/[ /]/)[0])).toEqual(
        expect.arrayContaining(['key', 'prefix']),
      );
    }
  });
});

describe('the last bytes of an upload without a full part', () => {
  it('I-DIGEST: are checked by R2 too, so that a tail that rotted becomes no blob', async ({
    expect,
  }) => {
    for (const algorithm of ALGORITHMS) {
      const { operations, name, world, repository } = await aWorld();
      const bytes = uniqueBytes(100);
      const { uploadId } = await anUpload(world, repository);
      await operations.appendChunk(name, uploadId, chunkOf(bytes));
      const [row] = await rowsOf('SELECT tail_key FROM blob_upload');
      await env.BUCKET.put(String(row?.['tail_key']), uniqueBytes(100));
      const closing = closingAs(await computeDigest(algorithm, bytes));
      await expect(operations.finishUpload(name, uploadId, closing)).rejects.toMatchObject({
        code: 'DigestMismatch',
      });
      expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
      expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
      expect(await findViolations()).toEqual([]);
    }
  });

  it('are not read back, whichever the digest', async ({ expect }) => {
    const { repository, name, world } = await aWorld();
    for (const algorithm of ALGORITHMS) {
      const bytes = uniqueBytes(100);
      const { uploadId } = await anUpload(world, repository);
      await world.operations.appendChunk(name, uploadId, chunkOf(bytes));
      const { operations, meter } = openTestRegistry();
      const closing = closingAs(await computeDigest(algorithm, bytes));
      expect(await operations.finishUpload(name, uploadId, closing)).not.toBeNull();
      expect(meter.usage).toMatchObject({ r2Reads: 1, r2Writes: 1, d1RoundTrips: 2 });
    }
  });
});

describe('the size limit', () => {
  const settings = { maxBlobBytes: 1024 };

  it('scenario 20 (blobs): a body that announces too much is refused, the upload gone', async ({
    expect,
  }) => {
    const world = await aWorld({ settings });
    for (const [, close] of WAYS) {
      const bytes = uniqueBytes(2200);
      const digest = await computeDigest('sha256', bytes);
      await expect(close(world, bytes, digest)).rejects.toMatchObject({
        code: 'BlobTooLarge',
        detail: { maxBytes: 1024 },
      });
      expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
      expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
      expect(await findViolations()).toEqual([]);
    }
  });

  it('is met exactly by a blob of that size, however it comes', async ({ expect }) => {
    const world = await aWorld({ settings });
    for (const [, close] of WAYS) {
      const bytes = uniqueBytes(1024);
      const digest = await computeDigest('sha256', bytes);
      expect(await close(world, bytes, digest)).toMatchObject({ compressedSize: 1024 });
    }
  });

  it('holds for the sum of the chunks', async ({ expect }) => {
    const { operations, world, repository, name } = await aWorld({ settings });
    for (const length of [100, null]) {
      const { uploadId } = await anUpload(world, repository);
      await operations.appendChunk(name, uploadId, chunkOf(uniqueBytes(1000)));
      await expect(
        operations.appendChunk(name, uploadId, { ...chunkOf(uniqueBytes(100)), length }),
      ).rejects.toMatchObject({ code: 'BlobTooLarge', detail: { uploadedBytes: 1100 } });
      expect(await operations.uploadStatus(name, uploadId)).toBeNull();
    }
    expect(await findViolations()).toEqual([]);
  });
});

describe('a closing body', () => {
  it('that does not begin at the next byte is refused and the upload lives on', async ({
    expect,
  }) => {
    const { operations, world, repository, name } = await aWorld();
    const { uploadId } = await anUpload(world, repository);
    const bytes = uniqueBytes(90);
    const digest = await computeDigest('sha256', bytes);
    const finish = (from: number, offset: number | null) =>
      operations.finishUpload(name, uploadId, closingWith(digest, bytes.slice(from), offset));

    await expect(finish(0, 3)).rejects.toMatchObject({ detail: { expectedOffset: 0 } });
    await operations.appendChunk(name, uploadId, chunkOf(bytes.slice(0, 50)));
    for (const offset of [0, 49, 51]) {
      await expect(finish(50, offset)).rejects.toMatchObject({
        code: 'UploadRange',
        detail: { expectedOffset: 50 },
      });
    }
    expect(await finish(50, 50)).toMatchObject({ digest, compressedSize: 90 });
    expect(await findViolations()).toEqual([]);
  });

  it('whose length is not the announced one is refused, and leaves no blob', async ({ expect }) => {
    const { operations, world, repository, name } = await aWorld();
    for (const [size, length] of [
      [100, 50],
      [100, 150],
      [100, 0],
      [1_000_000, 999_999],
      [1_000_000, 1_000_001],
    ] as const) {
      const bytes = uniqueBytes(size);
      const closing = () => ({ ...chunkOf(bytes), length });
      const digest = await computeDigest('sha256', bytes);
      const { uploadId } = await anUpload(world, repository);
      for (const ending of [
        operations.finishUpload(name, uploadId, { digest, ...closing() }),
        operations.uploadWhole(name, { digest, ...closing() }),
      ]) {
        await expect(ending, `${size} bytes for ${length}`).rejects.toMatchObject({
          code: 'BodyLength',
          detail: { expectedBytes: length },
        });
      }
      expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
      expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
      expect(await findViolations()).toEqual([]);
    }
  });

  it('is not waited for once R2 has refused it', async ({ expect }) => {
    const { clock, repository, name, world } = await aWorld();
    const { operations } = openTestRegistry({ gate: withoutPuts, clock });
    for (const size of [1, 1_000_000]) {
      const bytes = uniqueBytes(size);
      const digest = await computeDigest('sha256', bytes);
      const { uploadId } = await anUpload(world, repository);
      await expect(
        operations.finishUpload(name, uploadId, closingWith(digest, bytes)),
      ).rejects.toThrow('10001');
      expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
    }
    expect(await findViolations()).toEqual([]);
  });
});

/** R2 takes nothing, and reads nothing of it. */
const withoutPuts: Gate = async (call, run) => {
  if (call.operation === 'put') {
    throw new Error('put: We encountered an internal error. (10001)');
  }
  return run();
};

describe('where there is nothing to write to', () => {
  it('scenario 28 (blobs): I-SCOPE: an upload is not reached through another repository', async ({
    expect,
  }) => {
    const { operations, registry, world, repository, name } = await aWorld();
    const other = await aRepository(world);
    const otherName = nameOf(other);
    const { uploadId } = await anUpload(world, repository);
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);

    expect(await registry.lookupBlobUpload(other, uploadId)).toBeNull();
    expect(await operations.uploadStatus(otherName, uploadId)).toBeNull();
    expect(await operations.appendChunk(otherName, uploadId, chunkOf(bytes))).toBeNull();
    for (const closing of [closingAs(digest), closingWith(digest, bytes)]) {
      expect(await operations.finishUpload(otherName, uploadId, closing)).toBeNull();
    }
    expect(await operations.cancelUpload(otherName, uploadId)).toBe(false);
    expect(await operations.uploadStatus(name, uploadId)).toMatchObject({ version: 0 });
  });

  it('gives null for an upload or a repository that is not there', async ({ expect }) => {
    const { operations, name } = await aWorld();
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);
    const nobody = { ...name, repository: 'nobody' } as typeof name;
    expect(await operations.startUpload(nobody)).toBeNull();
    expect(await operations.uploadWhole(nobody, closingWith(digest, bytes))).toBeNull();
    expect(await operations.appendChunk(name, 'no-such-upload', chunkOf(bytes))).toBeNull();
    expect(await operations.finishUpload(name, 'no-such-upload', closingAs(digest))).toBeNull();
    expect(await operations.cancelUpload(name, 'no-such-upload')).toBe(false);
  });

  it('I-FROZEN: a repository that is being deleted gains no upload and no blob', async ({
    expect,
  }) => {
    const { operations, registry, world, repository, name } = await aWorld();
    const { uploadId } = await anUpload(world, repository);
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);
    await rowsOf('UPDATE repository SET state = 3 WHERE id = ?', repository.id);

    expect(await operations.startUpload(name)).toBeNull();
    expect(await registry.createBlobUpload(repository, 'one', 'r2', {})).toBeNull();
    expect(await operations.uploadWhole(name, closingWith(digest, bytes))).toBeNull();
    expect(await operations.appendChunk(name, uploadId, chunkOf(bytes))).toBeNull();
    expect(await operations.finishUpload(name, uploadId, closingWith(digest, bytes))).toBeNull();
    expect(await rowsOf('SELECT * FROM uploaded_blob')).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });
});

describe('cancelling', () => {
  it('scenario 21 (blobs): forgets the upload and buries what it has', async ({ expect }) => {
    const { operations, registry, world, repository, name } = await aWorld();
    const { uploadId } = await anUpload(world, repository);
    await rowsOf('UPDATE blob_upload SET part_size = 40');
    await operations.appendChunk(name, uploadId, chunkOf(uniqueBytes(100)));
    const [row] = await rowsOf('SELECT * FROM blob_upload');

    expect(await operations.cancelUpload(name, uploadId)).toBe(true);
    expect(await operations.cancelUpload(name, uploadId)).toBe(false);

    expect(await registry.lookupBlobUpload(repository, uploadId)).toBeNull();
    expect(await operations.uploadStatus(name, uploadId)).toBeNull();
    expect(await graves()).toEqual([
      `key ${row?.['object_key']}`,
      `mpu ${row?.['object_key']}`,
      `prefix uploads/${uploadId}/`,
    ]);
    expect(await rowsOf('SELECT * FROM blob_upload_part')).toEqual([]);
    expect(await findViolations()).toEqual([]);
    await drainGraves();
    expect(await findViolations()).toEqual([]);
  });
});
