import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { startServer } from './server.mjs';
import { createSkopeo, readFiles } from './skopeo.mjs';
import { incompressible, writeImage, writeIndex } from './source-images.mjs';

const DOCKER_MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST_TYPE = 'application/vnd.docker.distribution.manifest.list.v2+json';
const BIG_LAYER_BYTES = 150 * 1024 * 1024;
const LAYERS = [
  [{ name: 'etc/motd', bytes: Buffer.from('Hello from Berth.\n') }],
  [
    { name: 'bin/tool', bytes: incompressible(300_000) },
    { name: 'empty', bytes: Buffer.alloc(0) },
  ],
];

/** @typedef {import('./server.mjs').LoggedRequest} LoggedRequest */

/**
 * Waits for the next whole second.
 * @returns {Promise<string>} it, as the name of a tag has it: `20261101T120000Z`
 */
async function nextSecond() {
  const second = Math.ceil((Date.now() + 1) / 1000) * 1000;
  while (Date.now() <= second) {
    await sleep(second + 1 - Date.now());
  }
  return new Date(second).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

/** @param {LoggedRequest} request */
const isManifestPut = (request) => request.method === 'PUT' && request.path.includes('/manifests/');

/** @param {LoggedRequest} request */
const carriesBytes = (request) =>
  ['PATCH', 'PUT'].includes(request.method) && request.path.includes('/blobs/uploads/');

describe('skopeo', { timeout: 180_000 }, () => {
  /** @type {string} */
  let directory;
  /** @type {import('./server.mjs').Server} */
  let server;
  /** @type {ReturnType<typeof createSkopeo>} */
  let skopeo;

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'berth-e2e-'));
    server = await startServer(path.join(directory, 'state'));
    skopeo = createSkopeo(path.join(directory, 'auth.json'));
    await skopeo('login', '-u', server.username, '-p', server.password, server.host);
  });
  after(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** @param {string} name of the repository, with a tag or digest */
  const remote = (name) => `docker://${server.host}/${name}`;
  /** @param {string} name of an image on disk, as it travels */
  const local = (name) => path.join(directory, name);

  /**
   * @param {string} name of the image on disk that was pushed, as `dir:`
   * @param {{ from: string, all?: boolean }} options the repository, with a tag or digest
   */
  async function assertPulls(name, { from, all = false }) {
    const target = local(`pulled-${name}`);
    const how = ['--preserve-digests', ...(all ? ['--all'] : [])];
    await skopeo('copy', ...how, remote(from), `dir:${target}`);
    const wanted = await readFiles(local(name));
    const pulled = await readFiles(target);
    assert.deepEqual([...pulled.keys()], [...wanted.keys()]);
    for (const [file, bytes] of pulled) {
      assert.ok(wanted.get(file)?.equals(bytes), `${file} differs`);
    }
    await rm(target, { recursive: true });
  }

  /** @param {string} name of the repository, with a tag */
  const digestOf = async (name) => JSON.parse(await skopeo('inspect', remote(name))).Digest;

  describe('login', () => {
    it('is refused with a wrong password', async () => {
      const args = ['-u', server.username, '-p', 'wrong', server.host];
      const { code, stderr } = await createSkopeo(local('wrong.json')).attempt('login', ...args);
      assert.notEqual(code, 0);
      assert.match(stderr, /invalid username\/password|unauthorized/);
    });
  });

  describe('an OCI image', () => {
    /** @type {string} */
    let source;
    /** @type {string} */
    let digest;
    /** @type {LoggedRequest[]} */
    let firstPush;

    before(async () => {
      source = `oci:${local('layout')}:latest`;
      digest = await writeImage(local('layout'), LAYERS);
      await skopeo('copy', '--preserve-digests', source, `dir:${local('oci')}`);
      const count = server.countRequests();
      await skopeo('copy', '--preserve-digests', source, remote('e2e/hello:latest'));
      firstPush = await server.requestsSince(count, isManifestPut);
    });

    it('comes back byte for byte by tag', async () => {
      await assertPulls('oci', { from: 'e2e/hello:latest' });
    });

    it('comes back byte for byte by digest', async () => {
      await assertPulls('oci', { from: `e2e/hello@${digest}` });
    });

    it('is not uploaded again by a second push', async () => {
      const count = server.countRequests();
      await skopeo('copy', source, remote('e2e/hello:again'));
      const requests = await server.requestsSince(count, isManifestPut);
      assert.notDeepEqual(firstPush.filter(carriesBytes), []);
      assert.deepEqual(requests.filter(carriesBytes), []);
    });

    it('is inspected with its digest, platform, labels and layers', async () => {
      const found = JSON.parse(await skopeo('inspect', remote('e2e/hello:latest')));
      const manifest = await skopeo('inspect', '--raw', remote('e2e/hello:latest'));
      assert.equal(found.Digest, digest);
      assert.equal(`sha256:${createHash('sha256').update(manifest).digest('hex')}`, digest);
      assert.equal(`${found.Os}/${found.Architecture}`, 'linux/amd64');
      assert.deepEqual(found.Labels, { 'org.example.made-by': 'berth' });
      const layers = JSON.parse(manifest).layers.map(
        (/** @type {{ digest: string }} */ layer) => layer.digest,
      );
      assert.deepEqual(found.Layers, layers);
    });

    it('is listed with all its tags', async () => {
      for (const tag of ['1.0', '1.0-rc_1', 'Edge']) {
        await skopeo('copy', source, remote(`e2e/listed:${tag}`));
      }
      const listed = JSON.parse(await skopeo('list-tags', remote('e2e/listed')));
      assert.deepEqual(listed.Tags.toSorted(), ['1.0', '1.0-rc_1', 'Edge']);
    });

    it('is mounted, not uploaded, into another repository', async () => {
      const count = server.countRequests();
      await skopeo('copy', remote('e2e/hello:latest'), remote('mirror/hello:latest'));
      const requests = await server.requestsSince(count, isManifestPut);
      const mounts = requests.filter(({ method, status }) => method === 'POST' && status === 201);
      const sessions = requests.filter(({ method, status }) => method === 'POST' && status === 202);
      assert.equal(mounts.length, LAYERS.length);
      assert.ok(sessions.length <= 1, 'skopeo never mounts a config, but every layer');
      await assertPulls('oci', { from: 'mirror/hello:latest' });
    });

    it('is unknown after its deletion', async () => {
      await skopeo('copy', source, remote('e2e/gone:latest'));
      await skopeo('delete', remote('e2e/gone:latest'));
      const pull = await skopeo.attempt('inspect', remote('e2e/gone:latest'));
      assert.notEqual(pull.code, 0);
      assert.match(pull.stderr, /manifest unknown/);
      await assertPulls('oci', { from: 'e2e/hello:latest' });
    });

    it('is not shown to a stranger', async () => {
      const { code, stderr } = await skopeo.attempt(
        'inspect',
        '--no-creds',
        remote('e2e/hello:latest'),
      );
      assert.notEqual(code, 0);
      assert.match(stderr, /unauthorized|authentication required/);
    });
  });

  describe('a Docker image', () => {
    it('comes back byte for byte', async () => {
      await writeImage(local('docker-layout'), LAYERS);
      const source = `oci:${local('docker-layout')}:latest`;
      await skopeo('copy', '--format', 'v2s2', source, `dir:${local('docker')}`);
      await skopeo('copy', '--format', 'v2s2', source, remote('e2e/docker:latest'));
      await assertPulls('docker', { from: 'e2e/docker:latest' });
      const manifest = JSON.parse(await skopeo('inspect', '--raw', remote('e2e/docker:latest')));
      assert.equal(manifest.mediaType, DOCKER_MANIFEST_TYPE);
    });
  });

  describe('an index', () => {
    /** @type {string} */
    let source;

    before(async () => {
      source = `oci:${local('index-layout')}:latest`;
      const content = { architectures: ['amd64', 'arm64'], layers: LAYERS };
      const digest = await writeIndex(local('index-layout'), content);
      await skopeo('copy', '--all', '--preserve-digests', source, `dir:${local('index')}`);
      const manifest = await readFile(path.join(local('index'), 'manifest.json'));
      assert.equal(`sha256:${createHash('sha256').update(manifest).digest('hex')}`, digest);
    });

    it('comes back byte for byte with all its images', async () => {
      await skopeo('copy', '--all', '--preserve-digests', source, remote('e2e/multi:latest'));
      await assertPulls('index', { from: 'e2e/multi:latest', all: true });
    });

    it('gives each architecture its image', async () => {
      await skopeo('copy', '--all', '--preserve-digests', source, remote('e2e/arch:latest'));
      const index = JSON.parse(await skopeo('inspect', '--raw', remote('e2e/arch:latest')));
      assert.equal(index.manifests.length, 2);
      for (const { digest, platform } of index.manifests) {
        const config = await skopeo('inspect', '--config', remote(`e2e/arch@${digest}`));
        assert.equal(JSON.parse(config).architecture, platform.architecture);
      }
    });

    it('comes back byte for byte as a Docker manifest list', async () => {
      const how = ['--all', '--format', 'v2s2'];
      await skopeo('copy', ...how, source, `dir:${local('list')}`);
      await skopeo('copy', ...how, source, remote('e2e/list:latest'));
      await assertPulls('list', { from: 'e2e/list:latest', all: true });
      const list = JSON.parse(await skopeo('inspect', '--raw', remote('e2e/list:latest')));
      assert.equal(list.mediaType, DOCKER_LIST_TYPE);
    });
  });

  describe('a tag that moved', () => {
    /** @type {string} */
    let then;
    const digests = /** @type {Record<string, string>} */ ({});

    before(async () => {
      for (const version of ['one', 'two']) {
        const layers = [[{ name: 'etc/version', bytes: Buffer.from(version) }]];
        digests[version] = await writeImage(local(`layout-${version}`), layers);
        const source = `oci:${local(`layout-${version}`)}:latest`;
        await skopeo('copy', '--preserve-digests', source, `dir:${local(version)}`);
        await skopeo('copy', '--preserve-digests', source, remote('e2e/moved:latest'));
        then ??= await nextSecond();
      }
    });

    it('is inspected and pulled as it was', async () => {
      assert.equal(await digestOf('e2e/moved:latest'), digests.two);
      assert.equal(await digestOf(`e2e/moved:latest.at.${then}`), digests.one);
      await assertPulls('one', { from: `e2e/moved:latest.at.${then}` });
    });

    it('is put back by a copy that uploads nothing', async () => {
      const now = await nextSecond();
      const count = server.countRequests();
      const [from, to] = [remote(`e2e/moved:latest.at.${then}`), remote('e2e/moved:latest')];
      await skopeo('copy', '--preserve-digests', from, to);
      const requests = await server.requestsSince(count, isManifestPut);
      assert.deepEqual(requests.filter(carriesBytes), []);
      assert.equal(await digestOf('e2e/moved:latest'), digests.one);
      assert.equal(await digestOf(`e2e/moved:latest.at.${now}`), digests.two);
    });

    it('is unknown at a time before it was there', async () => {
      const pull = await skopeo.attempt('inspect', remote('e2e/moved:latest.at.20200101Z'));
      assert.notEqual(pull.code, 0);
      assert.match(pull.stderr, /manifest unknown/);
    });

    it('is pulled with all its images after it was deleted', async () => {
      const source = `oci:${local('moved-layout')}:latest`;
      const layers = [[{ name: 'etc/version', bytes: Buffer.from('many') }]];
      await writeIndex(local('moved-layout'), { architectures: ['amd64', 'arm64'], layers });
      await skopeo('copy', '--all', '--preserve-digests', source, `dir:${local('many')}`);
      await skopeo('copy', '--all', '--preserve-digests', source, remote('e2e/deleted:latest'));
      const alive = await nextSecond();
      await skopeo('delete', remote('e2e/deleted:latest'));
      await assertPulls('many', { from: `e2e/deleted:latest.at.${alive}`, all: true });
    });
  });

  describe('a layer of 150 MB', () => {
    it('comes back byte for byte', async () => {
      const layer = [{ name: 'data', bytes: incompressible(BIG_LAYER_BYTES) }];
      await writeImage(local('big-layout'), [layer]);
      const source = `oci:${local('big-layout')}:latest`;
      await skopeo('copy', '--preserve-digests', source, `dir:${local('big')}`);
      await skopeo('copy', '--preserve-digests', source, remote('e2e/big:latest'));
      await assertPulls('big', { from: 'e2e/big:latest' });
    });
  });
});
