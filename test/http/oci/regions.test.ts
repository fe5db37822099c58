import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it, vi } from 'vitest';

import { authDeps, openScope } from '../../../src/deps.ts';
import { createApp } from '../../../src/http/app.ts';
import { parseCountryCode, type RegionMode } from '../../../src/model/regions.ts';
import { readSettings } from '../../../src/settings.ts';
import {
  type Answer,
  type Call,
  errorsOf,
  imageIn,
  pushImage,
  readAnswer,
  refusal,
  requestOf,
  send,
  uploadBlob,
} from '../../support/http.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute } from '../../support/stage.ts';

let namespaces = 0;

/** A namespace of its own with an image and a blob: isolates remember what others block. */
async function aScene() {
  namespaces += 1;
  const namespace = `regions-${namespaces}`;
  const name = `${namespace}/app`;
  const image = await pushImage(name, 'latest');
  const blob = await uploadBlob(name);
  const rule = async (mode: RegionMode, ...codes: readonly string[]) => {
    const blocked = codes.map(parseCountryCode).filter((code) => code !== null);
    const { operations, settleDeferred } = openTestRegistry();
    await operations.replaceRegionRules(namespace, { mode, blocked });
    await settleDeferred();
  };
  const paths = {
    tag: `/v2/${name}/manifests/latest`,
    digest: `/v2/${name}/manifests/${image.digest}`,
    blob: `/v2/${name}/blobs/${blob}`,
  };
  return { namespace, name, image, rule, paths: Object.values(paths), ...paths };
}

/** What the answer says it asked of the database and of KV. */
function cost({ headers }: Pick<Answer, 'headers'>): string {
  const timing = headers.get('Server-Timing') ?? '';
  const [, trips] = /d1;desc="(\d+) round trips/.exec(timing) ?? [];
  const [, reads] = /kv;desc="(\d+) read/.exec(timing) ?? [];
  return `${trips} D1, ${reads} KV`;
}

/** A Worker in a location that keeps its answers to pulls by digest. */
function aLocation() {
  const settings = { ...readSettings(env), answerTtlSec: 60 };
  const app = createApp({
    auth: authDeps(env, settings),
    openScope: ({ bookmark, context }) => openScope(env, { settings, bookmark, context }),
  });
  return async (method: string, path: string, call: Call) => {
    const context = createExecutionContext();
    const answer = await readAnswer(await app.fetch(requestOf(method, path, call), env, context));
    await waitOnExecutionContext(context);
    return answer;
  };
}

