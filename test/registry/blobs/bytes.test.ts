import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import type { Blob } from '../../../src/model/datatypes.ts';
import { BLOB_KEPT_BYTES_MAX } from '../../../src/model/limits.ts';
import { pushBlob, uniqueBytes } from '../../support/content.ts';
import { aRepository, openTestRegistry, type TestRegistry } from '../../support/registry.ts';

/** A registry in a location that keeps blobs, and one that is in it. */
async function aBlob(sizeBytes = 1000) {
  const registry = openTestRegistry({ answerTtlSec: 60 });
  const repository = await aRepository(registry);
  const bytes = uniqueBytes(sizeBytes);
  const blob = await pushBlob(registry, repository, bytes);
  return { registry, repository, bytes, blob };
}

async function read(
  { operations, settleDeferred }: TestRegistry,
  blob: Blob,
  range?: { offset: number; length: number },
) {
  const body = await operations.openBlob(blob, range);
  const bytes = body && new Uint8Array(await new Response(body).arrayBuffer());
  await settleDeferred();
  return bytes;
}

const keyOf = ({ digest }: Blob) => `https://blobs.berth.internal/v1/${digest}`;

/** Begins to keep the blob, and dies in the middle: a part stays under the length of the whole. */
async function keepPartOf(blob: Blob, part: Uint8Array): Promise<void> {
  const { readable, writable } = new FixedLengthStream(blob.compressedSize);
  const headers = {
    'Cache-Control': 'max-age=60',
    'Content-Length': String(blob.compressedSize),
    ETag: `"${blob.digest}"`,
  };
  const putting = caches.default.put(keyOf(blob), new Response(readable, { headers }));
  const writer = writable.getWriter();
  await writer.write(part);
  await Promise.allSettled([writer.abort(new Error('the writer died')), putting]);
}

describe('the bytes of a small blob', () => {
  it('come from R2 once, and then from the location, whole and in parts', async ({ expect }) => {
    const { registry, blob, bytes } = await aBlob();
    expect(await read(registry, blob)).toEqual(bytes);
    const { r2Reads } = registry.meter.usage;
    expect(await read(registry, blob)).toEqual(bytes);
    for (const [offset, length] of [
      [0, 1],
      [10, 20],
      [999, 1],
      [0, 1000],
    ] as const) {
      const part = await read(registry, blob, { offset, length });
      expect(part).toEqual(bytes.slice(offset, offset + length));
    }
    expect(registry.meter.usage.r2Reads).toBe(r2Reads);
  });

  it('are kept whole where a part is asked for first', async ({ expect }) => {
    const { registry, blob, bytes } = await aBlob();
    expect(await read(registry, blob, { offset: 10, length: 20 })).toEqual(bytes.slice(10, 30));
    const { r2Reads } = registry.meter.usage;
    expect(await read(registry, blob)).toEqual(bytes);
    expect(registry.meter.usage.r2Reads).toBe(r2Reads);
  });

  it('are kept up to the bound; above it they are a stream, each time', async ({ expect }) => {
    const bound = BLOB_KEPT_BYTES_MAX;
    for (const [sizeBytes, readsWhenWarm] of [
      [bound, 0],
      [bound + 1, 1],
    ] as const) {
      const { registry, blob, bytes } = await aBlob(sizeBytes);
      expect(await read(registry, blob)).toEqual(bytes);
      const { r2Reads } = registry.meter.usage;
      expect(await read(registry, blob)).toEqual(bytes);
      expect([sizeBytes, registry.meter.usage.r2Reads - r2Reads]).toEqual([
        sizeBytes,
        readsWhenWarm,
      ]);
    }
  });

  it('are read again where only a part of them was kept, and are kept whole then', async ({
    expect,
  }) => {
    const { registry, blob, bytes } = await aBlob();
    await keepPartOf(blob, bytes.subarray(0, 400));
    const left = await caches.default.match(keyOf(blob));
    expect((await left?.arrayBuffer())?.byteLength).toBe(400);
    for (const offset of [0, 390, 600]) {
      await keepPartOf(blob, bytes.subarray(0, 400));
      const part = await read(registry, blob, { offset, length: 20 });
      expect(part).toEqual(bytes.slice(offset, offset + 20));
    }
    const { r2Reads } = registry.meter.usage;
    expect(await read(registry, blob)).toEqual(bytes);
    expect(registry.meter.usage.r2Reads).toBe(r2Reads);
  });

  it('are not given, nor kept, if they are not those of the digest', async ({ expect }) => {
    const { registry, blob, bytes } = await aBlob();
    await env.BUCKET.put(blob.objectKey, uniqueBytes(bytes.byteLength));
    await expect(read(registry, blob)).rejects.toThrow(`does not have the bytes of ${blob.digest}`);
    await registry.settleDeferred();
    await env.BUCKET.put(blob.objectKey, bytes);
    expect(await read(registry, blob)).toEqual(bytes);
  });

  it('are read again where those of another blob, as long, were kept', async ({ expect }) => {
    const { registry, blob, bytes } = await aBlob();
    const other = await aBlob();
    await read(other.registry, other.blob);
    const kept = await caches.default.match(keyOf(other.blob));
    await caches.default.put(keyOf(blob), kept ?? new Response());
    expect(await read(registry, blob)).toEqual(bytes);
  });

  it('are not kept where locations keep no answers', async ({ expect }) => {
    const registry = openTestRegistry({ answerTtlSec: 0 });
    const blob = await pushBlob(registry, await aRepository(registry));
    await read(registry, blob);
    const { r2Reads } = registry.meter.usage;
    await read(registry, blob);
    expect(registry.meter.usage.r2Reads).toBe(r2Reads + 1);
    expect(await caches.default.match(keyOf(blob))).toBeUndefined();
  });
});
