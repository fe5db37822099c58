import { env } from 'cloudflare:workers';
import * as fc from 'fast-check';

import { START_MS } from './clock.ts';
import { select } from './stage.ts';

/** The window of the namespaces of small worlds. */
export const SMALL_WINDOW_MS = 60_000;

const REPOSITORIES = 3;
const MANIFESTS = 8;
const BLOBS = 6;

const repositoryAt = fc.nat({ max: REPOSITORIES - 1 });
const manifestAt = fc.nat({ max: MANIFESTS - 1 });
const blobAt = fc.nat({ max: BLOBS - 1 });
const endMs = fc.oneof(
  fc.constantFrom(null, -SMALL_WINDOW_MS, 1 - SMALL_WINDOW_MS, 0, SMALL_WINDOW_MS),
  fc.integer({ min: -3 * SMALL_WINDOW_MS, max: SMALL_WINDOW_MS }),
);
const leaseEndMs = fc.constantFrom(-SMALL_WINDOW_MS, 0, 1, SMALL_WINDOW_MS);

/**
 * Some repositories of manifests that name each other: everything that can hold something, and what
 * a run that died may have left. Ends are relative to the start of the clock; numbers are places.
 */
export const smallWorld = fc.record({
  /** Where each manifest is. */
  homes: fc.array(repositoryAt, { minLength: MANIFESTS, maxLength: MANIFESTS }),
  children: fc.array(fc.tuple(manifestAt, manifestAt), { maxLength: 10 }),
  subjects: fc.array(fc.tuple(manifestAt, manifestAt), { maxLength: 4 }),
  tags: fc.array(
    fc.record({
      manifest: manifestAt,
      endMs,
      immutable: fc.integer({ min: 0, max: 5 }),
      hidden: fc.boolean(),
    }),
    { maxLength: 10 },
  ),
  links: fc.array(fc.tuple(manifestAt, blobAt), { maxLength: 12 }),
  leases: fc.array(fc.record({ repository: repositoryAt, blob: blobAt, endMs: leaseEndMs }), {
    maxLength: 5,
  }),
  looseManifests: fc.array(manifestAt, { maxLength: 4 }),
  looseBlobs: fc.array(blobAt, { maxLength: 4 }),
  /** Of the last repository. */
  state: fc.constantFrom(0, 0, 3),
  enabled: fc.constantFrom(1, 1, 0),
});
export type SmallWorld = typeof smallWorld extends fc.Arbitrary<infer World> ? World : never;

/** Digests, which look like the real ones, of manifests `a` and blobs `b`. */
export const digestAtPlace = (kind: 'a' | 'b', place: number): string =>
  `sha256:${kind.repeat(60)}${String(place).padStart(4, '0')}`;

const TABLES = [
  'tag',
  'manifest',
  'uploaded_blob',
  'blob',
  'repository_gc',
  'repository',
  'namespace',
  'gc_removal',
  'r2_tombstone',
];

/** Inserts a row for each item of a list. */
const rows = (sql: string, list: readonly unknown[]) =>
  env.DB.prepare(`${sql} FROM json_each(?) WHERE true ON CONFLICT DO NOTHING`).bind(
    JSON.stringify(list),
  );

