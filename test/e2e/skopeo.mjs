import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';

const SKOPEO_MS_MAX = 90_000;

/** @typedef {{ code: number, stdout: string, stderr: string }} Outcome */

/**
 * skopeo without a trust policy of this machine, speaking plain HTTP and keeping its logins in a
 * file of its own.
 * @param {string} authFile where `login` puts the credentials that the other commands use
 * @returns a function that runs skopeo and throws with what it said when it fails, and
 *   `attempt`, which gives the outcome either way
 */
export function createSkopeo(authFile) {
  /**
   * @param {string} command
   * @param {...string} args
   * @returns {Promise<Outcome>}
   */
  const attempt = (command, ...args) => {
    const insecure =
      command === 'copy'
        ? ['--src-tls-verify=false', '--dest-tls-verify=false']
        : ['--tls-verify=false'];
    const env = { ...process.env, REGISTRY_AUTH_FILE: authFile };
    return new Promise((resolve) => {
      execFile(
        'skopeo',
        ['--insecure-policy', command, ...insecure, ...args],
        { env, timeout: SKOPEO_MS_MAX },
        (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
        },
      );
    });
  };

  /**
   * @param {string} command
   * @param {...string} args
   * @returns {Promise<string>} stdout
   */
  const skopeo = async (command, ...args) => {
    const { code, stdout, stderr } = await attempt(command, ...args);
    if (code !== 0) {
      throw new Error(`skopeo ${command} ${args.join(' ')}: ${stderr}`);
    }
    return stdout;
  };
  return Object.assign(skopeo, { attempt });
}

/**
 * What skopeo's `dir:` transport wrote: manifests and blobs as they travelled.
 * @param {string} directory
 * @returns {Promise<Map<string, Buffer>>} the bytes of each file by name; blobs are named by their
 *   digest's digits
 */
export async function readFiles(directory) {
  const names = (await readdir(directory)).toSorted();
  const files = names.map(async (name) => {
    const bytes = await readFile(path.join(directory, name));
    return /** @type {const} */ ([name, bytes]);
  });
  return new Map(await Promise.all(files));
}
