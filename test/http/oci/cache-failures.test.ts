import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { parseCountryCode } from '../../../src/model/regions.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  aName,
  type Answer,
  descriptorOf,
  imageIn,
  pick,
  pushImage,
  putManifest,
  type send,
  uploadBlob,
} from '../../support/http.ts';
import { findViolations } from '../../support/invariants.ts';
import { isolateBeside } from '../../support/isolate.ts';
import { failingKv, forgetCache, overwriteCache } from '../../support/kv.ts';
import { type Location, stayIn } from '../../support/location.ts';
import { openTestRegistry } from '../../support/registry.ts';

type Ask = typeof send;

const seenOf = (answer: Answer): unknown => [
  answer.status,
  answer.text,
  pick(answer, 'content-type', 'content-length', 'docker-content-digest', 'link'),
];

const FROM_NORWAY = { country: 'NO' };

const away = () => Promise.reject(new Error('the cache is away'));

let worlds = 0;

/** Two repositories whose tags and countries differ, and what is asked about them. */
async function aWorld() {
  worlds += 1;
  const paths: string[] = [];
  for (const [place, blocked, blobBytes] of [
    ['north', 'NO', 64],
    ['south', 'SE', 65],
  ] as const) {
    // Isolates remember what namespaces block.
    const namespace = `${place}-${worlds}`;
    const name = `${namespace}/${aName().replace('/', '-')}`;
    const image = await pushImage(name, `${place}-1`);
    await putManifest(name, image, `${place}-2`);
    await putManifest(name, await imageIn(name, { subject: descriptorOf(image) }));
    const { operations, settleDeferred } = openTestRegistry();
    const codes = [parseCountryCode(blocked)].filter((code) => code !== null);
    await operations.replaceRegionRules(namespace, { mode: 'enforce', blocked: codes });
    await settleDeferred();
    const base = `/v2/${name}`;
    paths.push(
      `${base}/tags/list`,
      `${base}/tags/list?n=1`,
      `${base}/tags/list?n=1&last=${place}-1`,
      `${base}/manifests/${place}-1`,
      `${base}/manifests/${image.digest}`,
      `${base}/blobs/${await uploadBlob(name, uniqueBytes(blobBytes))}`,
      `${base}/blobs/${await uploadBlob(name, uniqueBytes(blobBytes + 10))}`,
      `${base}/referrers/${image.digest}`,
    );
  }
  const askAll = async (ask: Ask) => {
    const seen = [];
    for (const path of paths) {
      seen.push([path, seenOf(await ask('GET', path, FROM_NORWAY))]);
    }
    return seen;
  };
  return { paths, askAll };
}

const kindOf = (name: string) => name.split('/', 2).join('/');

/** Each key gets the value of the next one of its kind. */
async function shiftValues(): Promise<void> {
  const { keys } = await env.CACHE.list();
  const values = new Map<string, string | null>();
  for (const { name } of keys) {
    values.set(name, await env.CACHE.get(name));
  }
  for (const { name } of keys) {
    const kind = keys.map((key) => key.name).filter((key) => kindOf(key) === kindOf(name));
    const next = kind[(kind.indexOf(name) + 1) % kind.length] ?? name;
    await env.CACHE.put(name, values.get(next) ?? '');
  }
}

/** What may become of KV, whose values were all written, before it is asked again. */
const KV_FAILURES: Readonly<Record<string, () => Promise<Partial<KVNamespace>>>> = {
  'keeps all': async () => ({}),
  'forgot everything': async () => {
    await forgetCache();
    return {};
  },
  'fails at each call': async () => ({ get: away, put: away, delete: away }),
  'fails at reads': async () => ({ get: away }),
  'forgot everything and fails at writes': async () => {
    await forgetCache();
    return { put: away };
  },
  'has what is no JSON': async () => {
    await overwriteCache('{"value": [');
    return {};
  },
  'has JSON of another form': async () => {
    await overwriteCache(JSON.stringify({ version: '1', value: { items: [] } }));
    return {};
  },
  'has nothing in its values': async () => {
    await overwriteCache('null');
    return {};
  },
  'gives the values of other keys': async () => {
    await shiftValues();
    return {};
  },
};

