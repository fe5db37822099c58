import { randomBytes, randomInt } from 'node:crypto';

import { digestOf } from './client.mjs';
import { imageOf, pushBlob, pushInChunks, putManifest } from './content.mjs';

/** @typedef {import('./client.mjs').Send} Send */
/** @typedef {import('./content.mjs').Descriptor} Descriptor */
/** @typedef {import('./content.mjs').Image & { tag: string }} Pushed */
/**
 * A repository, and what stays in it: images under tags of their own, which nobody moves or deletes.
 * In one that forgets, what is deleted is garbage at once.
 * @typedef {{ name: string, send: Send, isForgetful: boolean, images: Pushed[] }} Shelf
 */
/**
 * `sendFrom` asks as who may also pull from another; `endLeases` lets the time be over in which blobs
 * are kept for who pushed them.
 * @typedef {{
 *   shelves: readonly Shelf[], sendFrom: (from: Shelf, to: Shelf) => Promise<Send>,
 *   endLeases: (shelf: Shelf, digests: readonly string[]) => Promise<unknown>,
 * }} World
 */

const LAYERS_MAX = 3;
const SMALL_BYTES_MAX = 65_536;
const MEDIUM_BYTES_MIN = 1_000_000;
const MEDIUM_BYTES_MAX = 4_000_000;
const CHUNK_BYTES = 1_500_000;
/** Of a hundred layers so many are of some megabytes; half of these come in chunks. */
const MEDIUM_PERCENT = 8;
/** Of a hundred other layers so many are one of these, which many push at once. */
const SHARED_PERCENT = 20;
const SHARED = Array.from({ length: 20 }, () => randomBytes(SMALL_BYTES_MAX));
/** What everybody pushes to. */
const HOT_TAG = 'hot';

let unique = 0;
const aTag = (/** @type {string} */ prefix) => `${prefix}-${(unique += 1)}`;

/** @param {Send} send @param {{ isOwn: boolean }} options @returns {Promise<Descriptor>} */
function pushLayer(send, { isOwn }) {
  if (!isOwn && randomInt(100) < SHARED_PERCENT) {
    return pushBlob(send, draw(SHARED));
  }
  if (randomInt(100) >= MEDIUM_PERCENT) {
    return pushBlob(send, randomBytes(1 + randomInt(SMALL_BYTES_MAX)));
  }
  const bytes = randomBytes(MEDIUM_BYTES_MIN + randomInt(MEDIUM_BYTES_MAX - MEDIUM_BYTES_MIN));
  return randomInt(2) === 0 ? pushBlob(send, bytes) : pushInChunks(send, bytes, CHUNK_BYTES);
}

/**
 * @param {Send} send
 * @param {string} tag
 * @param {{ isOwn?: boolean }} [options] whether nothing else has its layers
 * @returns {Promise<Pushed>}
 */
async function pushSome(send, tag, { isOwn = false } = {}) {
  const layers = [];
  for (let left = 1 + randomInt(LAYERS_MAX); left > 0; left -= 1) {
    layers.push(await pushLayer(send, { isOwn }));
  }
  const image = await imageOf(send, layers);
  await putManifest(send, tag, image);
  return { ...image, tag };
}

/**
 * Pushes an image that stays, and pulls it.
 * @param {Shelf} shelf
 */
export async function pushAndPull(shelf) {
  const image = await pushSome(shelf.send, aTag('v'));
  shelf.images.push(image);
  await pullWhole(shelf.send, image.tag, image.digest);
}

/**
 * Moves the tag that everybody moves. It is on some image then, which is whole.
 * @param {Shelf} shelf
 */
async function moveHotTag({ send }) {
  await pushSome(send, HOT_TAG);
  await pullWhole(send, HOT_TAG);
}

/**
 * Where the repository forgets, all of the image is garbage from then on.
 * @param {Shelf} shelf
 * @param {World} world
 */
async function pushAndDelete(shelf, { endLeases }) {
  const { send } = shelf;
  const { tag, config, layers } = await pushSome(send, aTag('doomed'), { isOwn: true });
  await send('DELETE', `/manifests/${tag}`, { expect: 202 });
  await send('GET', `/manifests/${tag}`, { expect: 404 });
  if (shelf.isForgetful) {
    await endLeases(
      shelf,
      [config, ...layers].map(({ digest }) => digest),
    );
  }
}

