import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { RunningHash } from '../../../src/registry/uploads/running-hash.ts';
import { streamOf, uniqueBytes } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  concat,
  nameOf,
  objectAt,
  rowsOf,
} from '../../support/uploads.ts';

/** A body that gives some bytes and then breaks. */
function brokenBody(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let pulls = 0;
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      pulls += 1;
      if (pulls === 1) {
        controller.enqueue(bytes);
      } else {
        controller.error(new Error('the client went away'));
      }
    },
  });
}

/** A body whose reads come in pieces of these sizes. */
function bodyInPieces(bytes: Uint8Array, pieceBytes: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      if (at >= bytes.byteLength) {
        controller.close();
        controller.byobRequest?.respond(0);
        return;
      }
      controller.enqueue(bytes.slice(at, at + pieceBytes));
      at += pieceBytes;
    },
  });
}

describe('appending chunks', () => {
  for (const count of [0, 1, 2, 10]) {
    it(`scenario 17 (blobs): ${count} chunks of 100 bytes become the blob of all of them`, async ({
      expect,
    }) => {
      const world = openTestRegistry();
      const repository = await aRepository(world);
      const name = nameOf(repository);
      const { uploadId } = await anUpload(world, repository);
      const chunks = Array.from({ length: count }, () => uniqueBytes(100));
      let received = 0;
      for (const chunk of chunks) {
        received += chunk.byteLength;
        const after = await world.operations.appendChunk(name, uploadId, chunkOf(chunk));
        expect(after).toMatchObject({ byteCount: received, state: 'open' });
        expect(after).not.toHaveProperty('claimToken');
      }
      const whole = concat(...chunks);
      const digest = await computeDigest('sha256', whole);

      const blob = await world.operations.finishUpload(name, uploadId, closingAs(digest));

      expect(blob).toMatchObject({ digest, compressedSize: 100 * count });
      expect(await objectAt(blob?.objectKey ?? '')).toEqual(whole);
      expect(await findViolations()).toEqual([]);
    });
  }

  it('scenario 18 (blobs): takes a chunk at the next byte, refuses one after a gap and goes on', async ({
    expect,
  }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    const name = nameOf(repository);
    const { uploadId } = await anUpload(world, repository);
    const append = (offset: number) =>
      world.operations.appendChunk(name, uploadId, chunkOf(uniqueBytes(100), offset));

    expect(await append(0)).toMatchObject({ byteCount: 100 });
    for (const offset of [0, 50, 99, 101, 200]) {
      await expect(append(offset)).rejects.toMatchObject({
        code: 'UploadRange',
        detail: { uploadId, expectedOffset: 100 },
      });
    }
    expect(await append(100)).toMatchObject({ byteCount: 200 });
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 19 (blobs): refuses a first chunk that does not begin at byte 0', async ({
    expect,
  }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    const { uploadId } = await anUpload(world, repository);

    await expect(
      world.operations.appendChunk(nameOf(repository), uploadId, chunkOf(uniqueBytes(5), 10)),
    ).rejects.toMatchObject({ code: 'UploadRange', detail: { expectedOffset: 0 } });
    expect(await world.operations.uploadStatus(nameOf(repository), uploadId)).toMatchObject({
      byteCount: 0,
      state: 'open',
    });
  });

  it('an empty chunk changes nothing but the number of chunks', async ({ expect }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    const name = nameOf(repository);
    const { uploadId } = await anUpload(world, repository);
    const bytes = uniqueBytes(70);
    const before = await world.operations.appendChunk(name, uploadId, chunkOf(bytes));

    const after = await world.operations.appendChunk(name, uploadId, chunkOf(new Uint8Array(), 70));

    expect(after).toMatchObject({ byteCount: 70, shaState: before?.shaState });
    expect(await findViolations()).toEqual([]);
    const blob = await world.operations.finishUpload(
      name,
      uploadId,
      closingAs(await computeDigest('sha256', bytes)),
    );
    expect(await objectAt(blob?.objectKey ?? '')).toEqual(bytes);
  });

  it('takes a body of unknown length, however its reads are cut', async ({ expect }) => {
    const world = openTestRegistry();
    const repository = await aRepository(world);
    const name = nameOf(repository);
    for (const pieceBytes of [1, 63, 64, 65, 1000]) {
      const { uploadId } = await anUpload(world, repository);
      const bytes = uniqueBytes(257);
      const body = bodyInPieces(bytes, pieceBytes);
      await world.operations.appendChunk(name, uploadId, { body, offset: null, length: null });
      const digest = await computeDigest('sha256', bytes);
      const blob = await world.operations.finishUpload(name, uploadId, closingAs(digest));
      expect(await objectAt(blob?.objectKey ?? '')).toEqual(bytes);
    }
    expect(await findViolations()).toEqual([]);
  });
});

