import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

/** @typedef {{ mediaType: string, digest: string, size: number }} Descriptor */
/** @typedef {{ name: string, bytes: Buffer }} File */

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/**
 * Writes an image to disk as an OCI image layout with the one tag `latest`, needing no network.
 * The same arguments give the same digests.
 * @param {string} directory of the layout, is made
 * @param {readonly File[][]} layers the files of each layer, base first
 * @returns {Promise<string>} the digest of the image's manifest
 */
export async function writeImage(directory, layers) {
  await openLayout(directory);
  const manifest = await addImage(directory, { architecture: 'amd64', layers });
  return tagLatest(directory, manifest);
}

/**
 * Like `writeImage`, an image for each of several architectures under one index. Each has a first
 * layer that names its architecture.
 * @param {string} directory of the layout, is made
 * @param {{ architectures: readonly string[], layers: readonly File[][] }} content
 * @returns {Promise<string>} the digest of the index
 */
export async function writeIndex(directory, { architectures, layers }) {
  await openLayout(directory);
  const manifests = [];
  for (const architecture of architectures) {
    const own = [{ name: 'etc/architecture', bytes: Buffer.from(architecture) }];
    const image = await addImage(directory, { architecture, layers: [own, ...layers] });
    manifests.push({ ...image, platform: { architecture, os: 'linux' } });
  }
  const index = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests };
  return tagLatest(directory, await addJson(directory, INDEX_TYPE, index));
}

/**
 * Bytes that no compression makes smaller, the same on every call.
 * @param {number} size in bytes
 * @returns {Buffer}
 */
export function incompressible(size) {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 'berth'), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(size));
}

/** @param {string} directory */
async function openLayout(directory) {
  await mkdir(path.join(directory, 'blobs/sha256'), { recursive: true });
  await writeFile(path.join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

/**
 * @param {string} directory
 * @param {Descriptor} manifest
 * @returns {Promise<string>} its digest
 */
async function tagLatest(directory, manifest) {
  const annotations = { 'org.opencontainers.image.ref.name': 'latest' };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  await writeFile(path.join(directory, 'index.json'), JSON.stringify(index));
  return manifest.digest;
}

/**
 * @param {string} directory
 * @param {{ architecture: string, layers: readonly File[][] }} image
 * @returns {Promise<Descriptor>}
 */
async function addImage(directory, { architecture, layers }) {
  const tars = layers.map(tar);
  const descriptors = [];
  for (const bytes of tars) {
    descriptors.push(await addBlob(directory, LAYER_TYPE, gzipSync(bytes, { level: 1 })));
  }
  const config = await addJson(directory, CONFIG_TYPE, {
    created: '2026-01-01T00:00:00Z',
    architecture,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Labels: { 'org.example.made-by': 'berth' } },
    rootfs: { type: 'layers', diff_ids: tars.map(sha256) },
    history: tars.map(() => ({ created: '2026-01-01T00:00:00Z', created_by: 'e2e' })),
  });
  return addJson(directory, MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config,
    layers: descriptors,
  });
}

/**
 * @param {string} directory
 * @param {string} mediaType
 * @param {object} value
 */
function addJson(directory, mediaType, value) {
  return addBlob(directory, mediaType, Buffer.from(JSON.stringify(value)));
}

/**
 * @param {string} directory
 * @param {string} mediaType
 * @param {Buffer} bytes
 * @returns {Promise<Descriptor>}
 */
async function addBlob(directory, mediaType, bytes) {
  const digest = sha256(bytes);
  await writeFile(path.join(directory, 'blobs', digest.replace(':', '/')), bytes);
  return { mediaType, digest, size: bytes.length };
}

/**
 * @param {Buffer} bytes
 * @returns {string} the digest, `sha256:` and 64 hexadecimal digits
 */
function sha256(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

const TAR_BLOCK_BYTES = 512;

/**
 * @param {readonly File[]} files with names of at most 100 bytes
 * @returns {Buffer} a POSIX ustar archive
 */
function tar(files) {
  const parts = files.flatMap(({ name, bytes }) => {
    const padding = (TAR_BLOCK_BYTES - (bytes.length % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
    return [tarHeader(name, bytes.length), bytes, Buffer.alloc(padding)];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * TAR_BLOCK_BYTES)]);
}

/**
 * @param {string} name
 * @param {number} size in bytes
 */
function tarHeader(name, size) {
  const header = Buffer.alloc(TAR_BLOCK_BYTES);
  header.write(name, 0);
  header.write('0000644\0', 100); // mode
  header.write('0000000\0', 108); // uid
  header.write('0000000\0', 116); // gid
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136); // mtime
  header.write(' '.repeat(8), 148); // The checksum counts its own field as blanks.
  header.write('0', 156); // a regular file
  header.write('ustar\u000000', 257);
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