/** @param {Shelf} shelf */
async function pullByTag({ send, images }) {
  const { tag, digest } = draw(images);
  await send('HEAD', `/manifests/${tag}`, { expect: 200 });
  await pullWhole(send, tag, digest);
}

/** @param {Shelf} shelf */
async function pullByDigest({ send, images }) {
  const { digest, config } = draw(images);
  await send('HEAD', `/blobs/${config.digest}`, { expect: 200 });
  await pullWhole(send, digest, digest);
}

/**
 * All pages: what was pushed before the first one is on some.
 * @param {Shelf} shelf
 */
async function listAll({ send, images }) {
  const before = images.map(({ tag }) => tag);
  const listed = new Set(await listTags(send));
  const missing = before.find((tag) => !listed.has(tag));
  if (missing !== undefined) {
    throw new Error(`${missing} is not listed`);
  }
}

/**
 * Pushes an image of layers that another repository has.
 * @param {Shelf} shelf
 * @param {World} world
 */
async function mount(shelf, { shelves, sendFrom }) {
  const source = draw(shelves.filter((other) => other !== shelf));
  const send = await sendFrom(source, shelf);
  const { layers } = draw(source.images);
  for (const { digest } of layers) {
    await send('POST', `/blobs/uploads/?mount=${digest}&from=${source.name}`, { expect: 201 });
  }
  const image = { ...(await imageOf(send, layers)), tag: aTag('v') };
  await putManifest(send, image.tag, image);
  shelf.images.push(image);
  await pullWhole(send, image.tag, image.digest);
}

/** What a client does next, each so often of a hundred times. */
export const ACTIONS =
  /** @type {readonly { name: string, percent: number, staysOnly?: boolean, run: (shelf: Shelf, world: World) => Promise<void> }[]} */ ([
    { name: 'push, pull', percent: 15, run: pushAndPull },
    // Where what was moved away is garbage at once, it may be gone before it is pulled.
    { name: 'move a tag that all move, pull', percent: 8, staysOnly: true, run: moveHotTag },
    { name: 'push, delete', percent: 10, run: pushAndDelete },
    { name: 'mount, push, pull', percent: 7, run: mount },
    { name: 'pull by tag', percent: 30, run: pullByTag },
    { name: 'pull by digest', percent: 22, run: pullByDigest },
    { name: 'list all tags', percent: 8, run: listAll },
  ]);

/** @param {Send} send @returns {Promise<readonly string[]>} */
export async function listTags(send) {
  const tags = [];
  let path = '/tags/list?n=200';
  for (;;) {
    const { body, headers } = await send('GET', path, { expect: 200 });
    tags.push(.../** @type {{ tags: string[] }} */ (JSON.parse(body.toString())).tags);
    const next = /^<[^>]*(\/tags\/list\?[^>]*)>/.exec(String(headers.link ?? ''))?.[1];
    if (next === undefined) {
      return tags;
    }
    path = next;
  }
}

/**
 * Pulls an image with all that it is made of, and checks each byte by its digest.
 * @param {Send} send
 * @param {string} reference
 * @param {string} [digest] what it must be
 * @returns {Promise<number>} how many bodies were checked
 */
export async function pullWhole(send, reference, digest) {
  const manifest = await send('GET', `/manifests/${reference}`, { expect: 200 });
  requireDigest(manifest.body, digest ?? String(manifest.headers['docker-content-digest']));
  const { config, layers } = /** @type {{ config: Descriptor, layers: readonly Descriptor[] }} */ (
    JSON.parse(manifest.body.toString())
  );
  for (const blob of [config, ...layers]) {
    const { body } = await send('GET', `/blobs/${blob.digest}`, { expect: 200 });
    requireDigest(body, blob.digest);
  }
  return 2 + layers.length;
}

/**
 * @param {Buffer} bytes
 * @param {string} digest
 */
function requireDigest(bytes, digest) {
  if (digestOf(bytes) !== digest) {
    throw new Error(`wrong bytes: ${bytes.length} that are not ${digest}`);
  }
}

/**
 * @template T
 * @param {readonly T[]} list not empty
 * @returns {T}
 */
export function draw(list) {
  const [drawn] = list.slice(randomInt(list.length));
  if (drawn === undefined) {
    throw new Error('nothing to draw from');
  }
  return drawn;
}
