/**
 * `npm start`: from a fresh clone to a running registry in one command. Flags after `--` go to
 * `wrangler dev`.
 */
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { NODE, ROOT, WRANGLER, run } from './child.mjs';
import { ensureDevVars, readDevVar } from './dev-vars.mjs';
import { installMissing } from './install.mjs';

const PORT_DEFAULT = '8787';

process.exitCode = await start(process.argv.slice(2));

/**
 * @param {string[]} flags for `wrangler dev`
 * @returns {Promise<number>} the exit code of the first step that failed, or of `wrangler dev`
 */
async function start(flags) {
  const { values } = parseArgs({
    args: flags,
    options: { port: { type: 'string' }, 'persist-to': { type: 'string' } },
    strict: false,
  });
  const port = String(values.port ?? PORT_DEFAULT);
  if (!(await isFree(Number(port)))) {
    process.stderr.write(`Port ${port} is taken; choose another: npm start -- --port 9000\n`);
    return 1;
  }
  const installCode = await installMissing();
  if (installCode !== 0) {
    return installCode;
  }
  const devVars = ensureDevVars(path.join(ROOT, '.dev.vars'));

  const persistTo = values['persist-to'];
  const state = persistTo === undefined ? [] : ['--persist-to', String(persistTo)];
  const migrate = ['d1', 'migrations', 'apply', 'berth', '--local', ...state];
  const migrateCode = await run(NODE, [...WRANGLER, ...migrate], { quiet: true });
  if (migrateCode !== 0) {
    return migrateCode;
  }

  const ended = new AbortController();
  const login = `docker login localhost:${port} -u admin -p ${passwordArgument(devVars)}`;
  const announced = announce(login, { port, signal: ended.signal });
  const dev = ['dev', ...(values.port === undefined ? ['--port', port] : []), ...flags];
  const code = await run(NODE, [...WRANGLER, ...dev]);
  ended.abort();
  await announced;
  return code;
}

/**
 * Prints a line as soon as the server answers anything at all.
 * @param {string} line
 * @param {{ port: string, signal: AbortSignal }} options `signal` gives up waiting
 */
async function announce(line, { port, signal }) {
  while (!signal.aborted) {
    try {
      await fetch(`http://localhost:${port}/health/instance`, { signal });
      process.stdout.write(`\n${line}\n\n`);
      return;
    } catch {
      await sleep(200, undefined, { signal }).catch(() => {});
    }
  }
}

/**
 * @param {number} port
 * @returns {Promise<boolean>} whether a server could listen there; wrangler would silently take
 *   another one, or clients would reach a stranger
 */
function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: 'localhost' }, () => probe.close(() => resolve(true)));
  });
}

/**
 * @param {string} devVars the text of `.dev.vars`
 * @returns {string} the administrator's password as one shell word
 */
function passwordArgument(devVars) {
  const password = readDevVar(devVars, 'ADMIN_PASSWORD') ?? '';
  return /^[\w.~-]+$/.test(password) ? password : `'${password.replaceAll("'", String.raw`'\''`)}'`;
}
