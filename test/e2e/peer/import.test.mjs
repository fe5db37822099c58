import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { startServer } from '../server.mjs';
import { createSkopeo, readFiles } from '../skopeo.mjs';
import { incompressible, writeIndex } from '../source-images.mjs';
import { startDockerRegistry, startFragileLine } from './docker-registry.mjs';

const LARGE_LAYER_BYTES = 100 * 1024 * 1024;
/** What an import asks for at once. */
const CHUNK_BYTES = 40 * 1024 * 1024;
const DONE_MS_MAX = 120_000;

/** @typedef {{ state: string, bytes_done: number, bytes_total: number, error?: string }} Progress */

describe('an import from docker-registry', { timeout: 240_000 }, () => {
  /** @type {string} */
  let directory;
  /** @type {import('../server.mjs').Server} */
  let server;
  /** @type {Awaited<ReturnType<typeof startDockerRegistry>>} */
  let source;
  /** @type {Awaited<ReturnType<typeof startFragileLine>>} */
  let line;
  /** @type {ReturnType<typeof createSkopeo>} */
  let skopeo;

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'berth-e2e-'));
    source = await startDockerRegistry(directory);
    // The second piece of a large layer is the first that does not begin at 0.
    line = await startFragileLine(
      source.host,
      ({ range }) => range !== null && !range.startsWith('bytes=0-'),
    );
    server = await startServer(path.join(directory, 'state'), {
      flags: ['--var', 'IMPORT_PRIVATE_ADDRESSES:true'],
    });
    skopeo = createSkopeo(path.join(directory, 'auth.json'));
    await skopeo('login', '-u', server.username, '-p', server.password, server.host);
  });
  after(async () => {
    await server?.stop();
    await line?.stop();
    await source?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /**
   * @param {string} url
   * @param {object} [body] is posted
   */
  const ask = async (url, body) => {
    const authorization = Buffer.from(`${server.username}:${server.password}`).toString('base64');
    const response = await fetch(`http://${server.host}/api/v1/repository/copied/app/${url}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { Authorization: `Basic ${authorization}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${url}: ${response.status}`);
    return response.json();
  };

  /**
   * Goes on with the import as cron does, until it is at its end. It waits before it asks a source
   * again that did not answer.
   * @param {string} uuid
   * @returns {Promise<Progress>}
   */
  const finish = async (uuid) => {
    const deadlineMs = Date.now() + DONE_MS_MAX;
    for (;;) {
      await fetch(`http://${server.host}/cdn-cgi/handler/scheduled?cron=*+*+*+*+*`);
      const progress = /** @type {Progress} */ (await ask(`import/${uuid}`));
      if (['done', 'failed'].includes(progress.state) || Date.now() > deadlineMs) {
        return progress;
      }
      await sleep(1000);
    }
  };

  it('goes on where its source broke off, and brings every architecture byte for byte', async () => {
    const layout = path.join(directory, 'layout');
    const file = { name: 'large', bytes: incompressible(LARGE_LAYER_BYTES) };
    await writeIndex(layout, { architectures: ['amd64', 'arm64'], layers: [[file]] });
    await skopeo('copy', '--all', `oci:${layout}:latest`, `docker://${source.host}/lib/app:1.0`);

    const { import: uuid } = /** @type {{ import: string }} */ (
      await ask('import', { source: `http://${line.host}/lib/app:1.0`, tags: ['copied'] })
    );
    await line.broken;
    const brokenAt = line.requests.length - 1;
    const atBreak = /** @type {Progress} */ (await ask(`import/${uuid}`));
    assert.equal(atBreak.state, 'running');
    assert.ok(atBreak.bytes_done > 0 && atBreak.bytes_done < atBreak.bytes_total);

    line.mend();
    const done = await finish(uuid);
    assert.deepEqual([done.state, done.error], ['done', undefined]);
    assert.equal(done.bytes_done, done.bytes_total);
    const large = line.requests.filter(({ path: url }) => url === line.requests[brokenAt]?.path);
    const starts = large.map(({ range }) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]));
    // What had come of the piece that broke off is kept too.
    const [, , resumedAt = 0] = starts;
    assert.ok(resumedAt >= CHUNK_BYTES && resumedAt < 2 * CHUNK_BYTES, `${resumedAt}`);
    assert.deepEqual(starts, [0, CHUNK_BYTES, resumedAt, resumedAt + CHUNK_BYTES]);

    const [original, copy] = [path.join(directory, 'original'), path.join(directory, 'copy')];
    const how = ['--all', '--preserve-digests'];
    await skopeo('copy', ...how, `docker://${source.host}/lib/app:1.0`, `dir:${original}`);
    await skopeo('copy', ...how, `docker://${server.host}/copied/app:copied`, `dir:${copy}`);
    const wanted = await readFiles(original);
    const brought = await readFiles(copy);
    assert.deepEqual([...brought.keys()], [...wanted.keys()]);
    for (const [name, bytes] of brought) {
      assert.ok(wanted.get(name)?.equals(bytes), name);
    }
  });
});
