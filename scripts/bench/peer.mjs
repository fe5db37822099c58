import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { openClient } from './client.mjs';
import { MANIFEST_TYPE, anImage, pushBlob, pushTagged, putManifest } from './content.mjs';
import { median, ms, table } from './report.mjs';
import { findFreePort, startServer, waitUntilReady } from './runtime.mjs';

/** Debian's package of the registry that is written in Go. */
const PEER = 'docker-registry';
const SAMPLES = 60;
const WARM_UP = 60;
const TAGS = 500;
const BLOB_BYTES = 1_000_000;
const REPOSITORY = 'peer/app';

/** @typedef {import('./client.mjs').Send} Send */

/**
 * What both do, one request after another: the same client, the same bytes, each registry beside it
 * on one machine.
 * @param {import('./client.mjs').Client} client of this registry
 * @returns what each takes, in milliseconds; null if the other registry is not installed
 */
export async function compareWithPeer(client) {
  if (spawnSync(PEER, ['--version']).error !== undefined) {
    return null;
  }
  const peer = await startPeer();
  try {
    const theirs = await timeAll(await peer.client.into(REPOSITORY));
    const ours = await timeAll(await client.into(REPOSITORY));
    return ours.map(({ name, medianMs }, at) => ({
      name,
      oursMs: medianMs,
      theirsMs: theirs[at]?.medianMs ?? Number.NaN,
    }));
  } finally {
    await peer.stop();
  }
}

async function startPeer() {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-peer-'));
  const port = await findFreePort();
  const configuration = path.join(directory, 'config.yml');
  writeFileSync(
    configuration,
    [
      'version: 0.1',
      'log: { level: error, accesslog: { disabled: true } }',
      `storage: { filesystem: { rootdirectory: ${directory}/data } }`,
      `http: { addr: "localhost:${port}" }`,
    ].join('\n'),
  );
  const server = startServer(PEER, ['serve', configuration]);
  const origin = `http://localhost:${port}`;
  await waitUntilReady(`${origin}/v2/`, server);
  const client = openClient(origin);
  return {
    client,
    stop: async () => {
      client.close();
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** @param {Send} send */
async function timeAll(send) {
  const image = await pushTagged(send, 'latest');
  for (let tag = 0; tag < TAGS; tag += 1) {
    await putManifest(send, `t${tag}`, image);
  }
  const { digest } = await pushBlob(send, randomBytes(BLOB_BYTES));
  const get = (/** @type {string} */ url) => async () => () =>
    send('GET', url, { headers: { Accept: MANIFEST_TYPE }, expect: 200 });
  /** @type {readonly [string, () => Promise<() => Promise<unknown>>][]} */
  const operations = [
    ['pull manifest by tag', get('/manifests/latest')],
    ['pull manifest by digest', get(`/manifests/${image.digest}`)],
    ['pull blob of 1 MB', get(`/blobs/${digest}`)],
    [`list ${TAGS} tags`, get(`/tags/list?n=${TAGS}`)],
    [
      'push blob of 1 MB',
      async () => {
        const bytes = randomBytes(BLOB_BYTES);
        return () => pushBlob(send, bytes);
      },
    ],
    [
      'push manifest by tag',
      async () => {
        const next = await anImage(send);
        return () => putManifest(send, 'pushed', next);
      },
    ],
  ];
  const timed = [];
  for (const [name, prepare] of operations) {
    const durations = [];
    for (let sample = 0; sample < WARM_UP + SAMPLES; sample += 1) {
      const run = await prepare();
      const startedMs = performance.now();
      await run();
      durations.push(performance.now() - startedMs);
    }
    timed.push({ name, medianMs: median(durations.slice(WARM_UP)) });
  }
  return timed;
}

/** @param {Awaited<ReturnType<typeof compareWithPeer>>} compared */
export function describePeer(compared) {
  return compared === null
    ? `Not compared: \`${PEER}\` is not installed (\`apt-get install ${PEER}\`).`
    : table(
        ['one after another', 'times as long as the Go registry', 'here, ms', 'there, ms'],
        compared.map(({ name, oursMs, theirsMs }) => [
          name,
          (oursMs / theirsMs).toFixed(1),
          ms(oursMs),
          ms(theirsMs),
        ]),
      );
}
