import { pushTagged } from './content.mjs';

const WARM_UP = 300;
const TIMES = 1500;

/**
 * The CPU time of a pull, in milliseconds: many in one isolate that knows the way, without a network
 * between. `bare` is that of one statement in a Worker that does nothing else: most of it is the
 * local database's, which at the edge is another machine's.
 * @param {import('./fill.mjs').World} world
 * @param {import('./process.mjs').Watched} process
 */
export async function measureCpu({ client, send, repository }, process) {
  const { digest } = await pushTagged(send, 'cpu');
  const { headers } = await send('GET', '/manifests/cpu', { expect: 200 });
  if (headers['docker-content-digest'] !== digest) {
    throw new Error('not what was pushed');
  }
  const Authorization = await client.bearer(repository);
  /** @param {string} path */
  const cpuOf = async (path) => {
    const repeat = (/** @type {number} */ times) =>
      client.send('GET', '/bench/repeat', {
        headers: { Authorization, 'X-Path': path, 'X-Times': String(times) },
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
  return {
    emptyMs: await cpuOf('/bench/empty'),
    statementMs: await cpuOf('/bench/statement'),
    byTagMs: await cpuOf(`/v2/${repository}/manifests/cpu`),
    byDigestMs: await cpuOf(`/v2/${repository}/manifests/${digest}`),
  };
}

/** @typedef {Awaited<ReturnType<typeof measureCpu>>} Cpu */
