import { randomBytes } from 'node:crypto';

import { digestOf } from './client.mjs';

/** @typedef {import('./client.mjs').Send} Send */
/** @typedef {{ digest: string, size: number }} Descriptor */
/** @typedef {{ bytes: Buffer, digest: string, config: Descriptor, layers: readonly Descriptor[] }} Image */

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar';
const LAYER_BYTES = 64;
/** More than a location keeps. */
export const LARGE_LAYER_BYTES = 2 ** 20 + 1;

/**
 * Pushes a blob by the two requests that every registry takes.
 * @param {Send} send
 * @param {Buffer} bytes
 * @returns {Promise<Descriptor>}
 */
export async function pushBlob(send, bytes) {
  const digest = digestOf(bytes);
  const started = await send('POST', '/blobs/uploads/', { expect: 202 });
  await send('PUT', closingOf(started.headers.location, digest), {
    headers: { 'Content-Type': 'application/octet-stream' },
    body: bytes,
    expect: 201,
  });
  return { digest, size: bytes.length };
}

/**
 * Pushes a blob in chunks.
 * @param {Send} send
 * @param {Buffer} bytes
 * @param {number} chunkBytes
 * @returns {Promise<Descriptor>}
 */
export async function pushInChunks(send, bytes, chunkBytes) {
  const digest = digestOf(bytes);
  const started = await send('POST', '/blobs/uploads/', { expect: 202 });
  const closing = closingOf(started.headers.location, digest);
  const [session = ''] = closing.split('?');
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    const body = bytes.subarray(offset, offset + chunkBytes);
    const headers = { 'Content-Range': `${offset}-${offset + body.length - 1}` };
    await send('PATCH', session, { headers, body, expect: 202 });
  }
  await send('PUT', closing, { body: Buffer.alloc(0), expect: 201 });
  return { digest, size: bytes.length };
}

/**
 * @param {string | undefined} location of an upload
 * @param {string} digest
 * @returns {string} the path behind the repository's, with the digest
 */
export function closingOf(location, digest) {
  const { pathname, searchParams } = new URL(location ?? '', 'http://registry');
  searchParams.set('digest', digest);
  return `${pathname.slice(pathname.indexOf('/blobs/uploads/'))}?${searchParams.toString()}`;
}

/**
 * An image that nothing else has: its blobs are in the repository, it is not.
 * @param {Send} send
 * @param {{ layers?: number, layerBytes?: number, subject?: object }} [options]
 * @returns {Promise<Image>}
 */
export async function anImage(send, { layers = 1, layerBytes = LAYER_BYTES, subject } = {}) {
  const pushed = [];
  for (let layer = 0; layer < layers; layer += 1) {
    pushed.push(await pushBlob(send, randomBytes(layerBytes)));
  }
  return imageOf(send, pushed, subject);
}

/**
 * An image of layers that the repository has.
 * @param {Send} send
 * @param {readonly Descriptor[]} layers
 * @param {object} [subject]
 * @returns {Promise<Image>}
 */
export async function imageOf(send, layers, subject) {
  const rootfs = { type: 'layers', diff_ids: layers.map(({ digest }) => digest) };
  const content = { architecture: 'amd64', os: 'linux', created: new Date().toISOString(), rootfs };
  const config = await pushBlob(send, Buffer.from(JSON.stringify(content)));
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: CONFIG_TYPE, ...config },
      layers: layers.map((layer) => ({ mediaType: LAYER_TYPE, ...layer })),
      ...(subject === undefined ? {} : { subject }),
    }),
  );
  return { bytes, digest: digestOf(bytes), config, layers };
}

/**
 * @param {Send} send
 * @param {string} reference
 * @param {Image} image
 */
export function putManifest(send, reference, { bytes }) {
  const headers = { 'Content-Type': MANIFEST_TYPE };
  return send('PUT', `/manifests/${reference}`, { headers, body: bytes, expect: 201 });
}

/**
 * Pushes an image under a tag.
 * @param {Send} send
 * @param {string} tag
 * @param {Parameters<typeof anImage>[1]} [options]
 */
export async function pushTagged(send, tag, options) {
  const image = await anImage(send, options);
  await putManifest(send, tag, image);
  return image;
}
