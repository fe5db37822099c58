import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { NODE, ROOT, run } from './child.mjs';

/** @typedef {Record<string, { version?: string, integrity?: string, optional?: boolean }>} Packages */

/**
 * Runs `npm ci` unless node_modules is what the lockfile says.
 * @returns {Promise<number>} npm's exit code, 0 if there was nothing to do
 */
export async function installMissing() {
  if (isInstalled()) {
    return 0;
  }
  process.stdout.write('Installing dependencies …\n');
  // `npm ci` removes node_modules first, and with it the Node that npm scripts find on their PATH.
  const installed = path.join('node_modules', '.bin');
  const directories = (process.env.PATH ?? '').split(path.delimiter);
  const PATH = directories.filter((directory) => !directory.endsWith(installed));
  return run('npm', ['ci', '--no-audit', '--no-fund'], {
    env: { ...process.env, PATH: PATH.join(path.delimiter) },
  });
}

/**
 * npm leaves a lockfile of what it really installed in node_modules; packages for other platforms
 * are missing there.
 * @returns {boolean} whether node_modules holds exactly what package-lock.json names
 */
function isInstalled() {
  const installedLock = path.join(ROOT, 'node_modules/.package-lock.json');
  if (!existsSync(installedLock) || !existsSync(NODE)) {
    return false;
  }
  const wanted = readPackages(path.join(ROOT, 'package-lock.json'));
  const installed = readPackages(installedLock);
  const names = new Set([...Object.keys(wanted), ...Object.keys(installed)]);
  names.delete('');
  return [...names].every((name) => {
    const want = wanted[name];
    const have = installed[name];
    return have === undefined
      ? want?.optional === true
      : have.version === want?.version && have.integrity === want?.integrity;
  });
}

/**
 * @param {string} lockfile
 * @returns {Packages} by their folder, '' is the root project
 */
function readPackages(lockfile) {
  return JSON.parse(readFileSync(lockfile, 'utf8')).packages;
}
