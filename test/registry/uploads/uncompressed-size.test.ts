import { describe, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { INFLATE_INPUT_BYTES_MAX, INFLATE_OUTPUT_BYTES_MAX } from '../../../src/model/limits.ts';
import { UncompressedSize } from '../../../src/registry/uploads/uncompressed-size.ts';
import { streamOf, uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  closingWith,
  concat,
  isStored,
  nameOf,
  rowsOf,
} from '../../support/uploads.ts';

async function packed(
  bytes: Bytes,
  format: 'gzip' | 'deflate' | 'deflate-raw' = 'gzip',
): Promise<Bytes> {
  const stream = streamOf(bytes).pipeThrough(new CompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function withLastByteFlipped(bytes: Bytes): Bytes {
  const flipped = bytes.slice();
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  return flipped;
}

async function aWorld(options: Parameters<typeof openTestRegistry>[0] = {}) {
  const world = openTestRegistry(options);
  const repository = await aRepository(world);
  return { ...world, world, repository, name: nameOf(repository) };
}

type World = Awaited<ReturnType<typeof aWorld>>;

/** Every way in which a whole blob comes as one body. */
const WAYS = {
  'in one request': async ({ operations, name }: World, bytes: Bytes) =>
    operations.uploadWhole(name, closingWith(await computeDigest('sha256', bytes), bytes)),
  'as the last body of an untouched upload': async (world: World, bytes: Bytes) => {
    const { uploadId } = await anUpload(world, world.repository);
    const closing = closingWith(await computeDigest('sha256', bytes), bytes);
    return world.operations.finishUpload(world.name, uploadId, closing);
  },
  'as one chunk of unknown length': async (world: World, bytes: Bytes) => {
    const { uploadId } = await anUpload(world, world.repository);
    await world.operations.appendChunk(world.name, uploadId, { ...chunkOf(bytes), length: null });
    const closing = closingAs(await computeDigest('sha256', bytes));
    return world.operations.finishUpload(world.name, uploadId, closing);
  },
} as const;

/** Several reads, whose sizes divide neither each other nor the slices that are unpacked. */
const LARGE = 300_007;

describe.for(Object.entries(WAYS))('a blob that comes %s', ([, send]) => {
  it('scenario 22 (blobs): has its unpacked size if it is a gzip or zlib stream, else null', async ({
    expect,
  }) => {
    const world = await aWorld();
    const gzip = await packed(uniqueBytes(1000));
    const zeros = await packed(new Uint8Array(9_000_001));
    const cases: readonly (readonly [string, Bytes, number | null])[] = [
      ['gzip', gzip, 1000],
      ['gzip of nothing', await packed(new Uint8Array()), 0],
      ['gzip in several reads', await packed(uniqueBytes(LARGE)), LARGE],
      ['gzip that grows a thousandfold', zeros, 9_000_001],
      ['zlib', await packed(uniqueBytes(1001), 'deflate'), 1001],
      ['zlib in several reads', await packed(uniqueBytes(LARGE), 'deflate'), LARGE],
      ['members one after the other', concat(gzip, zeros, gzip), 9_002_001],
      ['deflate without a frame', await packed(uniqueBytes(1000), 'deflate-raw'), null],
      ['random bytes', uniqueBytes(LARGE), null],
      ['one byte of a gzip stream', gzip.slice(0, 1), null],
      ['gzip that is cut off', gzip.slice(0, -1), null],
      ['gzip that is cut off after a member', concat(gzip, gzip.slice(0, 5)), null],
      ['gzip with a wrong length', withLastByteFlipped(gzip), null],
      ['gzip and something else', concat(gzip, uniqueBytes(10)), null],
      ['gzip and a zero', concat(gzip, new Uint8Array(1)), null],
      ['zlib and something else', concat(await packed(uniqueBytes(), 'deflate'), gzip), null],
      ['a gzip header before random bytes', concat(gzip.slice(0, 10), uniqueBytes(LARGE)), null],
    ];
    for (const [what, bytes, uncompressedSize] of cases) {
      const blob = await send(world, bytes);
      expect(blob, what).toMatchObject({ compressedSize: bytes.byteLength, uncompressedSize });
      expect(await isStored(blob, bytes), what).toBe(true);
    }
    expect(await findViolations()).toEqual([]);
  });

  it('tells the size of a blob that was there before and had none', async ({ expect }) => {
    const world = await aWorld();
    const bytes = await packed(uniqueBytes(1000));
    const { uploadId } = await anUpload(world, world.repository);
    for (const part of [bytes.slice(0, 50), bytes.slice(50)]) {
      await world.operations.appendChunk(world.name, uploadId, chunkOf(part));
    }
    const closing = closingAs(await computeDigest('sha256', bytes));
    const first = await world.operations.finishUpload(world.name, uploadId, closing);
    expect(first).toMatchObject({ uncompressedSize: null });

    const learnt = { ...first, uncompressedSize: 1000 };
    expect(await send(world, bytes)).toEqual(learnt);
    // What is known stays: none of these is a second opinion.
    expect(await send(world, bytes)).toEqual(learnt);
  });
});

describe('chunks', () => {
  it('scenario 66 (blobs): one and an ending without bytes keep the size, a second clears it', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { operations, name, repository } = world;
    const bytes = await packed(uniqueBytes(1000));
    const nothing = new Uint8Array();
    const append = async (...chunks: readonly Bytes[]) => {
      const { uploadId } = await anUpload(world, repository);
      const sizes: unknown[] = [];
      for (const chunk of chunks) {
        const after = await operations.appendChunk(name, uploadId, chunkOf(chunk));
        sizes.push(after?.uncompressedByteCount);
      }
      return { uploadId, sizes };
    };
    const digest = await computeDigest('sha256', bytes);
    const twice = await computeDigest('sha256', concat(bytes, bytes));

    const docker = await append(nothing, bytes, nothing);
    expect(docker.sizes).toEqual([null, 1000, 1000]);
    const second = await append(bytes, bytes);
    expect(second.sizes).toEqual([1000, null]);
    const closedByNothing = await append(bytes);
    const closedBySecond = await append(bytes);
    const blobs = [
      await operations.finishUpload(name, docker.uploadId, closingAs(digest)),
      await operations.finishUpload(name, closedByNothing.uploadId, closingWith(digest, nothing)),
      await operations.finishUpload(name, second.uploadId, closingAs(twice)),
      await operations.finishUpload(name, closedBySecond.uploadId, closingWith(twice, bytes)),
    ];
    expect(blobs.map((blob) => blob?.uncompressedSize)).toEqual([1000, 1000, null, null]);
    expect(await findViolations()).toEqual([]);
  });
});

/** A body that gives these bytes and then breaks, or says nothing any more. */
function bodyThen(bytes: Bytes, ending: 'breaks' | 'stalls'): ReadableStream<Uint8Array> {
  let pulls = 0;
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      pulls += 1;
      if (pulls === 1) {
        controller.enqueue(bytes.slice());
        return Promise.resolve();
      }
      return ending === 'breaks'
        ? Promise.reject(new Error('the client went away'))
        : new Promise(() => undefined);
    },
  });
}

