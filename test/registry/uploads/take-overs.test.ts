import { describe, type ExpectStatic, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { UPLOAD_CLAIM_MS, UPLOAD_PART_BYTES } from '../../../src/model/limits.ts';
import { uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { stallAt, stallEverywhere } from '../../support/stall.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  closingWith,
  concat,
  drainGraves,
  forgetBlobs,
  nameOf,
  isStored,
  rowsOf,
} from '../../support/uploads.ts';

const FIRST = uniqueBytes(100);
const ONE = uniqueBytes(60);
const OTHER = uniqueBytes(90);
const PARTS = uniqueBytes(UPLOAD_PART_BYTES + 30);

async function digestOf(bytes: Bytes) {
  return computeDigest('sha256', bytes);
}

/** An upload with these bytes in it, none if there are none. */
async function anUploadWith(...received: readonly Bytes[]) {
  await forgetBlobs();
  const world = openTestRegistry();
  const repository = await aRepository(world);
  const name = nameOf(repository);
  const { uploadId } = await anUpload(world, repository);
  for (const bytes of received) {
    await world.operations.appendChunk(name, uploadId, chunkOf(bytes));
  }
  const { clock, operations } = world;
  const over = (gate?: Gate) =>
    gate === undefined ? operations : openTestRegistry({ gate, clock }).operations;
  return {
    ...world,
    name,
    uploadId,
    append: (bytes: Bytes, gate?: Gate) => over(gate).appendChunk(name, uploadId, chunkOf(bytes)),
    finish: async (bytes: Bytes, gate?: Gate) =>
      over(gate).finishUpload(name, uploadId, closingAs(await digestOf(bytes))),
    finishWhole: async (bytes: Bytes, gate?: Gate) =>
      over(gate).finishUpload(name, uploadId, closingWith(await digestOf(bytes), bytes)),
    uploadWhole: async (bytes: Bytes, gate?: Gate) =>
      over(gate).uploadWhole(name, closingWith(await digestOf(bytes), bytes)),
    /** Whoever holds the upload now has held it for too long. */
    lapse: () => clock.advance(UPLOAD_CLAIM_MS + 1),
  };
}

type Upload = Awaited<ReturnType<typeof anUploadWith>>;

async function expectSound(expect: ExpectStatic, what: string): Promise<void> {
  expect(await findViolations(), what).toEqual([]);
  await drainGraves();
  expect(await findViolations(), what).toEqual([]);
}

/** The late one stands still before each of its calls; the other takes the upload over then. */
async function takeOver(
  expect: ExpectStatic,
  options: {
    readonly received: readonly Bytes[];
    readonly late: (upload: Upload, gate: Gate) => Promise<unknown>;
    readonly other: (upload: Upload) => Promise<{ readonly objectKey: string } | null>;
    readonly whole: Bytes;
  },
): Promise<number> {
  return stallEverywhere(async () => {
    const upload = await anUploadWith(...options.received);
    return {
      operation: (gate) => options.late(upload, gate),
      meanwhile: async ({ call, callNumber, resume }) => {
        const what = `stalled before call ${callNumber}, ${call.operation}`;
        upload.lapse();
        const blob = await options.other(upload);
        expect(blob, what).not.toBeNull();
        await resume();
        expect(await isStored(blob, options.whole), what).toBe(true);
        await expectSound(expect, what);
        expect(await isStored(blob, options.whole), what).toBe(true);
      },
    };
  });
}

describe('a claim that is overdue and taken over', () => {
  it('of a chunk by another chunk and its commit', async ({ expect }) => {
    const stalls = await takeOver(expect, {
      received: [FIRST],
      late: (upload, gate) => upload.append(ONE, gate),
      other: async (upload) => {
        const after = await upload.append(OTHER);
        const already = after?.byteCount === 100 + OTHER.byteLength;
        expect(already).toBe(true);
        return upload.finish(concat(FIRST, OTHER));
      },
      whole: concat(FIRST, OTHER),
    });
    expect(stalls).toBeGreaterThan(1);
  });

  it('of a chunk by a commit', async ({ expect }) => {
    const stalls = await takeOver(expect, {
      received: [FIRST],
      late: (upload, gate) => upload.append(ONE, gate),
      other: (upload) => upload.finish(FIRST),
      whole: FIRST,
    });
    expect(stalls).toBeGreaterThan(1);
  });

  it('of a first chunk by a whole body of other bytes', async ({ expect }) => {
    const stalls = await takeOver(expect, {
      received: [],
      late: (upload, gate) => upload.append(ONE, gate),
      other: (upload) => upload.finishWhole(OTHER),
      whole: OTHER,
    });
    expect(stalls).toBeGreaterThan(1);
  });

  it('of a commit by another commit', async ({ expect }) => {
    const stalls = await stallEverywhere(async () => {
      const upload = await anUploadWith(FIRST);
      return {
        operation: (gate) => upload.finish(FIRST, gate),
        meanwhile: async ({ call, callNumber, resume }) => {
          const what = `stalled before call ${callNumber}, ${call.operation}`;
          upload.lapse();
          const blob = await upload.finish(FIRST);
          await resume();
          expect(await isStored(blob, FIRST), what).toBe(true);
          await expectSound(expect, what);
        },
      };
    });
    expect(stalls).toBeGreaterThan(2);
  });

  it('of a whole body by a whole body of other bytes', async ({ expect }) => {
    const stalls = await takeOver(expect, {
      received: [],
      late: (upload, gate) => upload.finishWhole(ONE, gate),
      other: (upload) => upload.finishWhole(OTHER),
      whole: OTHER,
    });
    expect(stalls).toBeGreaterThan(1);
  });

  it('of an upload born in one request by somebody who learnt its id', async ({ expect }) => {
    const upload = await anUploadWith();
    const stall = await stallAt((gate) => upload.uploadWhole(ONE, gate), 2);
    const [row] = await rowsOf("SELECT uuid FROM blob_upload WHERE state = 'committing'");
    upload.lapse();
    const digest = await digestOf(OTHER);
    const blob = await upload.operations.finishUpload(
      upload.name,
      String(row?.['uuid']),
      closingWith(digest, OTHER),
    );
    expect(blob).toMatchObject({ digest });
    // Its body lands where it was sent to, long after the upload became another one's blob.
    await stall?.resume();
    await expectSound(expect, 'born claimed');
    expect(await isStored(blob, OTHER)).toBe(true);
  });

  it('of a chunk with a full part: the parts of either, never a mixture', async ({ expect }) => {
    const other = uniqueBytes(PARTS.byteLength);
    const stalls = await stallEverywhere(async () => {
      const upload = await anUploadWith();
      return {
        operation: (gate) => upload.append(PARTS, gate),
        meanwhile: async ({ call, callNumber, resume }) => {
          const what = `stalled before call ${callNumber}, ${call.operation}`;
          upload.lapse();
          await upload.append(other);
          const late = await resume();
          // A late chunk either found the claim lost or came before it was taken.
          expect(late.status === 'rejected' || late.value === null || callNumber === 1, what).toBe(
            true,
          );
          if (callNumber === 1) {
            await upload.operations.cancelUpload(upload.name, upload.uploadId);
          } else {
            // The late part may have overwritten the one that counts: then R2 refuses to join them,
            // and the upload, which nothing can mend, is gone.
            const { operations, name, uploadId } = upload;
            await upload.finish(other).catch(async (error: unknown) => {
              expect(call.operation, String(error)).toBe('uploadPart');
              expect(error).toMatchObject({ code: 'UploadConflict' });
              expect(await operations.uploadStatus(name, uploadId)).toBeNull();
            });
          }
          await expectSound(expect, what);
        },
      };
    });
    expect(stalls).toBeGreaterThan(4);
  });

  it('of a commit of parts by another commit', async ({ expect }) => {
    const stalls = await stallEverywhere(async () => {
      const upload = await anUploadWith(PARTS);
      return {
        operation: (gate) => upload.finish(PARTS, gate),
        meanwhile: async ({ call, callNumber, resume }) => {
          const what = `stalled before call ${callNumber}, ${call.operation}`;
          upload.lapse();
          expect(await upload.finish(PARTS), what).not.toBeNull();
          await resume();
          await expectSound(expect, what);
        },
      };
    });
    expect(stalls).toBeGreaterThan(3);
  });
});

/** The write is reported as failed at once; `land` does it then. */
function lateWrite(operation: string) {
  const late: (() => Promise<unknown>)[] = [];
  const gate: Gate = async (call, run) => {
    if (call.operation === operation && late.length === 0) {
      late.push(run);
      throw new Error('Network connection lost.');
    }
    return run();
  };
  return { gate, land: () => Promise.all(late.map((run) => run())) };
}

describe('a write that R2 reported as failed and that lands later', () => {
  it('of a commit: only commits follow, and they have a key of their own', async ({ expect }) => {
    const upload = await anUploadWith(FIRST);
    const { gate, land } = lateWrite('put');
    await expect(upload.finish(FIRST, gate)).rejects.toThrow('Network connection lost');

    await expect(upload.append(PARTS)).rejects.toMatchObject({ code: 'UploadConflict' });
    const blob = await upload.finish(FIRST);
    await land();

    expect(await isStored(blob, FIRST)).toBe(true);
    await expectSound(expect, 'late put');
  });

  it('of a tail: the tail of the next writer has another key', async ({ expect }) => {
    const upload = await anUploadWith(FIRST);
    const { gate, land } = lateWrite('put');
    await expect(upload.append(ONE, gate)).rejects.toThrow('Network connection lost');
    await upload.append(OTHER);
    await land();
    await upload.finish(concat(FIRST, OTHER));
    await expectSound(expect, 'late tail');
  });

  it('of a part: the parts are not joined, and no blob has wrong bytes', async ({ expect }) => {
    const upload = await anUploadWith();
    const other = uniqueBytes(PARTS.byteLength);
    const { gate, land } = lateWrite('uploadPart');
    await expect(upload.append(PARTS, gate)).rejects.toThrow('Network connection lost');
    await upload.append(other);
    await land();
    await expect(upload.finish(other)).rejects.toThrow();
    expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
    await upload.operations.cancelUpload(upload.name, upload.uploadId);
    await expectSound(expect, 'late part');
  });
});
