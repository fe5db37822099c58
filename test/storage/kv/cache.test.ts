import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { IsolateMemory } from '../../../src/storage/isolate-memory.ts';
import { openCache } from '../../../src/storage/kv/cache.ts';
import { repoBlobKey } from '../../../src/storage/kv/keys.ts';
import { Meter } from '../../../src/storage/meter.ts';
import { SECOND_MS, TestClock } from '../../support/clock.ts';
import { failingKv } from '../../support/kv.ts';

/** A cache that remembers what went wrong, over the real KV or one that always fails. */
function aCache(kv: KVNamespace = env.CACHE) {
  const failures: unknown[] = [];
  const clock = new TestClock();
  const cache = openCache(kv, {
    meter: new Meter(),
    clock,
    recentWrites: new IsolateMemory(10),
    onFailure: (error) => failures.push(error),
  });
  return { cache, clock, failures };
}

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
    await cache.put('v1/many', 'ä'.repeat(512 * 1024), { ttlSec: 60 });
    await cache.put('k'.repeat(513), 'small', { ttlSec: 60 });
    expect(await cache.get('v1/large')).toBeNull();
    expect(await cache.get('v1/many')).toBeNull();
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
    const { cache, failures } = aCache(failingKv());
    expect(await cache.get('v1/a')).toBeNull();
    await cache.put('v1/a', 1, { ttlSec: 60 });
    await cache.drop('v1/a');
    expect(failures).toHaveLength(3);
    await expect(cache.probe('v1/a')).rejects.toThrow('500');
  });

  it('writes a key once a second at most, another one at once', async ({ expect }) => {
    const { cache, clock } = aCache();
    const put = (key: string, value: number) => cache.put(key, value, { ttlSec: 60 });
    await put('v1/a', 1);
    await put('v1/b', 1);
    clock.advance(SECOND_MS - 1);
    await put('v1/a', 2);
    expect([await cache.get('v1/a'), await cache.get('v1/b')]).toEqual([1, 1]);
    clock.advance(1);
    await put('v1/a', 3);
    expect(await cache.get('v1/a')).toBe(3);
  });

  it('takes it that another isolate was faster', async ({ expect }) => {
    const { cache, failures } = aCache(failingKv('KV PUT failed: 429 Too Many Requests'));
    await cache.put('v1/a', 1, { ttlSec: 60 });
    expect(failures).toEqual([]);
  });

  it('forgets what it is told to', async ({ expect }) => {
    const { cache, failures } = aCache();
    await cache.put('v1/a', 1, { ttlSec: 60 });
    await cache.drop('v1/a');
    await cache.drop('v1/never-there');
    await cache.drop('k'.repeat(513));
    expect(await cache.get('v1/a')).toBeNull();
    expect(failures).toEqual([]);
  });
});

describe('the keys', () => {
  it('are ASCII, and no two lists of names have one', ({ expect }) => {
    const names = ['a', 'a/b', 'b/c', 'c', 'a_b', 'a%2Fb', 'ä', '\ud800', '', 'a b', '%'];
    const keys = names.flatMap((namespace) =>
      names.map((repository) => repoBlobKey({ namespace, repository, digest: 'sha256:0' })),
    );
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.some((key) => /[^!-~]/.test(key))).toBe(false);
    expect(repoBlobKey({ namespace: 'acme', repository: 'app', digest: 'd' })).toBe(
      'v1/blob/acme/app/d',
    );
  });
});
