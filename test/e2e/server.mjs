import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;
const LOG_MS_MAX = 10_000;

/** @typedef {{ method: string, path: string, status: number }} LoggedRequest */
/** @typedef {{ method: string, outcome: string, d1RoundTrips: number }} LoggedCall */
/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/**
 * Runs a registry as a user does, with `npm start`, on a free port of this machine, and waits for
 * the login line. It ends with this process, should nobody stop it before.
 * @param {string} stateDirectory what D1, R2 and KV hold; outlives the server
 * @param {{ port?: string, flags?: readonly string[] }} [options] another port than a free one;
 *   more flags of `wrangler dev`
 * @returns what the login line says, `host` being `localhost:<port>`; what the server logged; and
 *   `stop`, which ends it and gives its exit code
 */
export async function startServer(stateDirectory, { port, flags = [] } = {}) {
  const own = ['--port', port ?? (await findFreePort()), '--persist-to', stateDirectory];
  const child = spawn('npm', ['start', '--', ...own, ...flags], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithThisProcess(child);
  let output = '';
  const collect = (/** @type {Buffer} */ chunk) => (output += chunk.toString());
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);

  const login = await waitFor(
    () => {
      if (child.exitCode !== null) {
        throw new Error(`npm start ended:\n${output}`);
      }
      return /^docker login (\S+) -u (\S+) -p (\S+)$/m.exec(output);
    },
    { limitMs: READY_MS_MAX, failure: () => `npm start printed no login line:\n${output}` },
  );
  const [, host = '', username = '', password = ''] = login;

  /**
   * @template Line
   * @param {() => Line[]} read
   * @param {(line: Line) => boolean} isLast
   */
  const loggedUntil = (read, isLast) =>
    waitFor(
      () => {
        const lines = read();
        const last = lines.findIndex(isLast);
        return last === -1 ? null : lines.slice(0, last + 1);
      },
      { limitMs: LOG_MS_MAX, failure: () => `what is awaited is not logged:\n${output}` },
    );

  return {
    host,
    username,
    password,

    /** @returns {number} how many requests were logged so far */
    countRequests: () => parseRequests(output).length,

    /**
     * Answered requests, in order. The log lags behind the answers, so this waits for the one that
     * is known to come last.
     * @param {number} count of requests to leave out at the start
     * @param {(request: LoggedRequest) => boolean} isLast
     * @returns {Promise<LoggedRequest[]>} up to and with the last
     */
    requestsSince: (count, isLast) => loggedUntil(() => parseRequests(output).slice(count), isLast),

    /** @returns {number} how many calls over the service binding were logged so far */
    countCalls: () => parseCalls(output).length,

    /**
     * The same of calls over the service binding.
     * @param {number} count of calls to leave out at the start
     * @param {(call: LoggedCall) => boolean} isLast
     * @returns {Promise<LoggedCall[]>} up to and with the last
     */
    callsSince: (count, isLast) => loggedUntil(() => parseCalls(output).slice(count), isLast),

    /** @returns {Promise<number | null>} the exit code */
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit', { signal: AbortSignal.timeout(STOP_MS_MAX) });
        child.kill('SIGTERM');
        await ended;
      }
      return child.exitCode;
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */

/**
 * @param {ChildProcess} child leads its process group
 */
function endWithThisProcess(child) {
  process.once('exit', () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, 'SIGTERM');
    }
  });
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => process.exit(1));
  }
}

/** @returns {Promise<string>} */
export async function findFreePort() {
  const probe = createServer().listen(0, 'localhost');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') {
    throw new Error('no port');
  }
  return String(address.port);
}

/**
 * @param {string} output of `wrangler dev`
 * @returns {LoggedRequest[]}
 */
function parseRequests(output) {
  const line = /\b(GET|HEAD|POST|PUT|PATCH|DELETE) (\/\S*) (\d{3}) /g;
  return [...stripVTControlCharacters(output).matchAll(line)].map(
    ([, method = '', path = '', status]) => ({ method, path, status: Number(status) }),
  );
}

/**
 * @param {string} output of `wrangler dev`
 * @returns {LoggedCall[]}
 */
function parseCalls(output) {
  const line = /\{"level":"info","event":"call",.*\}/g;
  return [...stripVTControlCharacters(output).matchAll(line)].map(([json]) => JSON.parse(json));
}

/**
 * @template T
 * @param {() => T | null} look
 * @param {{ limitMs: number, failure: () => string }} options
 * @returns {Promise<T>} the first answer that is not null
 */
async function waitFor(look, { limitMs, failure }) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const found = look();
    if (found !== null) {
      return found;
    }
    if (Date.now() > deadline) {
      throw new Error(failure());
    }
    await sleep(50);
  }
}
