import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { startServer } from './server.mjs';
import { createSkopeo } from './skopeo.mjs';
import { writeImage } from './source-images.mjs';

const EXAMPLE = fileURLToPath(new URL('../../examples/management-client', import.meta.url));

describe('a client that is typed by the document', { timeout: 180_000 }, () => {
  /** @type {string} */
  let directory;
  /** @type {import('./server.mjs').Server} */
  let server;
  /** @type {string} */
  let digest;

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'berth-e2e-'));
    await cp(EXAMPLE, path.join(directory, 'client'), { recursive: true });
    server = await startServer(path.join(directory, 'state'));
    const skopeo = createSkopeo(path.join(directory, 'auth.json'));
    await skopeo('login', '-u', server.username, '-p', server.password, server.host);
    const layout = path.join(directory, 'layout');
    digest = await writeImage(layout, [[{ name: 'file', bytes: Buffer.from('content') }]]);
    for (const tag of ['1.0', 'latest']) {
      const target = `docker://${server.host}/acme/app:${tag}`;
      await skopeo('copy', '--preserve-digests', `oci:${layout}:latest`, target);
    }
    await npm('ci', '--no-audit', '--no-fund');
  });
  after(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** @param {...string} args */
  const npm = async (...args) => {
    const env = {
      ...process.env,
      // The Node that this runs on, which is not the machine's own.
      PATH: [path.dirname(process.execPath), process.env.PATH].join(path.delimiter),
      BERTH_ORIGIN: `http://${server.host}`,
      BERTH_LOGIN: `${server.username}:${server.password}`,
    };
    const { stdout } = await promisify(execFile)('npm', args, {
      cwd: path.join(directory, 'client'),
      env,
    });
    return stdout;
  };
  /** @param {...string} args */
  const listStale = async (...args) => {
    const stdout = await npm('start', '--silent', '--', ...args);
    return stdout.split('\n').map((line) => line.split(' ').slice(0, 2).join(' '));
  };

  it('compiles against what a running registry serves', async () => {
    await npm('run', 'types');
    await npm('run', 'check');
  });

  it('lists what has not moved, and gives it an end', async () => {
    assert.deepEqual(await listStale('acme/app', '1'), ['']);
    const stale = [`latest ${digest}`, `1.0 ${digest}`, ''];
    assert.deepEqual(await listStale('acme/app', '0', '--expire'), stale);
    const authorization = Buffer.from(`${server.username}:${server.password}`).toString('base64');
    const answer = await fetch(`http://${server.host}/api/v1/repository/acme/app/tag/`, {
      headers: { Authorization: `Basic ${authorization}` },
    });
    const { tags } = /** @type {{ tags: { end_ts?: number }[] }} */ (await answer.json());
    assert.equal(tags.length, 2);
    for (const { end_ts: endSec = 0 } of tags) {
      assert.ok(endSec > Date.now() / 1000 + 6 * 86_400);
    }
  });
});