/** Puts the world in place of what there was; repository, manifest and blob n have the id n + 1. */
export async function settle(world: SmallWorld): Promise<void> {
  const sameHome = ([one, other]: readonly [number, number]) =>
    one > other && world.homes[one] === world.homes[other];
  const windowSec = SMALL_WINDOW_MS / 1000;
  await env.DB.batch([
    ...['manifest_child', 'manifest_blob', ...TABLES].map((table) =>
      env.DB.prepare(`DELETE FROM ${table}`),
    ),
    rows(
      `INSERT INTO namespace (id, name, enabled, removed_tag_expiration_s)
      SELECT value ->> 0, 'n' || (value ->> 0), value ->> 1, ${windowSec}`,
      [
        [1, 1],
        [2, world.enabled],
      ],
    ),
    rows(
      `INSERT INTO repository (id, namespace_id, name, state)
      SELECT value ->> 0, value ->> 1, 'r' || (value ->> 0), value ->> 2`,
      [
        [1, 1, 0],
        [2, 1, 0],
        [3, 2, world.state],
      ],
    ),
    rows(
      `INSERT INTO repository_gc (repository_id, policy_s, earliest_end_ms, earliest_lease_ms)
      SELECT value, ${windowSec}, 0, 0`,
      [1, 2, 3],
    ),
    rows(
      `INSERT INTO manifest (id, repository_id, digest, media_type, size_bytes, created_ms, bytes,
        subject_digest)
      SELECT key + 1, value ->> 0, value ->> 1, 't', key + 10, 0, '{}', value ->> 2`,
      world.homes.map((home, at) => {
        const subject = world.subjects.find((pair) => pair[0] === at && sameHome(pair));
        return [home + 1, digestAtPlace('a', at), subject && digestAtPlace('a', subject[1])];
      }),
    ),
    rows(
      `INSERT INTO manifest_child (manifest_id, child_digest, child_manifest_id, repository_id)
      SELECT 1 + (value ->> 0), value ->> 1, 1 + (value ->> 1), 1`,
      world.children.filter(sameHome),
    ),
    rows(
      `INSERT INTO blob (id, uuid, digest, size_bytes, object_key, location, created_ms)
      SELECT value + 1, value, '${digestAtPlace('b', 0).slice(0, -1)}' || value, 1000 + value,
        'blobs/' || value, 'r2', 0`,
      Array.from({ length: BLOBS }, (_, at) => at),
    ),
    rows(
      `INSERT INTO manifest_blob (repository_id, manifest_id, blob_id)
      SELECT value ->> 0, value ->> 1, value ->> 2`,
      world.links.map(([at, blob]) => [(world.homes[at] ?? 0) + 1, at + 1, blob + 1]),
    ),
    rows(
      `INSERT INTO uploaded_blob (repository_id, blob_id, uploaded_ms, expires_ms)
      SELECT value ->> 0, value ->> 1, 0, value ->> 2`,
      world.leases.map((lease) => [lease.repository + 1, lease.blob + 1, START_MS + lease.endMs]),
    ),
    rows(
      `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
        is_current, hidden, immutable)
      SELECT value ->> 0, 't' || key, value ->> 1, 0, value ->> 2, value ->> 3, value ->> 4,
        value ->> 5`,
      world.tags.map(({ manifest, hidden, immutable, ...tag }) => [
        (world.homes[manifest] ?? 0) + 1,
        manifest + 1,
        tag.endMs === null ? null : START_MS + tag.endMs,
        Number(tag.endMs === null || tag.endMs > 0),
        Number(hidden),
        Number(!hidden && immutable === 0),
      ]),
    ),
    rows('INSERT INTO gc_manifest_candidate (manifest_id) SELECT value + 1', world.looseManifests),
    rows('INSERT INTO gc_blob_candidate (blob_id) SELECT value + 1', world.looseBlobs),
  ]);
}

const list = async (sql: string) => (await select(sql)).map(({ row }) => String(row));

/** What collection can remove, each as text that names it. */
export async function removable() {
  return {
    tags: await list(`SELECT t.repository_id || ' ' || m.digest || ' ' || t.lifetime_end_ms || ' ' ||
      CASE t.hidden WHEN 1 THEN '' ELSE t.name END AS row
      FROM tag t JOIN manifest m ON m.id = t.manifest_id WHERE t.lifetime_end_ms IS NOT NULL`),
    manifests: await list(
      "SELECT repository_id || ' ' || digest || ' ' || size_bytes AS row FROM manifest",
    ),
    leases: await list(`SELECT l.repository_id || ' ' || b.digest AS row
      FROM uploaded_blob l JOIN blob b ON b.id = l.blob_id`),
    blobs: await list("SELECT digest || ' ' || size_bytes AS row FROM blob"),
  };
}
