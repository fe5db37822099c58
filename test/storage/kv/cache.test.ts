import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { openCache } from '../../../src/storage/kv/cache.ts';
import { Meter } from '../../../src/storage/meter.ts';

/** A cache that remembers what went wrong, over the real KV or one that always fails. */
function aCache(kv: KVNamespace = env.CACHE) {
  const failures: unknown[] = [];
  const cache = openCache(kv, { meter: new Meter(), onFailure: (error) => failures.push(error) });
  return { cache, failures };
}

const broken = new Proxy(env.CACHE, {
  get: () => () => Promise.reject(new Error('KV GET failed: 500')),
});

describe('the cache', () => {
  it('gives back what it was given, and null for what it was not', async ({ expect }) => {
    const { cache, failures } = aCache();
    await cache.put('v1/a', { names: ['ä', 'b'], more: false }, { ttlSec: 120 });
    expect(await cache.get('v1/a')).toEqual({ names: ['ä', 'b'], more: false });
    expect(await cache.get('v1/b')).toBeNull();
    expect(failures).toEqual([]);
  });

  it('keeps nothing for less than KV takes', async ({ expect }) => {
    const { cache, failures } = aCache();
    await cache.put('v1/a', 1, { ttlSec: 1 });
    expect(failures).toEqual([]);
    const { keys } = await env.CACHE.list();
    const [key] = keys;
    expect((key?.expiration ?? 0) - Date.now() / 1000).toBeGreaterThan(50);
  });

  it('is a miss for a value that is too large, and for a key that is', async ({ expect }) => {
    const { cache, failures } = aCache();
    await cache.put('v1/large', 'x'.repeat(1024 * 1024), { ttlSec: 60 });
    await cache.put('k'.repeat(513), 'small', { ttlSec: 60 });
    expect(await cache.get('v1/large')).toBeNull();
    expect(await cache.get('k'.repeat(513))).toBeNull();
    expect(failures).toEqual([]);
  });

  it('is a miss for a value that is no JSON, and tells of it', async ({ expect }) => {
    const { cache, failures } = aCache();
    await env.CACHE.put('v1/a', '{not json');
    expect(await cache.get('v1/a')).toBeNull();
    expect(failures).toHaveLength(1);
  });

  it('is a miss while KV fails, and tells of it; a probe fails too', async ({ expect }) => {
    const { cache, failures } = aCache(broken);
    expect(await cache.get('v1/a')).toBeNull();
    await cache.put('v1/a', 1, { ttlSec: 60 });
    expect(failures).toHaveLength(2);
    await expect(cache.probe('v1/a')).rejects.toThrow('500');
  });
});
