import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root: where every command runs and every relative path starts. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

const BIN = path.join(ROOT, 'node_modules/.bin');

/**
 * The Node that the tools run on. The machine's own may be too old for them, so the one of the
 * `node` package is named by its path: when `npm ci` ran only now, PATH may not lead to it.
 */
export const NODE = path.join(BIN, 'node');

/** wrangler without its launcher, which does not pass signals on to the process it starts. */
export const WRANGLER = ['--no-warnings', 'node_modules/wrangler/wrangler-dist/cli.js'];

/**
 * The environment of a tool: without telemetry, update notices and look-ups of this machine's
 * place on Earth, so that everything works offline.
 * @returns {NodeJS.ProcessEnv} this process's environment with those changes
 */
export function toolEnv() {
  return {
    ...process.env,
    PATH: [BIN, process.env.PATH].join(path.delimiter),
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  };
}

/**
 * Starts a command in the root and follows it to its end. It gets no stdin, so nothing it asks can
 * block. It leads a process group of its own, so that Ctrl-C reaches this process alone, which
 * hands the first interrupt on and then ends together with the command, by its exit code.
 * @param {string} command a path, or a name on PATH
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, quiet?: boolean }} [options] `quiet` keeps the output back
 *   and shows it only if the command fails
 * @returns {Promise<number>} the exit code, 128 + n if signal n ended it, 127 if it cannot start
 */
export function run(command, args, { env = toolEnv(), quiet = false } = {}) {
  const output = quiet ? 'pipe' : 'inherit';
  const child = spawn(command, args, {
    cwd: ROOT,
    env,
    detached: true,
    stdio: ['ignore', output, output],
  });
  /** @type {Buffer[]} */
  const held = [];
  child.stdout?.on('data', (chunk) => held.push(chunk));
  child.stderr?.on('data', (chunk) => held.push(chunk));
  const interrupts = handOnInterrupts(child);

  return new Promise((resolve) => {
    /** @param {number} code */
    const finish = (code) => {
      killGroup(child);
      if (interrupts.end()) {
        process.exit(code);
      }
      if (code !== 0) {
        process.stderr.write(Buffer.concat(held));
      }
      resolve(code);
    };
    child.once('error', (error) => {
      process.stderr.write(`${command}: ${error.message}\n`);
      finish(127);
    });
    child.once('close', (code, signal) => {
      finish(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
    });
  });
}

/** wrangler needs far less than a second to end its servers. */
const STOP_MS_MAX = 10_000;
const INTERRUPTS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/**
 * @param {import('node:child_process').ChildProcess} child leads its process group
 * @returns {{ end: () => boolean }} `end` stops it and says whether there was an interrupt
 */
function handOnInterrupts(child) {
  let interrupted = false;
  /** @param {NodeJS.Signals} signal */
  const handOn = (signal) => {
    if (!interrupted) {
      interrupted = true;
      child.kill(signal);
      setTimeout(() => killGroup(child), STOP_MS_MAX);
    }
  };
  for (const signal of INTERRUPTS) {
    process.on(signal, handOn);
  }
  return {
    end: () => {
      for (const signal of INTERRUPTS) {
        process.off(signal, handOn);
      }
      return interrupted;
    },
  };
}

/**
 * Ends whatever is left of a command: a tool that crashes would leave its servers running.
 * @param {import('node:child_process').ChildProcess} child leads its process group
 */
function killGroup(child) {
  try {
    if (child.pid !== undefined) {
      process.kill(-child.pid, 'SIGKILL');
    }
  } catch {
    // Nothing is left of it.
  }
}