describe('a chunk that fails', () => {
  const failures = [
    ['is shorter than announced', (bytes: Uint8Array<ArrayBuffer>) => streamOf(bytes), 300],
    ['is longer than announced', (bytes: Uint8Array<ArrayBuffer>) => streamOf(bytes), 100],
    ['breaks in the middle', brokenBody, 400],
    ['breaks and had no announced length', brokenBody, null],
  ] as const;
  for (const [what, bodyOf, length] of failures) {
    it(`I-COUNT: leaves the upload as it was when its body ${what}, and frees it`, async ({
      expect,
    }) => {
      const world = openTestRegistry();
      const repository = await aRepository(world);
      const name = nameOf(repository);
      const { uploadId } = await anUpload(world, repository);
      const first = uniqueBytes(150);
      const before = await world.operations.appendChunk(name, uploadId, chunkOf(first));

      await expect(
        world.operations.appendChunk(name, uploadId, {
          body: bodyOf(uniqueBytes(200)),
          offset: 150,
          length,
        }),
      ).rejects.toThrow(what.startsWith('is') ? 'were announced' : 'the client went away');

      const { version: _version, ...rest } = before ?? { version: 0 };
      expect(await world.operations.uploadStatus(name, uploadId)).toMatchObject(rest);
      expect(await findViolations()).toEqual([]);
      const again = uniqueBytes(40);
      await world.operations.appendChunk(name, uploadId, chunkOf(again, 150));
      const digest = await computeDigest('sha256', concat(first, again));
      const blob = await world.operations.finishUpload(name, uploadId, closingAs(digest));
      expect(await objectAt(blob?.objectKey ?? '')).toEqual(concat(first, again));
      expect(await findViolations()).toEqual([]);
    });
  }
});

describe('cutting into parts', () => {
  const PART = 128;

  /** Every body of `sizes` after the other; the row and its tail must cover exactly all of it. */
  const cuts: readonly (readonly number[])[] = [
    [0],
    [1],
    [PART - 1],
    [PART],
    [PART + 1],
    [2 * PART],
    [2 * PART + 1],
    [1, PART - 1],
    [PART - 1, 1],
    [PART - 1, 2],
    [PART - 1, PART + 1],
    [40, 40, 40, 40, 40, 40, 40],
    [PART, 0, PART],
    [3, 3 * PART, 5],
  ];
  for (const sizes of cuts) {
    it(`I-COUNT: chunks of ${sizes.join(', ')} bytes with parts of ${PART} lose no byte`, async ({
      expect,
    }) => {
      const world = openTestRegistry();
      const repository = await aRepository(world);
      const name = nameOf(repository);
      const { uploadId } = await anUpload(world, repository);
      // R2 takes parts of any size until they are put together.
      await rowsOf('UPDATE blob_upload SET part_size = ? WHERE uuid = ?', PART, uploadId);
      const chunks = sizes.map((size) => uniqueBytes(size));
      for (const chunk of chunks) {
        await world.operations.appendChunk(name, uploadId, chunkOf(chunk));
        expect(await findViolations()).toEqual([]);
      }
      const whole = concat(...chunks);
      const partCount = Math.floor(whole.byteLength / PART);
      const [row] = await rowsOf('SELECT * FROM blob_upload WHERE uuid = ?', uploadId);
      expect(row).toMatchObject({
        byte_count: whole.byteLength,
        part_count: partCount,
        tail_size: whole.byteLength % PART,
      });
      const tail = whole.slice(partCount * PART);
      expect(
        row?.['tail_key'] === null ? new Uint8Array() : await objectAt(`${row?.['tail_key']}`),
      ).toEqual(tail);
      const hash = RunningHash.restore(String(row?.['sha_state']));
      expect(hash.digest()).toBe(await computeDigest('sha256', whole));
    });
  }
});
