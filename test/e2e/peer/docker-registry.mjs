import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { findFreePort } from '../server.mjs';

const READY_MS_MAX = 20_000;

/**
 * Runs another registry, the one of the Debian package, until it is stopped or this process ends.
 * @param {string} directory for its configuration and what it stores
 * @returns its `host`, `localhost:<port>`, and `stop`
 */
export async function startDockerRegistry(directory) {
  const host = `localhost:${await findFreePort()}`;
  const configuration = path.join(directory, 'docker-registry.yml');
  await writeFile(
    configuration,
    [
      'version: 0.1',
      'log: { level: error, accesslog: { disabled: true } }',
      `storage: { filesystem: { rootdirectory: ${path.join(directory, 'docker-registry')} } }`,
      `http: { addr: "${host}" }`,
    ].join('\n'),
  );
  const child = spawn('docker-registry', ['serve', configuration], { stdio: 'ignore' });
  const kill = () => child.kill();
  process.once('exit', kill);
  await waitUntilServed(`http://${host}/v2/`);
  return {
    host,
    stop: async () => {
      process.off('exit', kill);
      const ended = once(child, 'exit');
      kill();
      await ended;
    },
  };
}

/** @param {string} url */
async function waitUntilServed(url) {
  const deadlineMs = Date.now() + READY_MS_MAX;
  for (;;) {
    try {
      return await fetch(url);
    } catch (error) {
      if (Date.now() > deadlineMs) {
        throw error;
      }
      await sleep(50);
    }
  }
}

/** @typedef {{ path: string, range: string | null }} SourceRequest */

/**
 * A line to a registry that can be cut: it passes reads on, until `breaksAt` says that it breaks
 * within the answer to one. From then on it takes no request, until it is mended.
 * @param {string} host behind it
 * @param {(request: SourceRequest) => boolean} breaksAt asked until it has said yes once
 * @returns its own `host`; `broken`, which is kept when it breaks; `requests`, those that it passed
 *   on in order; `mend` and `stop`
 */
export async function startFragileLine(host, breaksAt) {
  /** @type {SourceRequest[]} */
  const requests = [];
  /** @type {PromiseWithResolvers<void>} */
  const broken = Promise.withResolvers();
  /** @type {'good' | 'broken' | 'mended'} */
  let state = 'good';
  const server = http.createServer((incoming, outgoing) => {
    if (state === 'broken') {
      outgoing.destroy();
      return;
    }
    const request = { path: incoming.url ?? '', range: incoming.headers.range ?? null };
    requests.push(request);
    const isCut = state === 'good' && breaksAt(request);
    const url = new URL(request.path, `http://${host}`);
    const headers = { ...incoming.headers, host };
    const upstream = http.request(url, { method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      if (isCut) {
        answer.once('data', (/** @type {Buffer} */ chunk) => {
          state = 'broken';
          outgoing.write(chunk, () => outgoing.destroy());
          answer.destroy();
          broken.resolve();
        });
      } else {
        answer.pipe(outgoing);
      }
    });
    upstream.once('error', () => outgoing.destroy());
    upstream.end();
  });
  const port = Number(await findFreePort());
  server.listen(port, 'localhost');
  await once(server, 'listening');
  return {
    host: `localhost:${port}`,
    broken: broken.promise,
    requests,
    mend: () => {
      state = 'mended';
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
