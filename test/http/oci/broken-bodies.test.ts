import { createExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { BLOB_KEPT_BYTES_MAX, MANIFEST_INLINE_BYTES_MAX } from '../../../src/model/limits.ts';
import { uniqueBytes } from '../../support/content.ts';
import { gatedIsolate } from '../../support/faults.ts';
import { type Gate, gated } from '../../support/gate.ts';
import {
  aName,
  imageIn,
  putManifest,
  refusal,
  requestOf,
  send,
  uploadBlob,
} from '../../support/http.ts';
import { isolateWith } from '../../support/isolate.ts';
import { select } from '../../support/stage.ts';

/** An object whose body begins, and then breaks off. */
function broken(object: R2ObjectBody): R2ObjectBody {
  const lost = new Error('Network connection lost.');
  return new Proxy(object, {
    get(target, name) {
      switch (name) {
        case 'body':
          return target.body.pipeThrough(
            new TransformStream<Uint8Array, Uint8Array>({
              transform(chunk, controller) {
                controller.enqueue(chunk.slice(0, 10));
                controller.error(lost);
              },
            }),
          );
        case 'arrayBuffer':
          return () => Promise.reject(lost);
        default:
          return Reflect.get(target, name, target) as unknown;
      }
    },
  });
}

/** The bodies of so many objects break off. */
function breaking(count: number): Gate {
  let left = count;
  return async (call, run) => {
    const result = await run();
    if (call.operation !== 'get' || left === 0) {
      return result;
    }
    left -= 1;
    return broken(result as R2ObjectBody) as typeof result;
  };
}

describe('an object that breaks off while it is read', () => {
  it('is read again where nothing of it was sent yet', async ({ expect }) => {
    const name = aName();
    const bytes = uniqueBytes(2048);
    const blob = await uploadBlob(name, bytes);
    const padding = ' '.repeat(MANIFEST_INLINE_BYTES_MAX);
    const image = await imageIn(name, { annotations: { padding } });
    await putManifest(name, image, 'large');
    const { ask, behind } = await gatedIsolate();
    for (const [path, whole] of [
      [`/v2/${name}/blobs/${blob}`, bytes],
      [`/v2/${name}/manifests/large`, image.bytes],
    ] as const) {
      const once = await behind(breaking(1), () => ask('GET', path));
      expect([once.status, once.headers.get('Content-Length')]).toEqual([
        200,
        String(whole.byteLength),
      ]);
      expect(crypto.subtle.timingSafeEqual(once.bytes, whole)).toBe(true);
      const always = await behind(breaking(9), () => ask('GET', path));
      expect(refusal(always)).toBe('503 UNAVAILABLE');
      expect(always.headers.get('Retry-After')).toBe('2');
    }
  });

  it('never looks whole where some of it was sent', async ({ expect }) => {
    const name = aName();
    const sizeBytes = BLOB_KEPT_BYTES_MAX + 1;
    const path = `/v2/${name}/blobs/${await uploadBlob(name, uniqueBytes(sizeBytes))}`;
    const bindings = { ...env, ...gated(env, breaking(9)) } as Env;
    await isolateWith({});
    const { default: worker } = await import('../../../src/index.ts');
    for (const [range, length] of [
      [null, sizeBytes],
      ['bytes=1000-200000', 199_001],
    ] as const) {
      const request = requestOf('GET', path, { headers: range === null ? {} : { Range: range } });
      const response = await worker.fetch(request, bindings, createExecutionContext());
      expect(response.headers.get('Content-Length')).toBe(String(length));
      await expect(response.arrayBuffer()).rejects.toThrow('Network connection lost');
    }
  });
});

describe('an object that has other bytes than its digest says', () => {
  it('is never given as a small blob', async ({ expect }) => {
    const name = aName();
    const path = `/v2/${name}/blobs/${await uploadBlob(name, uniqueBytes(64))}`;
    const [row] = await select('SELECT object_key AS key FROM blob');
    for (const other of [uniqueBytes(64), uniqueBytes(63), new Uint8Array()]) {
      await env.BUCKET.put(String(row?.['key']), other);
      for (const headers of [{}, { Range: 'bytes=0-9' }]) {
        expect(refusal(await send('GET', path, { headers }))).toBe('500 UNKNOWN');
      }
    }
  });
});
