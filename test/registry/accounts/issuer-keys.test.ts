import { env } from 'cloudflare:workers';
import { afterEach, describe, it } from 'vitest';

import { TestClock } from '../../support/clock.ts';
import { FakeIssuer, ISSUER_PATHS } from '../../support/issuer.ts';
import { openTestRegistry } from '../../support/registry.ts';

const URL_OF_ISSUER = 'https://issuer.example.com';
const OTHER = 'https://keys.example.com';

/** What KV gets after the answers must not reach the test that follows. */
const opened: ReturnType<typeof openTestRegistry>[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ settleDeferred }) => settleDeferred()));
});

/** An issuer and isolates that may ask it: one clock, one KV, each with a memory of its own. */
async function aWorld(url = URL_OF_ISSUER) {
  const issuer = new FakeIssuer(url);
  await issuer.addKey('one');
  const clock = new TestClock();
  const anIsolate = () => {
    const registry = openTestRegistry({
      clock,
      settings: { oidcIssuers: [url, OTHER] },
      fetch: issuer.fetch,
    });
    opened.push(registry);
    return { ...registry, ...registry.operations };
  };
  return { issuer, clock, anIsolate };
}

const idsOf = (set: { readonly keys: readonly { readonly kid?: string | undefined }[] } | null) =>
  set?.keys.map(({ kid }) => kid);

describe('the keys of an issuer', () => {
  it('are asked for once in ten minutes, by all isolates together', async ({ expect }) => {
    const { issuer, clock, anIsolate } = await aWorld();
    const [first, second] = [anIsolate(), anIsolate()];
    expect(idsOf(await first.issuerKeys(issuer.url))).toEqual(['one']);
    expect(issuer.asked).toEqual([
      `${issuer.url}${ISSUER_PATHS.discovery}`,
      `${issuer.url}${ISSUER_PATHS.keys}`,
    ]);
    await first.settleDeferred();
    expect(idsOf(await second.issuerKeys(issuer.url))).toEqual(['one']);
    expect(idsOf(await first.issuerKeys(issuer.url))).toEqual(['one']);
    // The first remembers them: KV was read once by each, and written once.
    expect([first, second].map(({ meter }) => meter.usage.kvReads)).toEqual([1, 1]);
    expect([first, second].map(({ meter }) => meter.usage.kvWrites)).toEqual([1, 0]);

    clock.advance(599_999);
    await anIsolate().issuerKeys(issuer.url);
    expect(issuer.asked).toHaveLength(2);
    clock.advance(1);
    await issuer.addKey('two');
    expect(idsOf(await first.issuerKeys(issuer.url))).toEqual(['one', 'two']);
    expect(issuer.asked).toHaveLength(4);
  });

  it('are asked for again by who misses one, once in ten seconds', async ({ expect }) => {
    const { issuer, clock, anIsolate } = await aWorld();
    const isolate = anIsolate();
    const known = await isolate.issuerKeys(issuer.url);
    if (known === null) {
      throw new Error('the issuer is not allowed');
    }
    await issuer.addKey('two');
    // What is so new has what there is.
    clock.advance(9999);
    expect(await isolate.newerIssuerKeys(issuer.url, known)).toBe(known);
    expect(issuer.asked).toHaveLength(2);

    clock.advance(1);
    const [newer, meanwhile] = await Promise.allSettled([
      isolate.newerIssuerKeys(issuer.url, known),
      isolate.newerIssuerKeys(issuer.url, known),
    ]);
    expect(newer).toMatchObject({ value: { keys: [{ kid: 'one' }, { kid: 'two' }] } });
    // Whoever asks while it is asked is told to come back, not that there is no such key.
    expect(meanwhile).toMatchObject({ reason: { code: 'IssuerUnavailable' } });
    expect(issuer.asked).toHaveLength(4);
    for (let attacks = 0; attacks < 20; attacks += 1) {
      expect(idsOf(await isolate.newerIssuerKeys(issuer.url, known))).toEqual(['one', 'two']);
    }
    expect(issuer.asked).toHaveLength(4);
    await isolate.settleDeferred();
    expect(idsOf(await anIsolate().issuerKeys(issuer.url))).toEqual(['one', 'two']);
    expect(issuer.asked).toHaveLength(4);
  });

  it('of whom the administrator does not allow are not asked for', async ({ expect }) => {
    const { issuer, anIsolate } = await aWorld();
    for (const url of [`${issuer.url}/`, 'https://evil.example.com', 'http://issuer.example.com']) {
      expect(await anIsolate().issuerKeys(url)).toBeNull();
    }
    expect(issuer.asked).toEqual([]);
  });

  it('are public keys for signatures, and no more than verifying needs', async ({ expect }) => {
    const { issuer, anIsolate } = await aWorld();
    const [key] = issuer.keys;
    issuer.answers.set(ISSUER_PATHS.keys, () =>
      Response.json({
        keys: [
          { ...key, kid: 'leaked', x5c: ['MII'] },
          { ...key, kid: 'for encryption', use: 'enc' },
          { kty: 'oct', kid: 'shared', k: 'c2VjcmV0' },
          'no key',
          null,
        ],
      }),
    );
    const { kty, crv, x, y } = key ?? {};
    const expected = [{ kty, crv, x, y, kid: 'leaked', alg: 'ES256', use: 'sig' }];
    const isolate = anIsolate();
    expect((await isolate.issuerKeys(issuer.url))?.keys).toEqual(expected);
    await isolate.settleDeferred();
    const [kept] = (await env.CACHE.list()).keys;
    expect(kept?.name).toBe('v1/issuer-keys/https%3A%2F%2Fissuer.example.com');
    expect(await env.CACHE.get(kept?.name ?? '')).not.toContain(key?.d);
  });

  it('may be at the host of another issuer that is allowed, and below a path', async ({
    expect,
  }) => {
    const { issuer, anIsolate } = await aWorld(`${URL_OF_ISSUER}/realms/acme/`);
    await anIsolate().issuerKeys(issuer.url);
    expect(issuer.asked[0]).toBe(`${URL_OF_ISSUER}/realms/acme/.well-known/openid-configuration`);
    issuer.answers.set(ISSUER_PATHS.discovery, () =>
      Response.json(issuer.discovery({ jwks_uri: `${OTHER}/certs` })),
    );
    await anIsolate()
      .issuerKeys(issuer.url)
      .catch(() => null);
    expect(issuer.asked.at(-1)).toBe(`${OTHER}/certs`);
  });
});

