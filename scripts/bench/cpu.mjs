import { LARGE_LAYER_BYTES, pushTagged } from './content.mjs';

const WARM_UP = 300;
const TIMES = 1500;

/**
 * The CPU time of a pull, in milliseconds: many in one isolate that knows the way, without a network
 * between. `own` is without the local database, which at the edge is another machine: it is asked
 * once, and what it answered is parsed anew each time. The local cache and bucket are not left out.
 * Log lines are made but go nowhere, except in `byTagAllMs`: the development server would read them.
 * @param {import('./fill.mjs').World} world
 * @param {import('./process.mjs').Watched} process
 */
export async function measureCpu({ client, send, repository }, process) {
  const { digest, layers } = await pushTagged(send, 'cpu');
  const { headers } = await send('GET', '/manifests/cpu', { expect: 200 });
  if (headers['docker-content-digest'] !== digest) {
    throw new Error('not what was pushed');
  }
  const large = await pushTagged(send, 'cpu-large', { layerBytes: LARGE_LAYER_BYTES });
  const Authorization = await client.bearer(repository);
  /** @param {string} path @param {{ database?: 'asked' | 'replayed', log?: 'read' | 'unread' }} [how] */
  const cpuOf = async (path, { database = 'asked', log = 'unread' } = {}) => {
    const repeat = (/** @type {number} */ times) =>
      client.send('GET', '/bench/repeat', {
        headers: {
          Authorization,
          'X-Path': path,
          'X-Times': String(times),
          'X-Database': database,
          'X-Log': log,
        },
        expect: 200,
      });
    await repeat(WARM_UP);
    const beforeMs = process.cpuMs();
    const { body } = await repeat(TIMES);
    if (body.toString() !== '[200]') {
      throw new Error(`${path}: ${body.toString()}`);
    }
    return (process.cpuMs() - beforeMs) / TIMES;
  };
  const byTag = `/v2/${repository}/manifests/cpu`;
  return {
    emptyMs: await cpuOf('/bench/empty'),
    byTagAllMs: await cpuOf(byTag, { log: 'read' }),
    byTagMs: await cpuOf(byTag),
    byTagOwnMs: await cpuOf(byTag, { database: 'replayed' }),
    byDigestMs: await cpuOf(`/v2/${repository}/manifests/${digest}`),
    smallBlobMs: await cpuOf(`/v2/${repository}/blobs/${layers[0]?.digest}`),
    largeBlobMs: await cpuOf(`/v2/${repository}/blobs/${large.layers[0]?.digest}`),
  };
}

/** @typedef {Awaited<ReturnType<typeof measureCpu>>} Cpu */
