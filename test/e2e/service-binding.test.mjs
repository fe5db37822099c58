import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { startServer } from './server.mjs';
import { createSkopeo } from './skopeo.mjs';
import { writeIndex } from './source-images.mjs';

const EXAMPLE = 'examples/promotion/wrangler.toml';
const KEY = 'a key of the test';

describe('another Worker, bound to the registry', { timeout: 180_000 }, () => {
  /** @type {string} */
  let directory;
  /** @type {import('./server.mjs').Server} */
  let promotion;
  /** @type {Record<string, string>} */
  const digests = {};

  // What skopeo pushed is what the Worker finds: the registry runs first by itself, then both in one
  // runtime, where HTTP reaches the Worker alone.
  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'berth-e2e-'));
    const state = path.join(directory, 'state');
    const registry = await startServer(state);
    try {
      const skopeo = createSkopeo(path.join(directory, 'auth.json'));
      await skopeo('login', '-u', registry.username, '-p', registry.password, registry.host);
      for (const version of ['1.0', '1.1']) {
        const layers = [[{ name: 'version', bytes: Buffer.from(version) }]];
        const layout = path.join(directory, version);
        digests[version] = await writeIndex(layout, { architectures: ['amd64', 'arm64'], layers });
        const target = `docker://${registry.host}/acme/app:${version}`;
        await skopeo('copy', '--all', '--preserve-digests', `oci:${layout}:latest`, target);
      }
    } finally {
      await registry.stop();
    }
    promotion = await startServer(state, {
      flags: ['--config', EXAMPLE, '--config', 'wrangler.toml', '--var', `PROMOTION_KEY:${KEY}`],
    });
  });
  after(async () => {
    await promotion?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /**
   * @param {string} url
   * @param {{ method?: string, key?: string }} [options]
   */
  const ask = async (url, { method = 'GET', key = KEY } = {}) => {
    const headers = { Authorization: `Bearer ${key}` };
    const response = await fetch(`http://${promotion.host}${url}`, { method, headers });
    return { status: response.status, body: await response.json() };
  };

  const list = async () => {
    const { body } = await ask('/acme/app');
    return Object.fromEntries(
      body.map((/** @type {{ name: string, digest: string }} */ tag) => [tag.name, tag.digest]),
    );
  };

  it('asks its own callers for a key, since the binding asks nobody', async () => {
    assert.equal((await ask('/acme/app', { key: 'another' })).status, 401);
  });

  it('finds what was pushed, and moves a tag by it', async () => {
    assert.deepEqual(await list(), digests);
    const promoted = await ask('/acme/app/production?from=1.0', { method: 'POST' });
    assert.deepEqual(promoted, {
      status: 200,
      body: { name: 'production', digest: digests['1.0'] },
    });
    assert.equal((await ask('/acme/app/production?from=1.1', { method: 'POST' })).status, 200);
    assert.deepEqual(await list(), { ...digests, production: digests['1.1'] });
  });

  it('gets refusals by their code, and null for what is not there', async () => {
    const absent = await ask('/acme/app/production?from=2.0', { method: 'POST' });
    assert.deepEqual(absent, { status: 404, body: { error: "there is no tag '2.0'" } });
    assert.equal((await ask('/acme/none')).status, 404);
    const bad = await ask('/acme/app/-production?from=1.0', { method: 'POST' });
    assert.equal(bad.status, 400);
  });

  it('pays what the methods cost inside', async () => {
    const before = promotion.countCalls();
    await ask('/acme/app/production?from=1.0', { method: 'POST' });
    const calls = await promotion.callsSince(before, ({ method }) => method === 'retargetTag');
    assert.deepEqual(
      calls.map(({ method, outcome, d1RoundTrips }) => [method, outcome, d1RoundTrips]),
      [
        ['lookupRepository', 'done', 1],
        ['getRepoTag', 'done', 1],
        ['retargetTag', 'done', 2],
      ],
    );
  });
});
