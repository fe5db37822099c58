import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';
import { z } from 'zod';

import { retrieve, retrieveCurrent } from '../../src/registry/model-cache.ts';
import { IsolateMemory } from '../../src/storage/isolate-memory.ts';
import { SECOND_MS, TestClock } from '../support/clock.ts';
import { openTestRegistry } from '../support/registry.ts';

const TTL_SEC = 60;
const KEY = 'v1/test/a';
const kind = { key: KEY, ttlSec: TTL_SEC, shape: z.string().nullable() };

/** A reader with a cache and a count of what it loaded: `one`, `two`, … */
function aReader({ clock = new TestClock() }: { readonly clock?: TestClock } = {}) {
  const registry = openTestRegistry({ clock });
  const values = ['one', 'two', 'three', 'four'];
  let loads = 0;
  const load = async (): Promise<string | null> => values[loads++] ?? null;
  return {
    ...registry,
    load,
    loads: () => loads,
    read: async (options: Parameters<typeof retrieve<string | null>>[3] = {}) => {
      const value = await retrieve(kind, load, registry.deps, options);
      await registry.settleDeferred();
      return value;
    },
  };
}

describe('retrieve', () => {
  it('loads once, and gives what is kept until its time is over', async ({ expect }) => {
    const { read, clock, loads } = aReader();
    expect([await read(), await read()]).toEqual(['one', 'one']);
    clock.advance(TTL_SEC * SECOND_MS - 1);
    expect(await read()).toBe('one');
    clock.advance(1);
    expect(await read()).toBe('two');
    expect(loads()).toBe(2);
  });

  it('writes after the answer, and once', async ({ expect }) => {
    const { deps, load, meter, settleDeferred } = aReader();
    const deferred: Promise<unknown>[] = [];
    const written = Promise.withResolvers<void>();
    const slow = {
      ...deps,
      defer: (work: Promise<unknown>) => deferred.push(work),
      cache: { ...deps.cache, put: () => written.promise },
    };
    expect(await retrieve(kind, load, slow)).toBe('one');
    expect(deferred).toHaveLength(1);
    written.resolve();
    await settleDeferred();
    expect(meter.usage.kvReads).toBe(1);
  });

  it('keeps no null, and only what the caller wants kept', async ({ expect }) => {
    const { deps, meter, settleDeferred } = aReader();
    expect(await retrieve(kind, async () => null, deps)).toBeNull();
    expect(
      await retrieve(kind, async () => 'x', deps, { shouldCache: (value) => value !== 'x' }),
    ).toBe('x');
    await settleDeferred();
    expect(meter.usage.kvWrites).toBe(0);
    expect(await retrieve(kind, async () => null, deps, { shouldCache: () => true })).toBeNull();
    await settleDeferred();
    expect(await retrieve(kind, async () => 'never loaded', deps)).toBeNull();
  });

  it('throws what loading throws, and keeps nothing then', async ({ expect }) => {
    const { deps, meter, read } = aReader();
    const failing = retrieve(kind, () => Promise.reject(new Error('no database')), deps);
    await expect(failing).rejects.toThrow('no database');
    expect(meter.usage.kvWrites).toBe(0);
    expect(await read()).toBe('one');
  });

  it('takes for a miss what is kept in no form, in another one, or of another key', async ({
    expect,
  }) => {
    const far = Number.MAX_SAFE_INTEGER;
    for (const kept of [
      7,
      [],
      { value: 'kept' },
      { key: KEY, version: '', value: 'kept' },
      { key: KEY, version: 'other', validUntilMs: far, value: 'kept' },
      { key: KEY, version: '', validUntilMs: far, value: 7 },
      { version: '', validUntilMs: far, value: 'kept' },
      { key: 'v1/test/b', version: '', validUntilMs: far, value: 'kept' },
    ]) {
      await env.CACHE.put(KEY, JSON.stringify(kept));
      expect(await aReader().read()).toBe('one');
    }
  });

  it('asks the memory before the cache, which forgets when the cache does', async ({ expect }) => {
    const clock = new TestClock();
    const first = aReader({ clock });
    expect(await first.read()).toBe('one');
    clock.advance(40 * SECOND_MS);
    const second = aReader({ clock });
    const memory = new IsolateMemory<string | null>(10);
    expect(await second.read({ memory })).toBe('one');
    await env.CACHE.delete(KEY);
    clock.advance(20 * SECOND_MS - 1);
    expect(await second.read({ memory })).toBe('one');
    expect(second.meter.usage.kvReads).toBe(1);
    clock.advance(1);
    expect([await second.read({ memory }), second.loads()]).toEqual(['one', 1]);
    clock.advance(TTL_SEC * SECOND_MS);
    expect([await second.read({ memory }), second.loads()]).toEqual(['two', 2]);
  });

  it('lets no kept value outlive what it says, whatever that is', async ({ expect }) => {
    const { read, clock } = aReader();
    const memory = new IsolateMemory<string | null>(10);
    const validUntilMs = Number.MAX_SAFE_INTEGER;
    await env.CACHE.put(
      KEY,
      JSON.stringify({ key: KEY, version: '', validUntilMs, value: 'kept' }),
    );
    expect(await read({ memory })).toBe('kept');
    await env.CACHE.delete(KEY);
    clock.advance(TTL_SEC * SECOND_MS);
    expect(await read({ memory })).toBe('one');
  });
});

/** Reads under a version that the test sets. */
function aVersionedReader() {
  const reader = aReader();
  const world: { version: number | null } = { version: 1 };
  const read = async () => {
    const found = await retrieveCurrent(
      kind,
      {
        nowMs: reader.clock.nowMs(),
        readVersion: async () => world.version,
        nameVersion: String,
        load: reader.load,
      },
      reader.deps,
    );
    await reader.settleDeferred();
    return found?.value ?? null;
  };
  return { ...reader, read, world };
}

describe('retrieveCurrent', () => {
  it('gives what is kept while it has the current version', async ({ expect }) => {
    const { read, world, clock } = aVersionedReader();
    expect([await read(), await read()]).toEqual(['one', 'one']);
    world.version = 2;
    clock.advance(SECOND_MS);
    expect([await read(), await read()]).toEqual(['two', 'two']);
    world.version = 1;
    clock.advance(SECOND_MS);
    expect(await read()).toBe('three');
    world.version = null;
    expect(await read()).toBeNull();
  });

  it('reads the cache while it reads the version', async ({ expect }) => {
    const { deps, load, clock } = aReader();
    const order: string[] = [];
    const version = Promise.withResolvers<number>();
    const found = retrieveCurrent(
      kind,
      {
        nowMs: clock.nowMs(),
        readVersion: () => version.promise,
        nameVersion: String,
        load,
      },
      {
        ...deps,
        cache: {
          ...deps.cache,
          get: async (key) => {
            order.push('cache');
            const value = await deps.cache.get(key);
            order.push('version');
            version.resolve(1);
            return value;
          },
        },
      },
    );
    expect((await found)?.value).toBe('one');
    expect(order).toEqual(['cache', 'version']);
  });
});
