import { env } from 'cloudflare:workers';

import { MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { DAY_MS, START_MS } from './clock.ts';
import { pushTagged } from './content.ts';
import type { World } from './costs.ts';

/**
 * What there may be very many of, in rows that are as the registry would have left them, but for the
 * bodies of manifests and the objects of blobs, which nobody reads. Everything happened within the
 * time machine's window, so nothing is due.
 */

/** Fills a repository, or the registry around it, with so many of something. */
export type Fill = (world: World, count: number) => Promise<void>;

/** What fills pages, where something else is what there are many of. */
const TAGS_AT_LEAST = 100;
const FILLED_FROM_MS = START_MS - DAY_MS;
/** When all of the filling's tags had begun. */
const FILLED_TO_MS = START_MS - DAY_MS / 2;
/** How far tags and generations are apart: so that 100,000 of them fit half a day. */
const STEP_MS = 100;

/** Numbers from 1 to the first parameter. */
const COUNTED = `WITH RECURSIVE counted(n) AS (
  SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?1)`;

const run = (sql: string, count: number, ...values: readonly (string | number)[]) =>
  env.DB.prepare(sql).bind(count, ...values);

const hexOf = (number: string) => `printf('%064x', ${number})`;

const insertManifests = ({ repository }: World, count: number, first: number) =>
  run(
    `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
    ${COUNTED} SELECT ?2, 'sha256:' || ${hexOf('?3 + n')}, '${MANIFEST_MEDIA_TYPES.ociManifest}', 2,
      ${FILLED_FROM_MS}, '{}' FROM counted`,
    count,
    repository.id,
    first,
  );

/** When cron is to look at what ended here. */
const lowerHint = ({ repository }: World) =>
  env.DB.prepare(
    `UPDATE repository_gc SET earliest_end_ms =
      (SELECT min(lifetime_end_ms) FROM tag WHERE repository_id = ?1) WHERE repository_id = ?1`,
  ).bind(repository.id);

/**
 * So many alive tags, each with a generation that ended and a temporary tag that is over; ten names
 * share a manifest. And `latest`.
 */
export const fillTags: Fill = async (world, count) => {
  const { registry, repository } = world;
  await pushTagged(registry, repository, { tagName: 'latest' });
  const manifestOf = `CROSS JOIN manifest m ON m.repository_id = ?2
    AND m.digest = 'sha256:' || ${hexOf('1 + n / 10')}`;
  const movedMs = `${FILLED_FROM_MS} + n * ${STEP_MS}`;
  const insertTags = (name: string, traits: string) =>
    run(
      `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
        is_current, hidden)
      ${COUNTED} SELECT ?2, ${name}, m.id, ${traits} FROM counted ${manifestOf}`,
      count,
      repository.id,
    );
  await env.DB.batch([
    insertManifests(world, Math.floor(count / 10) + 1, 0),
    insertTags(`printf('x%06d', n)`, `${FILLED_FROM_MS}, ${movedMs}, 0, 0`),
    insertTags(`printf('x%06d', n)`, `${movedMs}, NULL, 1, 0`),
    insertTags(`'$temp-' || n`, `${FILLED_FROM_MS}, ${movedMs}, 0, 1`),
    lowerHint(world),
  ]);
};

/** Behind the numbers of those that tags share. */
const FIRST_MANIFEST = 2 ** 24;

/**
 * So many manifests, each with a blob of its own and one that all share, in one index, and held by a
 * tag as well.
 */
export const fillManifests: Fill = async (world, count) => {
  const { repository } = world;
  await fillTags(world, TAGS_AT_LEAST);
  const own = `CROSS JOIN manifest m ON m.repository_id = ?2
    AND m.digest = 'sha256:' || ${hexOf(`${FIRST_MANIFEST} + n`)}`;
  const fromCounted = (sql: string) => run(sql, count, repository.id);
  await env.DB.batch([
    insertManifests(world, count, FIRST_MANIFEST),
    fromCounted(`INSERT INTO blob (uuid, digest, size_bytes, object_key, location, created_ms)
      ${COUNTED} SELECT 'f' || ?2 || '-' || n, 'sha256:' || ${hexOf('?2')} || n, 64,
        'blobs/f' || ?2 || '-' || n, 'r2', ${FILLED_FROM_MS} FROM counted`),
    fromCounted(`INSERT INTO manifest_blob (repository_id, manifest_id, blob_id)
      ${COUNTED} SELECT ?2, m.id, b.id FROM counted ${own}
        CROSS JOIN blob b ON b.uuid IN ('f' || ?2 || '-' || n, 'f' || ?2 || '-1')`),
    fromCounted(`INSERT INTO manifest_child (manifest_id, child_digest, child_manifest_id,
        repository_id)
      ${COUNTED} SELECT top.id, m.digest, m.id, ?2 FROM counted ${own}
        CROSS JOIN manifest top ON top.repository_id = ?2
          AND top.digest = 'sha256:' || ${hexOf('1')}`),
    fromCounted(`INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
      ${COUNTED} SELECT ?2, printf('v%06d', n), m.id, ${FILLED_FROM_MS} + n * ${STEP_MS}, 1
      FROM counted ${own}`),
  ]);
};

/** So many generations, all over, of each of the names that operations read and write. */
export const fillGenerationsOf =
  (names: readonly string[]): Fill =>
  async (world, count) => {
    const { repository } = world;
    await fillTags(world, TAGS_AT_LEAST);
    const start = `${FILLED_TO_MS} + n * ${STEP_MS}`;
    await env.DB.batch([
      ...names.map((name) =>
        run(
          `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
            is_current)
          ${COUNTED} SELECT ?2, ?3, m.id, ${start}, ${start} + ${STEP_MS}, 0 FROM counted
            CROSS JOIN manifest m ON m.repository_id = ?2
              AND m.digest = 'sha256:' || ${hexOf('1 + n % 10')}`,
          count,
          repository.id,
          name,
        ),
      ),
      lowerHint(world),
    ]);
  };

/** So many namespaces, each with an empty repository, around the one that is measured. */
export const fillNamespaces: Fill = async (world, count) => {
  await fillTags(world, TAGS_AT_LEAST);
  const name = `'many-' || ?2 || printf('-%06d', n)`;
  const own = `CROSS JOIN namespace s ON s.name = ${name}`;
  const fromCounted = (sql: string) => run(sql, count, world.repository.id);
  await env.DB.batch([
    fromCounted(`INSERT INTO namespace (name) ${COUNTED} SELECT ${name} FROM counted`),
    fromCounted(`INSERT INTO repository (namespace_id, name)
      ${COUNTED} SELECT s.id, 'app' FROM counted ${own}`),
    fromCounted(`INSERT INTO repository_gc (repository_id, policy_s)
      ${COUNTED} SELECT r.id, s.removed_tag_expiration_s FROM counted ${own}
        CROSS JOIN repository r ON r.namespace_id = s.id`),
  ]);
};
