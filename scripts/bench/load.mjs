import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { digestOf, openClient } from './client.mjs';
import { pushTagged } from './content.mjs';
import { figure, median } from './report.mjs';
import { startRuntime } from './runtime.mjs';

const REPOSITORIES = 20;
const TAGS = 50;
const LAYER_BYTES_MAX = 65_536;
/** Of a hundred turns so many push; the others pull. */
const PUSHES_PERCENT = 30;

/** @typedef {import('./client.mjs').Send} Send */
/** @typedef {import('./content.mjs').Image} Image */

/**
 * Many clients that push and pull at once, against the Worker as it is deployed. Every byte that
 * comes back is checked.
 * @param {{ clients: number, seconds: number }} options
 * @returns {Promise<boolean>} whether nothing went wrong
 */
export async function runLoad({ clients, seconds }) {
  const runtime = await startRuntime({ isCounted: false });
  const { origin, authorization } = runtime;
  const client = openClient(origin, { authorization, connections: clients });
  try {
    const names = Array.from({ length: REPOSITORIES }, (_, at) => `load/app-${at}`);
    const shelves = await Promise.all(
      names.map(async (name) => {
        const send = await client.into(name);
        return { send, images: [await pushTagged(send, 'v0')] };
      }),
    );
    const endMs = Date.now() + seconds * 1000;
    const done = { pushes: [], pulls: [], failures: new Map() };
    await Promise.all(Array.from({ length: clients }, () => visit(shelves, { endMs, done })));
    report(done, { clients, seconds });
    return done.failures.size === 0;
  } finally {
    client.close();
    await runtime.stop();
  }
}

/** @typedef {{ send: Send, images: Image[] }} Shelf */
/** @typedef {{ pushes: number[], pulls: number[], failures: Map<string, number> }} Done */

/**
 * One client, turn after turn until the end.
 * @param {readonly Shelf[]} shelves
 * @param {{ endMs: number, done: Done }} options
 */
async function visit(shelves, { endMs, done }) {
  while (Date.now() < endMs) {
    const shelf = draw(shelves);
    const isPush = randomInt(100) < PUSHES_PERCENT;
    const startedMs = performance.now();
    try {
      await (isPush ? push(shelf) : pull(shelf.send, draw(shelf.images)));
      (isPush ? done.pushes : done.pulls).push(performance.now() - startedMs);
    } catch (error) {
      const what = String(error instanceof Error ? error.message : error).replaceAll(
        /sha256:[0-9a-f]+|app-\d+|\bv\d+|[0-9a-f-]{36}/g,
        '…',
      );
      done.failures.set(what, (done.failures.get(what) ?? 0) + 1);
      await sleep(100);
    }
  }
}

/** @param {Shelf} shelf */
async function push({ send, images }) {
  const tag = `v${randomInt(TAGS)}`;
  const image = await pushTagged(send, tag, { layerBytes: 1 + randomInt(LAYER_BYTES_MAX) });
  images.push(image);
  await pull(send, image);
  // Others move the tag too, so it names some image that is whole.
  const { body, headers } = await send('GET', `/manifests/${tag}`, { expect: 200 });
  requireDigest(body, String(headers['docker-content-digest']));
}

/**
 * @param {Send} send
 * @param {Image} image
 */
async function pull(send, { digest, layers }) {
  const manifest = await send('GET', `/manifests/${digest}`, { expect: 200 });
  requireDigest(manifest.body, digest);
  for (const layer of layers) {
    const blob = await send('GET', `/blobs/${layer.digest}`, { expect: 200 });
    requireDigest(blob.body, layer.digest);
  }
}

/**
 * @param {Buffer} bytes
 * @param {string} digest
 */
function requireDigest(bytes, digest) {
  if (digestOf(bytes) !== digest) {
    throw new Error('wrong bytes');
  }
}

/**
 * @template T
 * @param {readonly T[]} list not empty
 * @returns {T}
 */
function draw(list) {
  const [drawn] = list.slice(randomInt(list.length));
  if (drawn === undefined) {
    throw new Error('nothing to draw from');
  }
  return drawn;
}

/**
 * @param {Done} done
 * @param {{ clients: number, seconds: number }} options
 */
function report({ pushes, pulls, failures }, { clients, seconds }) {
  const lines = [
    `${clients} clients, ${seconds} s`,
    `${figure(pushes.length)} pushes, median ${figure(median(pushes))} ms`,
    `${figure(pulls.length)} pulls, median ${figure(median(pulls))} ms`,
    ...[...failures].map(([what, count]) => `${figure(count)} × ${what}`),
    failures.size === 0 ? 'No wrong byte, no failure.' : 'Something went wrong.',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
