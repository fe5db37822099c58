import { MANIFEST_TYPE, pushTagged } from './content.mjs';

/** @typedef {import('./client.mjs').Client} Client */
/** @typedef {{ client: Client, send: import('./client.mjs').Send, repository: string }} World */

/** What manifests of 1 to 15 layers weigh: a descriptor is 175 characters, the config's with the rest 330. */
const BODY_CHARACTERS = '(330 + 175 * (1 + n % 15))';

/**
 * Runs statements as one transaction, beside the registry.
 * @param {Client} client
 * @param {readonly string[]} statements
 * @returns {Promise<Record<string, number | string>[][]>} the rows of each
 */
export async function runSql(client, statements) {
  const body = Buffer.from(JSON.stringify(statements));
  const answer = await client.send('POST', '/bench/sql', { body, expect: 200 });
  return JSON.parse(answer.body.toString());
}

/**
 * A repository with an image under `latest`, and who may pull from it and push to it.
 * @param {Client} client
 * @param {string} repository
 * @returns {Promise<World>}
 */
export async function openWorld(client, repository) {
  const send = await client.into(repository);
  await pushTagged(send, 'latest');
  return { client, send, repository };
}

/**
 * Makes the rows that exist so far sort after all that come. A probe for what is absent reads the
 * row beside its place, if there is one; so there always is, and figures can be compared to the row.
 * @param {Client} client
 */
export async function fence(client) {
  const send = await client.into('zz/fence');
  await pushTagged(send, 'zz');
  await send('POST', '/blobs/uploads/', { expect: 202 });
  await runSql(client, [
    `UPDATE blob SET uuid = 'zz' || id, digest = 'zz' || id, object_key = 'zz' || id`,
    `UPDATE manifest SET digest = 'zz' || id, subject_digest = 'zz'`,
    `UPDATE blob_upload SET uuid = 'zz' || id, object_key = 'zz' || id`,
  ]);
}

/** @param {number} count */
const numbers = (count) =>
  `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ${count})`;

/** @param {string} repository @returns {string} SQL that gives its id */
export const idOf = (repository) => {
  const [namespace, name] = repository.split('/');
  return `(SELECT r.id FROM repository r JOIN namespace n ON n.id = r.namespace_id
    WHERE n.name = '${namespace}' AND r.name = '${name}')`;
};

/** The manifest of a filled repository's number n. */
const DIGEST = `'sha256:' || printf('%064x', n)`;

/** Enough for full pages. */
const TAGS_AT_LEAST = 100;

/**
 * So many tags, each with a generation that ended; ten names share a manifest.
 * @param {World} world
 * @param {number} count
 */
export async function fillTags({ client, repository }, count) {
  const id = idOf(repository);
  const digest = DIGEST.replace('n)', 'n / 10)');
  const tags = (/** @type {string} */ traits) => `INSERT INTO tag (repository_id, name, manifest_id,
      lifetime_start_ms, lifetime_end_ms, is_current)
    ${numbers(count)} SELECT ${id}, printf('x%07d', n), m.id, ${traits} FROM counted
      CROSS JOIN manifest m ON m.repository_id = ${id} AND m.digest = ${digest}`;
  await runSql(client, [
    manifestRows({ id, count: Math.floor(count / 10) + 1, first: 0 }),
    tags('1000 + n, 500000 + n, 0'),
    tags('500000 + n, NULL, 1'),
  ]);
}

/** @param {{ id: string, count: number, first: number }} options */
const manifestRows = ({ id, count, first }) =>
  `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
  ${numbers(count)} SELECT ${id}, ${DIGEST.replace('n)', `n - 1 + ${first}`)}), '${MANIFEST_TYPE}',
    ${BODY_CHARACTERS}, 0, printf('%.*c', ${BODY_CHARACTERS}, ' ') FROM counted`;

/** Behind the numbers of those that tags share. */
const FIRST_MANIFEST = 2 ** 24;

/**
 * So many manifests with a blob of their own and one that all share, each under one tag.
 * @param {World} world
 * @param {number} count
 */
export async function fillManifests(world, count) {
  const { client, repository } = world;
  await fillTags(world, TAGS_AT_LEAST);
  const id = idOf(repository);
  const filled = `m.repository_id = ${id} AND m.digest > 'sha256:' || printf('%064x', ${FIRST_MANIFEST} - 1)
    AND m.created_ms = 0`;
  // Of the same lengths as the registry's own; the last 56 digits are those of the blob's manifest.
  const uuid = `printf('%08x-0000-4000-8000-%012x', ${id}, n)`;
  const blobOf = (/** @type {string} */ digits) =>
    `'sha256:' || printf('%08x', ${id}) || ${digits}`;
  await runSql(client, [
    manifestRows({ id, count, first: FIRST_MANIFEST }),
    `INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
      ${numbers(count)} SELECT ${uuid}, ${blobOf(`printf('%056x', n - 1 + ${FIRST_MANIFEST})`)}, 64,
        'blobs/' || ${uuid}, 'r2', 0 FROM counted`,
    `INSERT INTO manifest_blob (repository_id, manifest_id, blob_id)
      SELECT ${id}, m.id, (SELECT b.id FROM blob b
        WHERE b.digest = ${blobOf(`printf('%056x', ${FIRST_MANIFEST})`)})
      FROM manifest m WHERE ${filled}
      UNION SELECT ${id}, m.id, b.id FROM manifest m
        JOIN blob b ON b.digest = ${blobOf('substr(m.digest, 16)')} WHERE ${filled}`,
    `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
      SELECT ${id}, 'v' || m.id, m.id, 500000, 1 FROM manifest m WHERE ${filled}`,
  ]);
}

/**
 * So many generations of `latest`.
 * @param {World} world
 * @param {number} count
 */
export async function fillGenerations(world, count) {
  const { client, repository } = world;
  await fillTags(world, TAGS_AT_LEAST);
  const id = idOf(repository);
  await runSql(client, [
    `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms, is_current)
      ${numbers(count)} SELECT ${id}, 'latest', t.manifest_id, 1000 + n * 10, 1010 + n * 10, 0
      FROM counted CROSS JOIN tag t ON t.repository_id = ${id} AND t.name = 'latest' AND t.is_current = 1`,
  ]);
}

/**
 * Namespaces with a repository each, from the one after the first number to the last.
 * @param {Client} client
 * @param {{ after: number, last: number }} range
 */
export async function fillNamespaces(client, { after, last }) {
  const name = `printf('n%07d', n + ${after})`;
  await runSql(client, [
    `INSERT INTO namespace (name) ${numbers(last - after)} SELECT ${name} FROM counted`,
    `INSERT INTO repository (namespace_id, name)
      ${numbers(last - after)} SELECT s.id, 'app' FROM counted CROSS JOIN namespace s ON s.name = ${name}`,
    `INSERT INTO repository_gc (repository_id, policy_s)
      ${numbers(last - after)} SELECT r.id, s.removed_tag_expiration_s FROM counted
      CROSS JOIN namespace s ON s.name = ${name} JOIN repository r ON r.namespace_id = s.id`,
  ]);
}