describe('a namespace that enforces its region rules', () => {
  it('refuses manifests and blobs to the countries it blocks, and serves all others', async ({
    expect,
  }) => {
    const { namespace, rule, paths } = await aScene();
    await rule('enforce', 'US', 'KP');
    for (const path of paths) {
      const refused = await send('GET', path, { country: 'US' });
      expect(refused.status).toBe(403);
      expect(errorsOf(refused)).toEqual([
        {
          code: 'DENIED',
          message: `'${namespace}' is not served in this country (US)`,
          detail: { reason: 'REGION_BLOCKED', country: 'US' },
        },
      ]);
      expect(refusal(await send('GET', path, { country: 'KP' }))).toBe('403 DENIED');
      expect((await send('GET', path, { country: 'DE' })).status).toBe(200);
    }
  });

  it('refuses them whatever a request adds: a range, a moment, what it has already, a token', async ({
    expect,
  }) => {
    const { name, rule, tag, blob, image } = await aScene();
    await rule('enforce', 'US');
    const scope = `repository:${name}:pull,push`;
    const issued = await send('GET', `/v2/auth?scope=${scope}`, { country: 'US' });
    const { token } = JSON.parse(issued.text) as { token: string };
    const calls: readonly (readonly [string, Call])[] = [
      [blob, { headers: { Range: 'bytes=0-1' } }],
      [tag, { headers: { 'Berth-At': new Date().toISOString() } }],
      [tag, { headers: { 'If-None-Match': `"${image.digest}"` } }],
      [tag, { authorization: `Bearer ${token}` }],
      [blob, { authorization: `Bearer ${token}` }],
    ];
    for (const [path, call] of calls) {
      expect(refusal(await send('GET', path, { ...call, country: 'US' }))).toBe('403 DENIED');
    }
  });

  it('lets HEADs through, and pushes with all that belongs to them', async ({ expect }) => {
    const { name, rule, paths } = await aScene();
    await rule('enforce', 'US');
    for (const path of paths) {
      expect((await send('HEAD', path, { country: 'US' })).status).toBe(200);
    }
    const image = await imageIn(name);
    const put = await send('PUT', `/v2/${name}/manifests/next`, {
      headers: { 'Content-Type': image.mediaType },
      body: image.bytes,
      country: 'US',
    });
    expect(put.status).toBe(201);
    const started = await send('POST', `/v2/${name}/blobs/uploads/`, { country: 'US' });
    expect(started.status).toBe(202);
    const tags = await send('GET', `/v2/${name}/tags/list`, { country: 'US' });
    expect(tags.status).toBe(200);
  });

  it('serves who comes from nowhere that the edge knows', async ({ expect }) => {
    const { rule, paths } = await aScene();
    await rule('enforce', 'US');
    for (const path of paths) {
      for (const call of [{}, { country: 'XX' }, { country: 'T1' }, { country: '' }]) {
        expect((await send('GET', path, call)).status).toBe(200);
      }
    }
  });

  it('serves everybody while the list cannot be loaded', async ({ expect }) => {
    const { rule, paths } = await aScene();
    await rule('enforce', 'US');
    await execute('ALTER TABLE namespace_geo_restriction RENAME TO hidden');
    const errors = vi.spyOn(console, 'error').mockReturnValue(undefined);
    for (const path of paths) {
      expect((await send('GET', path, { country: 'US' })).status).toBe(200);
    }
    expect(String(errors.mock.calls[0])).toContain('no such table');
    errors.mockRestore();
    await execute('ALTER TABLE hidden RENAME TO namespace_geo_restriction');
    expect(refusal(await send('GET', paths[0] ?? '', { country: 'US' }))).toBe('403 DENIED');
  });

  it('blocks nobody elsewhere', async ({ expect }) => {
    const [here, elsewhere] = [await aScene(), await aScene()];
    await here.rule('enforce', 'US');
    await elsewhere.rule('enforce', 'DE');
    for (const path of elsewhere.paths) {
      expect((await send('GET', path, { country: 'US' })).status).toBe(200);
    }
    const absent = await send('GET', `/v2/${elsewhere.name}/manifests/none`, { country: 'US' });
    expect(refusal(absent)).toBe('404 MANIFEST_UNKNOWN');
  });

  it('asks KV once in an isolate, and then remembers', async ({ expect }) => {
    const { rule, tag, blob } = await aScene();
    await rule('enforce', 'US');
    expect(cost(await send('GET', tag, { country: 'DE' }))).toBe('2 D1, 1 KV');
    expect(cost(await send('GET', tag, { country: 'US' }))).toBe('1 D1, 0 KV');
    expect(cost(await send('GET', blob, { country: 'DE' }))).toBe('1 D1, 0 KV');
  });
});

describe('a namespace that observes', () => {
  it('serves everybody, and the log says what it would refuse', async ({ expect }) => {
    const { name, rule, tag } = await aScene();
    await rule('observe', 'US');
    const lines = vi.spyOn(console, 'log').mockReturnValue(undefined);
    const decisions = () =>
      lines.mock.calls
        .map(([line]) => JSON.parse(String(line)) as Record<string, unknown>)
        .filter(({ event }) => event === 'region-blocked');
    expect((await send('GET', tag, { country: 'DE' })).status).toBe(200);
    expect(decisions()).toEqual([]);
    expect((await send('GET', tag, { country: 'US' })).status).toBe(200);
    expect(decisions()).toMatchObject([{ repository: name, country: 'US', isRefused: false }]);
    lines.mockRestore();
  });
});

describe('a namespace whose rules are off, or that has none', () => {
  it('serves everybody, and no pull asks for a list', async ({ expect }) => {
    const [none, off] = [await aScene(), await aScene()];
    await off.rule('off', 'US');
    for (const path of [...none.paths, ...off.paths]) {
      const answer = await send('GET', path, { country: 'US' });
      expect([answer.status, cost(answer)]).toEqual([200, '1 D1, 0 KV']);
    }
  });
});

describe('an answer that a location keeps', () => {
  it('is not given to a country that is blocked, whoever had it kept', async ({ expect }) => {
    const { rule, digest, blob } = await aScene();
    await rule('enforce', 'US');
    const call = aLocation();
    for (const path of [digest, blob]) {
      expect(refusal(await call('GET', path, { country: 'US' }))).toBe('403 DENIED');
      expect((await call('GET', path, { country: 'DE' })).status).toBe(200);
      const kept = await call('GET', path, { country: 'DE' });
      expect([kept.status, cost(kept)]).toEqual([200, '0 D1, 0 KV']);
      expect(refusal(await call('GET', path, { country: 'US' }))).toBe('403 DENIED');
      expect((await call('HEAD', path, { country: 'US' })).status).toBe(200);
    }
  });
});