const { discovery, keys } = ISSUER_PATHS;
const endless = () =>
  new Response(
    new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(0x20)),
    }),
  );
const hanging = (signal: AbortSignal) =>
  new Promise<Response>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
const document = (more: object) => () =>
  Response.json(new FakeIssuer(URL_OF_ISSUER).discovery(more));

describe('an issuer that fails', () => {
  const failures: readonly (readonly [
    what: string,
    path: string,
    answer: (signal: AbortSignal) => Response | Promise<Response>,
    reason: string,
  ])[] = [
    ['refuses', discovery, () => new Response('', { status: 500 }), 'with 500'],
    ['has no keys', keys, () => new Response('', { status: 404 }), 'with 404'],
    [
      'leads elsewhere',
      discovery,
      () => new Response(null, { status: 302, headers: { Location: 'https://169.254.169.254/' } }),
      'with 302',
    ],
    [
      'leads elsewhere for its keys',
      keys,
      () => new Response(null, { status: 307, headers: { Location: `${OTHER}/keys` } }),
      'with 307',
    ],
    ['cannot be reached', discovery, () => Promise.reject(new TypeError('no route')), 'no route'],
    ['answers with something else', discovery, () => new Response('<html>'), 'not JSON'],
    ['answers without end', keys, endless, 'more than 262144 bytes'],
    ['never answers', discovery, hanging, 'within 4000 ms'],
    ['is another', discovery, document({ issuer: OTHER }), 'that of another issuer'],
    ['says not where its keys are', discovery, document({ jwks_uri: 1 }), 'none, or'],
    ['has its keys anywhere', discovery, document({ jwks_uri: 'https://x.test/' }), 'at the host'],
    ['has its keys nowhere', discovery, document({ jwks_uri: 'keys' }), 'at the host'],
    [
      'has its keys in the open',
      discovery,
      document({ jwks_uri: 'http://issuer.example.com/keys' }),
      'at the host',
    ],
    [
      'has its keys at another port',
      discovery,
      document({ jwks_uri: 'https://issuer.example.com:8443/keys' }),
      'at the host',
    ],
    [
      'hides another host behind its own',
      discovery,
      document({ jwks_uri: 'https://issuer.example.com@evil.test/keys' }),
      'at the host',
    ],
    ['has no set of keys', keys, () => Response.json([]), 'no set of keys'],
    [
      'has keys without number',
      keys,
      () => Response.json({ keys: Array.from({ length: 101 }, () => ({})) }),
      'no set of keys',
    ],
  ];
  it.for(failures)('because it %s is told of, and left alone', async (failure, { expect }) => {
    const [, path, answer, reason] = failure;
    const { issuer, clock, anIsolate } = await aWorld();
    const isolate = anIsolate();
    issuer.answers.set(path, answer);
    const refused = (why: string) => ({
      code: 'IssuerUnavailable',
      message: `the keys of ${URL_OF_ISSUER} cannot be had now; try again`,
      detail: { issuer: URL_OF_ISSUER, reason: expect.stringContaining(why) as unknown },
    });
    await expect(isolate.issuerKeys(issuer.url)).rejects.toMatchObject(refused(reason));
    const asked = issuer.asked.length;
    await expect(isolate.issuerKeys(issuer.url)).rejects.toMatchObject(refused('seconds ago'));
    expect(issuer.asked).toHaveLength(asked);
    issuer.answers.clear();
    clock.advance(10_000);
    expect(idsOf(await isolate.issuerKeys(issuer.url))).toEqual(['one']);
  });

  it('does not take away the keys that it gave', async ({ expect }) => {
    const { issuer, clock, anIsolate } = await aWorld();
    const isolate = anIsolate();
    const known = await isolate.issuerKeys(issuer.url);
    issuer.answers.set(discovery, () => new Response('', { status: 503 }));
    clock.advance(300_000);
    expect(await isolate.issuerKeys(issuer.url)).toBe(known);
    await expect(
      isolate.newerIssuerKeys(issuer.url, known ?? { fetchedMs: 0, keys: [] }),
    ).rejects.toMatchObject({ code: 'IssuerUnavailable' });
    expect(await isolate.issuerKeys(issuer.url)).toBe(known);
  });
});
