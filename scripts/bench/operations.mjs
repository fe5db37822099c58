import { randomBytes } from 'node:crypto';

import {
  anImage,
  LARGE_LAYER_BYTES,
  pushBlob,
  pushInChunks,
  pushTagged,
  putManifest,
} from './content.mjs';

/** @typedef {import('./fill.mjs').World} World */
/**
 * What is measured. `prepare` makes ready, uncounted, and gives what is counted. `budget` is what it
 * may cost at most.
 * @typedef {{
 *   name: string,
 *   budget: { roundTrips: number, rowsRead: number, rowsWritten: number } | null,
 *   prepare: (world: World) => Promise<() => Promise<unknown>>,
 * }} Operation
 */

const CHUNK_BYTES = 5 * 1024 * 1024;
const PAGE = 50;
const REFERRERS = 10;

let unique = 0;
const aTag = () => `t${(unique += 1)}`;

/** @param {string} name @returns {Operation} */
const bare = (name) => ({
  name: `(${name})`,
  budget: null,
  prepare:
    async ({ client }) =>
    () =>
      client.send('GET', `/bench/${name}`, { expect: 200 }),
});

/**
 * @param {string} name
 * @param {readonly [roundTrips: number, rowsRead: number, rowsWritten: number]} budget
 * @param {Operation['prepare']} prepare
 * @returns {Operation}
 */
const operation = (name, [roundTrips, rowsRead, rowsWritten], prepare) => ({
  name,
  budget: { roundTrips, rowsRead, rowsWritten },
  prepare,
});

/** @param {string} method */
const byTag =
  (method) =>
  async (/** @type {World} */ { send }) =>
  () =>
    send(method, '/manifests/latest', { expect: 200 });

/**
 * The same once more, by who asked before.
 * @param {Operation['prepare']} prepare
 * @returns {Operation['prepare']}
 */
const again = (prepare) => async (world) => {
  const ask = await prepare(world);
  await ask();
  return ask;
};

/** @type {Operation['prepare']} */
const byDigest = async ({ send }) => {
  const { digest } = await pushTagged(send, aTag());
  return () => send('GET', `/manifests/${digest}`, { expect: 200 });
};

const LARGE = { layerBytes: LARGE_LAYER_BYTES };

/** @param {string} method @param {{ layerBytes?: number }} [image] @returns {Operation['prepare']} */
const blob =
  (method, image) =>
  async ({ send }) => {
    const { layers } = await pushTagged(send, aTag(), image);
    return () => send(method, `/blobs/${layers[0]?.digest}`, { expect: 200 });
  };

/** @type {Operation['prepare']} */
const tagPage = async ({ send }) => {
  // A page is kept by where it begins; these all begin before the first tag.
  const after = `a${(unique += 1)}`;
  return () => send('GET', `/tags/list?n=${PAGE}&last=${after}`, { expect: 200 });
};

/** @type {Operation['prepare']} */
const referrers = async ({ send }) => {
  const { bytes, digest } = await pushTagged(send, aTag());
  const subject = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest,
    size: bytes.length,
  };
  for (let referrer = 0; referrer < REFERRERS; referrer += 1) {
    await pushTagged(send, aTag(), { subject });
  }
  return () => send('GET', `/referrers/${digest}`, { expect: 200 });
};

/** @type {Operation['prepare']} */
const history = async ({ client, repository }) => {
  const path = `/api/v1/repository/${repository}/tag/?limit=${PAGE}`;
  return () => client.send('GET', path, { headers: client.administrator, expect: 200 });
};

/** @type {Operation['prepare']} */
const token = async ({ client, repository }) => {
  const path = `/v2/auth?scope=repository:${repository}:pull`;
  return () => client.send('GET', path, { headers: client.administrator, expect: 200 });
};

/** @type {Operation['prepare']} */
const blobPush = async ({ send }) => {
  const bytes = randomBytes(1024);
  return () => pushBlob(send, bytes);
};

/** @param {number} chunks @returns {Operation['prepare']} */
const chunkedPush =
  (chunks) =>
  async ({ send }) => {
    const bytes = randomBytes(chunks * CHUNK_BYTES);
    return () => pushInChunks(send, bytes, CHUNK_BYTES);
  };

/** @param {number} layers @returns {Operation['prepare']} */
const manifestPush =
  (layers) =>
  async ({ send }) => {
    const image = await anImage(send, { layers });
    const tag = aTag();
    return () => putManifest(send, tag, image);
  };

/** @type {Operation['prepare']} */
const mount = async ({ client, repository }) => {
  const source = `${repository}-source`;
  const { digest } = await pushBlob(await client.into(source), randomBytes(64));
  const send = await client.into(repository, { from: source });
  const path = `/blobs/uploads/?mount=${digest}&from=${source}`;
  return () => send('POST', path, { expect: 201 });
};

/** @type {Operation['prepare']} */
const tagDelete = async ({ send }) => {
  // The first one in a repository also sets when collection is to look there.
  const first = aTag();
  await pushTagged(send, first);
  await send('DELETE', `/manifests/${first}`, { expect: 202 });
  const tag = aTag();
  await pushTagged(send, tag);
  return () => send('DELETE', `/manifests/${tag}`, { expect: 202 });
};

/** What a push is noted in the audit log by, behind its answer: a round trip, and its rows. */
const AUDIT = { roundTrips: 1, rowsRead: 8, rowsWritten: 3 };
/** @param {number} layers @returns {[number, number, number]} */
const perManifest = (layers) => [
  3 + AUDIT.roundTrips,
  60 + 14 * layers + AUDIT.rowsRead,
  30 + 2 * layers + AUDIT.rowsWritten,
];

/** What a Worker costs that does nothing, and one that asks one statement. */
export const BARE = [bare('empty'), bare('statement')];

/** Each reads as much in the largest repository as in the smallest. */
export const OPERATIONS = [
  operation('pull manifest by tag', [1, 8, 0], byTag('GET')),
  operation('HEAD manifest by tag', [1, 8, 0], byTag('HEAD')),
  operation('pull manifest by digest, cold', [1, 8, 0], byDigest),
  operation('pull manifest by digest, warm', [0, 0, 0], again(byDigest)),
  operation('GET small blob, cold', [1, 6, 0], blob('GET')),
  operation('GET small blob, warm', [0, 0, 0], again(blob('GET'))),
  operation('GET large blob, cold', [1, 6, 0], blob('GET', LARGE)),
  operation('GET large blob, warm', [0, 0, 0], again(blob('GET', LARGE))),
  operation('HEAD blob by who may push', [1, 12, 0], blob('HEAD')),
  operation(`tags list, ${PAGE}, cold`, [2, PAGE + 8, 0], tagPage),
  operation(`tags list, ${PAGE}, warm`, [1, 4, 0], again(tagPage)),
  operation(`${REFERRERS} referrers`, [1, 4 + 2 * REFERRERS, 0], referrers),
  operation(`history, ${PAGE}`, [2, 2 * PAGE + 16, 0], history),
  operation('token', [2, 16, 0], token),
  operation('blob push, one body', [3, 40, 20], blobPush),
  operation('blob push, 4 chunks', [4 + 2 * 4, 60 + 19 * 4, 40 + 10 * 4], chunkedPush(4)),
  operation('mount a blob', [3, 20, 8], mount),
  operation('manifest push, 1 layer', perManifest(1), manifestPush(1)),
  operation('manifest push, 20 layers', perManifest(20), manifestPush(20)),
  operation('tag delete', [3, 16 + AUDIT.rowsRead, 20 + AUDIT.rowsWritten], tagDelete),
];