/** R2 takes nothing, and reads nothing of it. */
const withoutPuts: Gate = async (call, run) => {
  if (call.operation === 'put') {
    throw new Error('put: We encountered an internal error. (10001)');
  }
  return run();
};

describe('a gzip stream in one request that goes wrong', () => {
  it('fails as any other body does, and leaves no blob', async ({ expect }) => {
    const world = await aWorld();
    const { operations, name, clock } = world;
    const refusing = openTestRegistry({ gate: withoutPuts, clock });
    const bytes = await packed(uniqueBytes(LARGE));
    const length = bytes.byteLength;
    const digest = await computeDigest('sha256', bytes);
    const wrong = await computeDigest('sha256', uniqueBytes());
    const whole = (changes: object) => ({ digest, length, body: streamOf(bytes), ...changes });
    const half = bytes.slice(0, length >> 1);

    for (const announced of [length - 1, length + 1, 0]) {
      await expect(
        operations.uploadWhole(name, whole({ length: announced })),
        `${announced} announced`,
      ).rejects.toMatchObject({ code: 'BodyLength' });
    }
    await expect(operations.uploadWhole(name, whole({ digest: wrong }))).rejects.toMatchObject({
      code: 'DigestMismatch',
    });
    await expect(
      operations.uploadWhole(name, whole({ body: bodyThen(half, 'breaks') })),
    ).rejects.toThrow('the client went away');
    for (const body of [streamOf(bytes), bodyThen(half, 'stalls')]) {
      await expect(refusing.operations.uploadWhole(name, whole({ body }))).rejects.toThrow('10001');
    }
    expect(await rowsOf('SELECT * FROM blob_upload')).toEqual([]);
    expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });
});

/** The size of a blob of this many copies of a gzip stream. */
async function sizeOf(member: Bytes, copies: number, last = new Uint8Array()) {
  const size = UncompressedSize.ofBlob(null);
  for (let copy = 0; copy < copies; copy += 1) {
    await size.add(member);
  }
  await size.add(last);
  return { isOver: size.isOver, bytes: await size.finish() };
}

describe('the work of unpacking', () => {
  it('ends where too much came out, however little went in', async ({ expect }) => {
    const step = 16 * 1024 * 1024;
    const member = await packed(new Uint8Array(step));
    const copies = INFLATE_OUTPUT_BYTES_MAX / step;
    expect(await sizeOf(member, copies)).toEqual({
      isOver: false,
      bytes: INFLATE_OUTPUT_BYTES_MAX,
    });
    const one = await packed(new Uint8Array(1));
    expect(await sizeOf(member, copies, one)).toEqual({ isOver: true, bytes: null });
  });

  it('ends where too much went in, and does not begin if that is announced', async ({ expect }) => {
    const step = 1024 * 1024;
    const member = await packed(uniqueBytes(step));
    const copies = Math.floor(INFLATE_INPUT_BYTES_MAX / member.byteLength);
    expect(await sizeOf(member, copies)).toEqual({ isOver: false, bytes: copies * step });
    expect(await sizeOf(member, copies + 1)).toEqual({ isOver: true, bytes: null });
    expect(UncompressedSize.ofBlob(INFLATE_INPUT_BYTES_MAX).isOver).toBe(false);
    expect(UncompressedSize.ofBlob(INFLATE_INPUT_BYTES_MAX + 1).isOver).toBe(true);
  });
});
