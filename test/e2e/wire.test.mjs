import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { startServer } from './server.mjs';

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const REPOSITORY = 'by-hand/image';
const CONFIG = Buffer.from('{}');
const LAYER = Buffer.from('0123456789'.repeat(200));
const MANIFEST = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: describeBytes('application/vnd.oci.empty.v1+json', CONFIG),
    layers: [describeBytes('application/octet-stream', LAYER)],
  }),
);

/**
 * @param {string} mediaType
 * @param {Buffer} bytes
 */
function describeBytes(mediaType, bytes) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/**
 * @param {Buffer} bytes
 * @returns {string}
 */
function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * @param {Response} response
 * @param {{ status: number, code: string }} wanted
 */
async function assertRefused(response, { status, code }) {
  assert.equal(response.status, status);
  const { errors } = /** @type {{ errors: { code: string }[] }} */ (await response.json());
  assert.deepEqual(
    errors.map((error) => error.code),
    [code],
  );
}

describe('the wire', { timeout: 120_000 }, () => {
  /** @type {string} */
  let directory;
  /** @type {import('./server.mjs').Server} */
  let server;

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'berth-e2e-'));
    server = await startServer(path.join(directory, 'state'));
  });
  after(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /**
   * @param {string} url absolute, or under the registry's origin
   * @param {RequestInit} [init]
   */
  const request = (url, init) => fetch(new URL(url, `http://${server.host}`), init);

  /** @param {string} password */
  const basic = (password) =>
    `Basic ${Buffer.from(`${server.username}:${password}`).toString('base64')}`;

  /**
   * Asks where the challenge says, as a client does.
   * @param {string} scope
   * @param {string} [password]
   */
  const askForToken = async (scope, password = server.password) => {
    const challenge = (await request('/v2/')).headers.get('WWW-Authenticate') ?? '';
    const [, realm = '', service = ''] = /realm="([^"]+)",service="([^"]+)"/.exec(challenge) ?? [];
    const query = new URLSearchParams({ service, scope });
    return request(`${realm}?${query}`, { headers: { Authorization: basic(password) } });
  };

  /** @param {string} actions */
  const authorize = async (actions) => {
    const answer = await askForToken(`repository:${REPOSITORY}:${actions}`);
    assert.equal(answer.status, 200);
    const { token } = /** @type {{ token: string }} */ (await answer.json());
    return { Authorization: `Bearer ${token}` };
  };

  it('challenges a request without credentials', async () => {
    const response = await request('/v2/');
    assert.equal(
      response.headers.get('WWW-Authenticate'),
      `Bearer realm="http://${server.host}/v2/auth",service="${server.host}"`,
    );
    assert.equal(response.headers.get('Docker-Distribution-API-Version'), 'registry/2.0');
    await assertRefused(response, { status: 401, code: 'UNAUTHORIZED' });
  });

  it('names the scope that a request lacks', async () => {
    const uploads = `/v2/${REPOSITORY}/blobs/uploads/`;
    const headers = await authorize('pull');
    const response = await request(uploads, { method: 'POST', headers });
    assert.match(
      response.headers.get('WWW-Authenticate') ?? '',
      new RegExp(`,scope="repository:${REPOSITORY}:pull,push"$`),
    );
    await assertRefused(response, { status: 401, code: 'UNAUTHORIZED' });
  });

  it('gives no token for a wrong password', async () => {
    const response = await askForToken(`repository:${REPOSITORY}:pull`, 'wrong');
    await assertRefused(response, { status: 401, code: 'UNAUTHORIZED' });
  });

  it('takes the password directly', async () => {
    const headers = { Authorization: basic(server.password) };
    assert.equal((await request('/v2/', { headers })).status, 200);
    const refused = await request('/v2/', { headers: { Authorization: basic('wrong') } });
    await assertRefused(refused, { status: 401, code: 'UNAUTHORIZED' });
  });

  describe('an image pushed by hand', () => {
    before(async () => {
      const headers = await authorize('pull,push');
      for (const blob of [CONFIG, LAYER]) {
        const started = await request(`/v2/${REPOSITORY}/blobs/uploads/`, {
          method: 'POST',
          headers,
        });
        assert.equal(started.status, 202);
        const session = new URL(started.headers.get('Location') ?? '', `http://${server.host}`);
        session.searchParams.set('digest', digestOf(blob));
        const closed = await request(session.href, {
          method: 'PUT',
          headers: { ...headers, 'Content-Type': 'application/octet-stream' },
          body: blob,
        });
        assert.equal(closed.status, 201);
        assert.equal(closed.headers.get('Docker-Content-Digest'), digestOf(blob));
      }
      const put = await request(`/v2/${REPOSITORY}/manifests/v1`, {
        method: 'PUT',
        headers: { ...headers, 'Content-Type': MANIFEST_TYPE },
        body: MANIFEST,
      });
      assert.equal(put.status, 201);
      assert.equal(put.headers.get('Docker-Content-Digest'), digestOf(MANIFEST));
    });

    for (const method of ['GET', 'HEAD']) {
      // Go's HTTP client asks for gzip by itself and drops the length of what comes compressed.
      it(`answers ${method} of its manifest unencoded, with its exact type and length`, async () => {
        const response = await request(`/v2/${REPOSITORY}/manifests/v1`, {
          method,
          headers: { ...(await authorize('pull')), 'Accept-Encoding': 'gzip' },
        });
        assert.equal(response.status, 200);
        assert.equal(response.headers.get('Content-Type'), MANIFEST_TYPE);
        assert.equal(response.headers.get('Content-Length'), String(MANIFEST.length));
        assert.equal(response.headers.get('Content-Encoding'), null);
        assert.equal(response.headers.get('Docker-Content-Digest'), digestOf(MANIFEST));
        assert.equal(await response.text(), method === 'GET' ? MANIFEST.toString() : '');
      });
    }

    it('gives a range of a blob', async () => {
      const response = await request(`/v2/${REPOSITORY}/blobs/${digestOf(LAYER)}`, {
        headers: { ...(await authorize('pull')), Range: 'bytes=500-1499' },
      });
      assert.equal(response.status, 206);
      assert.equal(response.headers.get('Content-Range'), `bytes 500-1499/${LAYER.length}`);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), LAYER.subarray(500, 1500));
    });

    it('is told apart from a tag that does not exist', async () => {
      const headers = await authorize('pull');
      const response = await request(`/v2/${REPOSITORY}/manifests/v2`, { headers });
      await assertRefused(response, { status: 404, code: 'MANIFEST_UNKNOWN' });
    });
  });
});
