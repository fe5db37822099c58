import { env } from 'cloudflare:workers';

import type { GarbageAudit } from '../../../src/registry/garbage/audit.ts';
import { DAY_MS, TestClock } from '../../support/clock.ts';
import { openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { forgetBlobs } from '../../support/uploads.ts';

/** A clock by which all that lies in R2 is old enough: R2 has a clock of its own. */
export function lateClock(): TestClock {
  const clock = new TestClock();
  clock.set(Date.now() + 9 * DAY_MS);
  return clock;
}

/** What the audit finds of {@link plant}. */
export const PLANTED = {
  lateHints: 3,
  unlistedManifests: 1,
  unlistedBlobs: 1,
  unownedObjects: 3,
  damagedBlobs: 2,
};
export const NOTHING = {
  lateHints: 0,
  unlistedManifests: 0,
  unlistedBlobs: 0,
  unownedObjects: 0,
  damagedBlobs: 0,
};

const ROWS = [
  "INSERT INTO namespace (id, name, removed_tag_expiration_s) VALUES (1, 'n', 0)",
  `INSERT INTO repository (id, namespace_id, name)
    VALUES (1, 1, 'late'), (2, 1, 'missing'), (3, 1, 'other-window'), (4, 1, 'right')`,
  `INSERT INTO manifest (id, repository_id, digest, media_type, size_bytes, created_ms, bytes)
    VALUES (1, 1, 'ended-late', 't', 2, 0, '{}'), (3, 3, 'ended', 't', 2, 0, '{}'),
      (4, 4, 'unlisted', 't', 2, 0, '{}'), (5, 4, 'alive', 't', 2, 0, '{}'),
      (6, 4, 'listed', 't', 2, 0, '{}')`,
  `INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
      is_current)
    VALUES (1, 'v1', 1, 0, 1, 0), (3, 'v1', 3, 0, 1, 0), (4, 'v1', 5, 0, NULL, 1)`,
  `INSERT INTO blob (id, uuid, digest, size_bytes, object_key, location, created_ms)
    VALUES (1, '1', 'of-unlisted', 5, 'blobs/1', 'r2', 0),
      (2, '2', 'unlisted', 5, 'blobs/2', 'r2', 0), (3, '3', 'leased', 5, 'blobs/3', 'r2', 0),
      (4, '4', 'missing', 5, 'blobs/4', 'r2', 0), (5, '5', 'short', 6, 'blobs/5', 'r2', 0),
      (6, '6', 'listed', 5, 'blobs/6', 'r2', 0)`,
  'INSERT INTO manifest_blob (repository_id, manifest_id, blob_id) VALUES (4, 4, 1), (4, 5, 4), (4, 5, 5)',
  `INSERT INTO uploaded_blob (repository_id, blob_id, uploaded_ms, expires_ms)
    VALUES (2, 3, 0, 1)`,
  `INSERT INTO repository_gc (repository_id, policy_s, earliest_end_ms)
    VALUES (1, 0, 9000000000000), (3, 86400, 1), (4, 0, NULL)`,
  'INSERT INTO gc_manifest_candidate (manifest_id) VALUES (6)',
  'INSERT INTO gc_blob_candidate (blob_id) VALUES (6)',
];

const OBJECTS = [
  'blobs/1',
  'blobs/2',
  'blobs/3',
  'blobs/5',
  'blobs/6',
  'blobs/empty-layer',
  'blobs/stray',
  'elsewhere/stray',
  'manifests/stray',
  'uploads/stray/tail-1',
];

/** Forgets all that there is, the audit's passes too. */
export async function forgetAll(): Promise<void> {
  await forgetBlobs();
  await forgetRows();
}

async function forgetRows(): Promise<void> {
  const tables = ['tag', 'manifest', 'uploaded_blob', 'blob', 'repository', 'namespace'];
  await env.DB.batch(
    [...tables, 'r2_tombstone', 'gc_removal', 'gc_audit'].map((table) =>
      env.DB.prepare(`DELETE FROM ${table}`),
    ),
  );
}

/** A registry that lost what should have named its garbage, beside what is as it should be. */
export async function plant(): Promise<void> {
  await forgetAll();
  await Promise.all(OBJECTS.map((key) => env.BUCKET.put(key, 'bytes')));
  await replant();
}

/** The same after a mere audit, which changes no object. */
export async function replant(): Promise<void> {
  await forgetRows();
  await env.DB.batch(ROWS.map((sql) => env.DB.prepare(sql)));
}

/** The names that a query gives. */
const list = async (sql: string) =>
  (await env.DB.prepare(sql).all<{ name: string }>()).results.map(({ name }) => name);

/** What is left of {@link plant} once all that it should lose is gone. */
export async function remains() {
  const { objects } = await env.BUCKET.list();
  return {
    manifests: await list('SELECT digest AS name FROM manifest ORDER BY id'),
    blobs: await list('SELECT digest AS name FROM blob ORDER BY id'),
    graves: await list('SELECT object_key AS name FROM r2_tombstone'),
    objects: objects.map(({ key }) => key),
  };
}
export const REMAINS = {
  manifests: ['alive'],
  blobs: ['missing', 'short'],
  graves: [],
  objects: ['blobs/5', 'blobs/empty-layer', 'elsewhere/stray'],
};

/** Collects what is on the lists, and drains what is buried. */
export async function clearUp(clock: TestClock): Promise<void> {
  const { housekeeping } = openTestRegistry({ clock });
  await housekeeping.collectGarbage();
  clock.advance(8 * DAY_MS);
  await housekeeping.drainTombstones();
}

/** Runs the audit until its pass has ended, and gives it. */
export async function auditAll(
  { housekeeping }: Pick<TestRegistry, 'housekeeping'>,
  limits: Parameters<GarbageAudit['auditStores']>[0] = {},
) {
  for (let runs = 1; runs <= 200; runs += 1) {
    const pass = await housekeeping.auditStores(limits);
    if (pass.endedMs !== null) {
      return { ...pass, runs };
    }
  }
  throw new Error('the audit does not end');
}