/** The isolates of all tests, and what their KV does otherwise than the real one. */
async function openIsolates() {
  const world: { members: Partial<KVNamespace> } = { members: {} };
  const CACHE = new Proxy(env.CACHE, {
    get(target, name) {
      const member: unknown = Reflect.get(world.members, name) ?? Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  return {
    world,
    without: await isolateBeside({ CACHE: failingKv() }),
    filling: await isolateBeside({}),
    asking: await isolateBeside({ CACHE }),
    keeping: await isolateBeside({ ANSWER_TTL_SEC: '60' }),
  };
}

let isolates: Awaited<ReturnType<typeof openIsolates>> | undefined;

describe('the cache of values', () => {
  it.for(Object.entries(KV_FAILURES))(
    'changes no answer where it %s',
    async ([, fail], context) => {
      const { expect } = context;
      isolates ??= await openIsolates();
      const { world, without, filling, asking } = isolates;
      const { askAll } = await aWorld();
      const right = await askAll(without);
      expect(JSON.stringify(right)).toContain('north-2');
      expect(JSON.stringify(right)).toContain('DENIED');
      await askAll(filling);
      // Pages of three sizes and the countries, of both.
      expect((await env.CACHE.list()).keys.length).toBe(8);
      world.members = await fail();
      expect(await askAll(asking)).toEqual(right);
      expect(await askAll(asking)).toEqual(right);
      expect(await findViolations()).toEqual([]);
    },
  );
});

/** What may become of a location that has kept every answer; it gives the cache as it is then. */
const LOCATION_FAILURES: Readonly<Record<string, (keys: readonly string[]) => Partial<Location>>> =
  {
    'keeps all': () => ({}),
    'keeps nothing': () => ({ match: async () => undefined }),
    'fails at each call': () => ({ match: away, put: away, delete: away }),
    'fails at reads': () => ({ match: away }),
    'keeps nothing and fails at writes': () => ({ match: async () => undefined, put: away }),
    'gives what is no JSON': () => matching(async () => new Response('<html>no</html>')),
    'gives nothing': () => matching(async () => new Response(null)),
    'gives null': () => matching(async () => Response.json(null)),
    'gives JSON of another form': () => matching(async () => Response.json({ repository: {} })),
    'cuts off what it kept': () =>
      matching(async (found) => {
        const bytes = await found.arrayBuffer();
        return new Response(bytes.slice(0, bytes.byteLength / 2));
      }),
    'breaks off while it is read': () =>
      matching(async (found) => new Response(breakingOff(await found.arrayBuffer()))),
    'gives what it kept of others': (keys) => ({
      match: async (key) => {
        const alike = keys.filter((other) => kindOfAnswer(other) === kindOfAnswer(key));
        return realLocation.match(alike[(alike.indexOf(key) + 1) % alike.length] ?? '');
      },
    }),
  };

/** The scheme, host, version and kind of a key. */
const kindOfAnswer = (key: string) => key.split('/').slice(0, 5).join('/').split('sha256')[0];

/** A location that gives something else instead of what it kept. */
const matching = (change: (found: Response) => Promise<Response>): Partial<Location> => ({
  match: async (key) => {
    const found = await realLocation.match(key);
    return found && change(found);
  },
});

const realLocation = caches.default;

function breakingOff(bytes: ArrayBuffer): ReadableStream<Uint8Array> {
  let isFirst = true;
  return new ReadableStream({
    pull(controller) {
      if (!isFirst) {
        controller.error(new Error('the location cache broke off'));
      }
      isFirst = false;
      controller.enqueue(new Uint8Array(bytes.slice(0, bytes.byteLength / 2)));
    },
  });
}

describe('the cache of a location', () => {
  it.for(Object.entries(LOCATION_FAILURES))(
    'changes no answer where it %s',
    async ([, fail], { expect }) => {
      const { paths, askAll } = await aWorld();
      isolates ??= await openIsolates();
      const { keeping: ask, without } = isolates;
      const right = await askAll(without);
      const keys: string[] = [];
      stayIn({
        put: async (key, response) => {
          keys.push(key);
          await realLocation.put(key, response);
        },
      });
      expect(await askAll(ask)).toEqual(right);
      // A manifest and two blobs, of both, and the bytes of those that Norway may have.
      expect(keys.length).toBe(8);
      stayIn(fail(keys));
      expect(await askAll(ask)).toEqual(right);
      expect(await askAll(ask)).toEqual(right);
      const [, , , , , blob = ''] = paths;
      expect((await ask('DELETE', blob)).status).toBe(202);
      expect((await ask('GET', blob)).status).toBe(404);
      expect(await findViolations()).toEqual([]);
    },
  );
});
