import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { startServer } from './server.mjs';
import { incompressible } from './source-images.mjs';

const MIB = 1024 * 1024;
const CHUNK_BYTES = 5 * MIB;
const LARGE = incompressible(64 * MIB);
const REPOSITORY = '/v2/large/blobs-and-more';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/**
 * @param {Uint8Array} bytes
 * @returns {string}
 */
function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

describe('large and interrupted uploads', { timeout: 120_000 }, () => {
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

  const authorization = () =>
    `Basic ${Buffer.from(`${server.username}:${server.password}`).toString('base64')}`;

  /**
   * @param {string} url absolute, or under the registry's origin
   * @param {Omit<RequestInit, 'headers'> & { headers?: Record<string, string>, duplex?: 'half' }} [init]
   */
  const request = (url, init = {}) =>
    fetch(new URL(url, `http://${server.host}`), {
      ...init,
      headers: { ...init.headers, Authorization: authorization() },
    });

  const startUpload = async () => {
    const started = await request(`${REPOSITORY}/blobs/uploads/`, { method: 'POST' });
    assert.equal(started.status, 202);
    return started.headers.get('Location') ?? '';
  };

  /**
   * @param {string} session
   * @param {{ offset: number, bytes: Buffer }} chunk
   */
  const patch = (session, { offset, bytes }) =>
    request(session, {
      method: 'PATCH',
      headers: { 'Content-Range': `${offset}-${offset + bytes.length - 1}` },
      body: bytes,
    });

  /**
   * @param {string} session
   * @param {Buffer} blob
   */
  const close = async (session, blob) => {
    const closed = await request(`${session}?digest=${digestOf(blob)}`, { method: 'PUT' });
    assert.equal(closed.status, 201);
  };

  /** @param {Buffer} blob */
  const assertStored = async (blob) => {
    const response = await request(`${REPOSITORY}/blobs/${digestOf(blob)}`);
    assert.equal(response.status, 200);
    assert.equal(digestOf(new Uint8Array(await response.arrayBuffer())), digestOf(blob));
  };

  it('takes a blob in chunks of the smallest size and gives it back', async () => {
    const session = await startUpload();
    for (let offset = 0; offset < LARGE.length; offset += CHUNK_BYTES) {
      const bytes = LARGE.subarray(offset, offset + CHUNK_BYTES);
      const patched = await patch(session, { offset, bytes });
      assert.equal(patched.status, 202);
      assert.equal(patched.headers.get('Range'), `0-${offset + bytes.length - 1}`);
    }
    await close(session, LARGE);
    await assertStored(LARGE);
  });

  it('takes a blob as a stream of unknown length and gives it back', async () => {
    const blob = Buffer.concat([LARGE, Buffer.from('streamed')]);
    const session = await startUpload();
    const patched = await request(session, {
      method: 'PATCH',
      body: new Blob([blob]).stream(),
      duplex: 'half',
    });
    assert.equal(patched.status, 202);
    assert.equal(patched.headers.get('Range'), `0-${blob.length - 1}`);
    await close(session, blob);
    await assertStored(blob);
  });

  /**
   * Sends a body of unknown length and cuts the connection before its end.
   * @param {string} session
   * @param {Buffer} bytes
   */
  const patchAndCut = async (session, bytes) => {
    const cut = http.request(new URL(session, `http://${server.host}`), {
      method: 'PATCH',
      headers: { Authorization: authorization() },
    });
    // It is we who hang up.
    cut.once('error', () => {});
    await new Promise((resolve) => {
      cut.write(bytes, resolve);
    });
    await new Promise((resolve) => {
      cut.once('close', resolve);
      cut.destroy();
    });
  };

  it('goes on with an upload whose client lost its connection', async () => {
    const blob = LARGE.subarray(1, 9 * MIB);
    const session = await startUpload();
    const kept = 2 * MIB;
    const first = await patch(session, { offset: 0, bytes: blob.subarray(0, kept) });
    assert.equal(first.status, 202);
    await patchAndCut(session, blob.subarray(kept, kept + 6 * MIB));

    const status = await request(session);
    assert.equal(status.status, 204);
    assert.equal(status.headers.get('Range'), `0-${kept - 1}`);
    const rest = { offset: kept, bytes: blob.subarray(kept) };
    let resumed = await patch(session, rest);
    // The server sees the end of the connection a little later than the client.
    for (let tries = 0; resumed.status === 409 && tries < 50; tries += 1) {
      await sleep(100);
      resumed = await patch(session, rest);
    }
    assert.equal(resumed.status, 202);
    await close(session, blob);
    await assertStored(blob);
  });

  /** @param {object} manifest */
  const putManifest = async (manifest) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...manifest }));
    const digest = digestOf(bytes);
    const put = await request(`${REPOSITORY}/manifests/${digest}`, {
      method: 'PUT',
      headers: { 'Content-Type': MANIFEST_TYPE },
      body: bytes,
    });
    assert.equal(put.status, 201);
    return { descriptor: { mediaType: MANIFEST_TYPE, digest, size: bytes.length }, put };
  };

  it('lists an artifact by the image that it refers to', async () => {
    const empty = Buffer.from('{}');
    const pushed = await request(`${REPOSITORY}/blobs/uploads/?digest=${digestOf(empty)}`, {
      method: 'POST',
      body: empty,
    });
    assert.equal(pushed.status, 201);
    const config = {
      mediaType: 'application/vnd.oci.empty.v1+json',
      digest: digestOf(empty),
      size: empty.length,
    };
    const base = { mediaType: MANIFEST_TYPE, config, layers: [] };
    const { descriptor: subject } = await putManifest({
      ...base,
      artifactType: 'application/vnd.example.image',
    });
    const artifactType = 'application/vnd.example.note';
    const annotations = { 'org.example.text': 'reviewed' };
    const { descriptor, put } = await putManifest({ ...base, artifactType, subject, annotations });
    assert.equal(put.headers.get('OCI-Subject'), subject.digest);

    const listed = await request(`${REPOSITORY}/referrers/${subject.digest}`);
    assert.equal(listed.status, 200);
    const { manifests } = /** @type {{ manifests: object[] }} */ (await listed.json());
    assert.deepEqual(manifests, [{ ...descriptor, artifactType, annotations }]);
  });
});
