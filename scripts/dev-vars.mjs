import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';

/** What each secret is made of when `.dev.vars` lacks it. */
const MAKERS = {
  ADMIN_PASSWORD: newPassword,
  TOKEN_SIGNING_KEY: newSigningKey,
  LEGACY_IMAGE_KEY: newImageKey,
};

/**
 * Adds the secrets that a `.dev.vars` file lacks, making the file if there is none; what is there
 * stays as it is. When something is added, the file becomes readable for its owner only.
 * @param {string} file its path
 * @returns {string} the file's text
 */
export function ensureDevVars(file) {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const added = Object.entries(MAKERS)
    .filter(([name]) => readDevVar(before, name) === null)
    .map(([name, make]) => `${name}='${make()}'\n`);
  if (added.length === 0) {
    return before;
  }
  const separator = before === '' || before.endsWith('\n') ? '' : '\n';
  const after = before + separator + added.join('');
  writeFileSync(file, after, { mode: 0o600 });
  chmodSync(file, 0o600);
  return after;
}

/**
 * @param {string} text of a `.dev.vars` file, in dotenv's syntax
 * @param {string} name
 * @returns {string | null} the variable's value, null if the text does not set it
 */
export function readDevVar(text, name) {
  const value = `'([^']*)'|"([^"]*)"|([^#\\n]*)`;
  const match = new RegExp(`^\\s*(?:export\\s+)?${name}\\s*=[ \\t]*(?:${value})`, 'm').exec(text);
  return match === null ? null : (match[1] ?? match[2] ?? match[3] ?? '').trim();
}

/** Hexadecimal, so that it needs no quotes in a shell and never starts with a dash. */
function newPassword() {
  return randomBytes(20).toString('hex');
}

/** A private P-256 key as a one-line JWK; its `kid` is the thumbprint of RFC 7638. */
function newSigningKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { kty, crv, x, y, d } = privateKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  return JSON.stringify({ kty, crv, x, y, d, kid, alg: 'ES256', use: 'sig' });
}

/** What ids of legacy images are made with: as many bits as the hash that uses it. */
function newImageKey() {
  return randomBytes(32).toString('hex');
}
