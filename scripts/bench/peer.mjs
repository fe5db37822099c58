import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { openClient } from './client.mjs';
import { MANIFEST_TYPE, anImage, pushBlob, pushTagged, putManifest } from './content.mjs';
import { median, table } from './report.mjs';
import { findFreePort, startServer, waitUntilReady } from './runtime.mjs';

/** Debian's package of the registry that is written in Go. */
const PEER = 'docker-registry';
const SAMPLES = 60;
const WARM_UP = 60;
const TAGS = 500;
const BLOB_BYTES = 1_000_000;
const REPOSITORY = 'peer/app';

/**
 * What both do, one request after another and in turns: the same client, the same bytes, each
 * registry beside it on one machine.
 * @param {import('./client.mjs').Client} client of this registry
 * @returns how many times as long this one takes, in the median; null if the other is not installed
 */
export async function compareWithPeer(client) {
  if (spawnSync(PEER, ['--version']).error !== undefined) {
    return null;
  }
  const peer = await startPeer();
  try {
    const sides = [await openSide(client, '/bench/empty'), await openSide(peer.client, '/v2/')];
    const compared = [];
    for (const [name, prepare] of OPERATIONS) {
      const durations = await timeInTurns(sides.map((side) => () => prepare(side)));
      const [oursMs = Number.NaN, theirsMs = Number.NaN] = durations.map(median);
      compared.push({ name, ratio: oursMs / theirsMs });
    }
    return compared;
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

/** @typedef {Awaited<ReturnType<typeof openSide>>} Side */
/** @typedef {() => Promise<() => Promise<unknown>>} Prepare makes ready, and gives what is timed */

/**
 * A registry with a repository that both have alike.
 * @param {import('./client.mjs').Client} client
 * @param {string} emptyPath where it answers without asking a store
 */
async function openSide(client, emptyPath) {
  const send = await client.into(REPOSITORY);
  const image = await pushTagged(send, 'latest');
  for (let tag = 0; tag < TAGS; tag += 1) {
    await putManifest(send, `t${tag}`, image);
  }
  const blob = await pushBlob(send, randomBytes(BLOB_BYTES));
  return { client, emptyPath, send, image, blob };
}

/** @param {(side: Side) => string} pathOf @returns {(side: Side) => ReturnType<Prepare>} */
const get = (pathOf) => async (side) => () =>
  side.send('GET', pathOf(side), { headers: { Accept: MANIFEST_TYPE }, expect: 200 });

const OPERATIONS = /** @type {readonly [string, (side: Side) => ReturnType<Prepare>][]} */ ([
  // What the server takes, and the way to it.
  [
    'answer that asks no store',
    async ({ client, emptyPath }) =>
      () =>
        client.send('GET', emptyPath, { expect: 200 }),
  ],
  ['pull manifest by tag', get(() => '/manifests/latest')],
  ['pull manifest by digest', get(({ image }) => `/manifests/${image.digest}`)],
  ['pull blob of 1 MB', get(({ blob }) => `/blobs/${blob.digest}`)],
  [`list ${TAGS} tags`, get(() => `/tags/list?n=${TAGS}`)],
  [
    'push blob of 1 MB',
    async ({ send }) => {
      const bytes = randomBytes(BLOB_BYTES);
      return () => pushBlob(send, bytes);
    },
  ],
  [
    'push manifest by tag',
    async ({ send }) => {
      const next = await anImage(send);
      return () => putManifest(send, 'pushed', next);
    },
  ],
]);

/**
 * @param {readonly Prepare[]} sides
 * @returns {Promise<readonly (readonly number[])[]>} what each took, in milliseconds
 */
async function timeInTurns(sides) {
  /** @type {number[][]} */
  const durations = sides.map(() => []);
  for (let sample = 0; sample < WARM_UP + SAMPLES; sample += 1) {
    for (const [at, prepare] of sides.entries()) {
      const run = await prepare();
      const startedMs = performance.now();
      await run();
      if (sample >= WARM_UP) {
        durations[at]?.push(performance.now() - startedMs);
      }
    }
  }
  return durations;
}

/** @param {Awaited<ReturnType<typeof compareWithPeer>>} compared */
export function describePeer(compared) {
  return compared === null
    ? `Not compared: \`${PEER}\` is not installed (\`apt-get install ${PEER}\`).`
    : table(
        ['one after another', 'times as long as the Go registry'],
        compared.map(({ name, ratio }) => [name, ratio.toFixed(1)]),
      );
}
