import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { NODE, ROOT, WRANGLER, toolEnv } from '../child.mjs';
import { ensureDevVars, readDevVar } from '../dev-vars.mjs';

const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;

/** The registry with its stores counted, and what the benchmark asks it by. */
const COUNTED_WORKER = 'scripts/bench/worker/index.ts';

/**
 * Starts a local runtime of its own: a free port, stores and secrets in a temporary folder, which
 * is gone when it stops, or with this process.
 * @param {{ variables?: Record<string, string> }} [options] settings beside those that it has
 */
export async function startRuntime({ variables = {} } = {}) {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const devVars = path.join(directory, 'vars');
  const password = readDevVar(ensureDevVars(devVars), 'ADMIN_PASSWORD') ?? '';
  const state = path.join(directory, 'state');
  await migrate(state);
  const port = await findFreePort();
  const flags = {
    config: 'wrangler.toml',
    port,
    'inspector-port': await findFreePort(),
    'persist-to': state,
    'env-file': devVars,
    'log-level': 'error',
  };
  const settings = {
    // No token is to be renewed in the middle of what is counted.
    TOKEN_TTL_SEC: '3600',
    // What is reported once a minute would go on for a minute; the bill adds it.
    PULL_REPORT_INTERVAL_SEC: '0',
    ...variables,
  };
  const server = startWrangler([
    'dev',
    COUNTED_WORKER,
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    ...Object.entries(settings).flatMap(([name, value]) => ['--var', `${name}:${value}`]),
  ]);
  const origin = `http://localhost:${port}`;
  await waitUntilReady(`${origin}/health/instance`, server);
  return {
    origin,
    state,
    authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`,
    pid: server.child.pid ?? 0,
    /** Ends the server; its stores stay until `stop`. */
    stopServer: () => server.stop(),
    stop: async () => {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof startRuntime>>} Runtime */

/** @param {string} state */
async function migrate(state) {
  const command = ['d1', 'migrations', 'apply', 'berth', '--local', '--persist-to', state];
  const { child, output } = startWrangler(command);
  const [code] = await once(child, 'exit');
  if (code !== 0) {
    throw new Error(`the migrations were not applied:\n${output()}`);
  }
}

/**
 * Runs a server until it is stopped, or this process ends.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
export function startServer(command, args, env = toolEnv()) {
  const child = spawn(command, args, {
    cwd: ROOT,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const collect = (/** @type {Buffer} */ chunk) => {
    // The end says what went wrong, if anything did.
    output = (output + chunk.toString()).slice(-10_000);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const killGroup = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, 'SIGTERM');
    }
  };
  process.once('exit', killGroup);
  return {
    child,
    output: () => output,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit', { signal: AbortSignal.timeout(STOP_MS_MAX) });
        killGroup();
        await ended;
      }
      process.off('exit', killGroup);
    },
  };
}

/** @typedef {ReturnType<typeof startServer>} Server */

/** @param {readonly string[]} args */
const startWrangler = (args) => startServer(NODE, [...WRANGLER, ...args]);

/**
 * Waits until a server answers anything at all.
 * @param {string} url
 * @param {Server} server
 */
export async function waitUntilReady(url, { child, output }) {
  const deadlineMs = Date.now() + READY_MS_MAX;
  for (;;) {
    try {
      await fetch(url);
      return;
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadlineMs) {
        throw new Error(`nothing answers at ${url}:\n${output()}`, { cause: error });
      }
      await sleep(100);
    }
  }
}

/** @returns {Promise<string>} a port of this machine that nobody listens on */
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
