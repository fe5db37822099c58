import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { StoreUnavailable } from '../../../src/model/errors.ts';
import { Meter } from '../../../src/storage/meter.ts';
import {
  ChecksumMismatch,
  MultipartGone,
  openBlobStore,
} from '../../../src/storage/r2/blob-store.ts';
import { streamOf, uniqueBytes } from '../../support/content.ts';

const store = openBlobStore(env.BUCKET, new Meter());
const BYTES = uniqueBytes(1000);

/** A store over a bucket whose every call fails so. */
function failing(message: string) {
  let calls = 0;
  const away = () => {
    calls += 1;
    return Promise.reject(new Error(message));
  };
  const bucket = new Proxy(env.BUCKET, { get: () => away });
  return { store: openBlobStore(bucket, new Meter()), calls: () => calls };
}

describe('the blob store', () => {
  it('keeps what has the digest that it came under, and nothing else', async ({ expect }) => {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const right = await computeDigest(algorithm, BYTES);
      await store.put(`right-${algorithm}`, BYTES, right);
      expect(await store.read(`right-${algorithm}`)).toEqual(BYTES);
      const wrong = await computeDigest(algorithm, uniqueBytes());
      await expect(store.put('wrong', BYTES, wrong)).rejects.toBeInstanceOf(ChecksumMismatch);
      expect(await store.size('wrong')).toBeNull();
    }
  });

  it('takes a stream of known length', async ({ expect }) => {
    const sized = new FixedLengthStream(BYTES.byteLength);
    const digest = await computeDigest('sha256', BYTES);
    await Promise.all([
      streamOf(BYTES).pipeTo(sized.writable),
      store.put('stream', sized.readable, digest),
    ]);
    expect(await store.size('stream')).toBe(1000);
  });

  it('gives null for what is not there', async ({ expect }) => {
    expect(await store.size('nothing')).toBeNull();
    expect(await store.open('nothing')).toBeNull();
    expect(await store.read('nothing')).toBeNull();
  });

  it('gives a range of the bytes', async ({ expect }) => {
    await store.put('ranged', BYTES);
    const stream = await store.open('ranged', { offset: 990, length: 10 });
    expect(new Uint8Array(await new Response(stream).arrayBuffer())).toEqual(BYTES.slice(990));
  });

  it('lists a page behind a key, and says when that came', async ({ expect }) => {
    const beforeMs = Date.now() - 1000;
    for (const key of ['page/a', 'page/b', 'page/c', 'pages']) {
      await store.put(key, BYTES);
    }
    const first = await store.page('page/', { afterKey: '', limit: 2 });
    expect(first.objects.map(({ key }) => key)).toEqual(['page/a', 'page/b']);
    expect(first.hasMore).toBe(true);
    expect(first.objects.every(({ uploadedMs }) => uploadedMs > beforeMs)).toBe(true);
    const second = await store.page('page/', { afterKey: 'page/b', limit: 2 });
    expect(second).toMatchObject({ objects: [{ key: 'page/c' }], hasMore: false });
    expect(await store.page('page/', { afterKey: 'page/c', limit: 2 })).toEqual({
      objects: [],
      hasMore: false,
    });
  });

  it('tells a multipart upload that is over', async ({ expect }) => {
    const id = await store.createMultipart('parts');
    const part = await store.uploadPart('parts', id, { number: 1, bytes: BYTES });
    expect(await store.completeMultipart('parts', id, [part])).toBe(1000);
    await expect(store.completeMultipart('parts', id, [part])).rejects.toBeInstanceOf(
      MultipartGone,
    );
    await expect(store.uploadPart('parts', id, { number: 2, bytes: BYTES })).rejects.toBeInstanceOf(
      MultipartGone,
    );
  });

  it('does not put parts together of which one is not the recorded one', async ({ expect }) => {
    const id = await store.createMultipart('replaced');
    const recorded = await store.uploadPart('replaced', id, { number: 1, bytes: BYTES });
    await store.uploadPart('replaced', id, { number: 1, bytes: uniqueBytes(1000) });
    await expect(store.completeMultipart('replaced', id, [recorded])).rejects.toThrow();
    expect(await store.size('replaced')).toBeNull();
  });

  it('tells what passes from what does not, and reads twice before', async ({ expect }) => {
    const passing = failing('get: We encountered an internal error. Please try again. (10001)');
    await expect(passing.store.read('any')).rejects.toBeInstanceOf(StoreUnavailable);
    expect(passing.calls()).toBe(2);
    await expect(passing.store.put('any', BYTES)).rejects.toBeInstanceOf(StoreUnavailable);
    expect(passing.calls()).toBe(3);
    const lasting = failing('get: The specified object name is not valid. (10020)');
    await expect(lasting.store.read('any')).rejects.not.toBeInstanceOf(StoreUnavailable);
    expect(lasting.calls()).toBe(1);
  });
});
