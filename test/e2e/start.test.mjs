import assert from 'node:assert/strict';
import { createPublicKey, createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { ensureDevVars, readDevVar } from '../../scripts/dev-vars.mjs';
import { startServer } from './server.mjs';

/**
 * @param {import('./server.mjs').Server} server
 * @param {string} url
 * @param {string} method
 */
function ask({ host, username, password }, url, method) {
  const credentials = Buffer.from(`${username}:${password}`).toString('base64');
  return fetch(new URL(url, `http://${host}`), {
    method,
    headers: { Authorization: `Basic ${credentials}` },
  });
}

const EMPTY_DIGEST = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('npm start', { timeout: 120_000 }, () => {
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

  it('refuses a port that is taken', async () => {
    const { port } = new URL(`http://${server.host}`);
    const second = startServer(path.join(directory, 'second'), { port });
    await assert.rejects(second, /is taken; choose another/);
  });

  it('ends with its servers when told to, and starts again with what was pushed', async () => {
    const { host, password } = server;
    const started = await ask(server, '/v2/kept/empty/blobs/uploads/', 'POST');
    assert.equal(started.status, 202);
    const session = new URL(started.headers.get('Location') ?? '', `http://${host}`);
    session.searchParams.set('digest', EMPTY_DIGEST);
    assert.equal((await ask(server, session.href, 'PUT')).status, 201);

    const terminated = 128 + constants.signals.SIGTERM;
    assert.equal(await server.stop(), terminated);
    await assert.rejects(fetch(`http://${host}/`));

    server = await startServer(path.join(directory, 'state'));
    assert.equal(server.password, password);
    const kept = await ask(server, `/v2/kept/empty/blobs/${EMPTY_DIGEST}`, 'HEAD');
    assert.equal(kept.status, 200);
  });
});

describe('.dev.vars', () => {
  /** @type {string} */
  let directory;
  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'berth-e2e-'));
  });
  after(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('is made with a password and its keys, for its owner only', async () => {
    const file = path.join(directory, 'new');
    const text = ensureDevVars(file);
    assert.equal(await readFile(file, 'utf8'), text);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.match(readDevVar(text, 'ADMIN_PASSWORD') ?? '', /^[\w.~-]{24,}$/);
    const key = JSON.parse(readDevVar(text, 'TOKEN_SIGNING_KEY') ?? '');
    assert.match(key.kid, /^[\w-]{43}$/);
    const publicKey = createPublicKey(createPrivateKey({ key, format: 'jwk' }));
    assert.equal(publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    assert.match(readDevVar(text, 'LEGACY_IMAGE_KEY') ?? '', /^[0-9a-f]{64}$/);
  });

  it('differs from machine to machine and stays the same on one', async () => {
    const file = path.join(directory, 'one');
    const text = ensureDevVars(file);
    assert.equal(ensureDevVars(file), text);
    assert.notEqual(ensureDevVars(path.join(directory, 'other')), text);
  });

  it('keeps what its owner wrote and gets what is missing', async () => {
    const file = path.join(directory, 'old');
    const old = '# mine\nexport ADMIN_PASSWORD = "it is # mine" # really\nSPARSE_INDEX=true';
    await writeFile(file, old, { mode: 0o644 });
    const text = ensureDevVars(file);
    assert.ok(text.startsWith(`${old}\nTOKEN_SIGNING_KEY='`));
    assert.equal(readDevVar(text, 'ADMIN_PASSWORD'), 'it is # mine');
    assert.equal(readDevVar(text, 'SPARSE_INDEX'), 'true');
    assert.equal(readDevVar(text, 'NONE'), null);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });
});
