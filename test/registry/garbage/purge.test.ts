import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import type { Blob } from '../../../src/model/datatypes.ts';
import { TOMBSTONE_GRACE_MS } from '../../../src/model/limits.ts';
import { DAY_MS, MINUTE_MS } from '../../support/clock.ts';
import { anImage, anIndex, pushBlob, pushTagged, uniqueBytes } from '../../support/content.ts';
import { footprint } from '../../support/footprint.ts';
import { findViolations } from '../../support/invariants.ts';
import { holdings, purgeAll } from '../../support/purge.ts';
import { aRepository, openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';
import { anUpload, chunkOf, nameOf, objectAt } from '../../support/uploads.ts';

async function aWorld() {
  const world = openTestRegistry();
  return { ...world, repository: await aRepository(world) };
}

const removals = async () =>
  (await select(`SELECT kind, reason, tag_name, digest FROM gc_removal ORDER BY id`)).map(
    ({ kind, reason, tag_name: name }) =>
      [kind, reason, ...(name === null ? [] : [name])].join(' '),
  );

/** A repository with something in every table: tags alive, ended, locked and hidden among it. */
async function fill(world: TestRegistry, repository: Awaited<ReturnType<typeof aRepository>>) {
  const { registry, operations } = world;
  const image = await anImage(world, repository, { labels: { a: 'b' }, layers: 2 });
  await pushTagged(world, repository, { tagName: 'v1', manifest: image });
  await pushTagged(world, repository, { tagName: 'v2', manifest: image });
  await registry.deleteTag(repository, 'v2');
  await pushTagged(world, repository, {
    tagName: 'locked',
    labels: { 'quay.immutable': 'true' },
    annotations: { padding: 'x'.repeat(1_100_000) },
  });
  const child = await anImage(world, repository);
  await registry.createManifestWithTempTag(repository, child, 60);
  await pushTagged(world, repository, { tagName: 'list', manifest: await anIndex([child]) });
  const subject = {
    mediaType: image.mediaType,
    size: image.bytes.byteLength,
    digest: image.digest,
  };
  const referrer = await anImage(world, repository, { subject });
  await registry.createManifestWithTempTag(repository, referrer, 60, { raiseOnError: true });
  await pushBlob(world, repository);
  const { uploadId } = await anUpload(world, repository);
  await operations.appendChunk(nameOf(repository), uploadId, chunkOf(uniqueBytes(100)));
  await execute(`INSERT INTO tag_pull_statistics (repository_id, tag_name, pull_count)
    SELECT repository_id, name, 1 FROM tag WHERE is_current = 1 AND repository_id = ${repository.id}`);
  await execute(`INSERT INTO manifest_pull_statistics (manifest_id, pull_count)
    SELECT id, 1 FROM manifest WHERE repository_id = ${repository.id}`);
  await execute(`INSERT INTO manifest_security_status (manifest_id, repository_id, index_status,
      last_indexed_ms, indexer_hash, indexer_version)
    SELECT id, repository_id, 2, 0, '', 4 FROM manifest WHERE repository_id = ${repository.id}`);
  await execute(`INSERT INTO manifest_security_report (manifest_id, report)
    SELECT id, '{}' FROM manifest WHERE repository_id = ${repository.id}`);
  await execute(`INSERT INTO repository_notification (uuid, repository_id, event, method, title,
      config_json) VALUES ('n${repository.id}', ${repository.id}, 'repo_push', 'webhook', '', '{}')`);
  await execute(`INSERT INTO tag_notification_success (notification_id, tag_id, method)
    SELECT n.id, t.id, 'webhook' FROM repository_notification n
      JOIN tag t ON t.repository_id = n.repository_id WHERE n.repository_id = ${repository.id}`);
  const { robot } = await operations.createRobot(repository.namespaceName, `r-${repository.id}`);
  await operations.setRepositoryRight(repository, robot.name, 'read');
  await operations.createImmutabilityPolicy(
    { kind: 'repository', id: repository.id },
    { tagPattern: '^never$', tagPatternMatches: true },
  );
}

/** Where the blobs of these digests are. */
async function keysOf(digests: readonly string[]): Promise<readonly string[]> {
  const rows = await select(
    'SELECT object_key FROM blob WHERE digest IN (SELECT value FROM json_each(?))',
    JSON.stringify(digests),
  );
  return rows.map((row) => String(row['object_key']));
}

const areStored = (keys: readonly string[]) =>
  Promise.all(keys.map(async (key) => (await objectAt(key)) !== null));

describe('the purge of a repository', () => {
  it('scenario 50 (blobs): takes all that is in it, alive and locked, and writes it down', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { repository, operations, clock } = world;
    const before = await holdings();
    await fill(world, repository);
    expect(await operations.markRepositoryForDeletion(repository)).toBe(true);
    expect(await findViolations()).toEqual([]);
    clock.advance(MINUTE_MS);
    const { housekeeping } = world;
    expect(await housekeeping.purgeRepositories()).toMatchObject({
      repositories: 1,
      tags: 6,
      manifests: 5,
      isFinished: true,
    });
    expect(await findViolations()).toEqual([]);
    clock.advance(TOMBSTONE_GRACE_MS);
    await housekeeping.drainTombstones();
    // The robot is its namespace's.
    const robot = { account: 1, credential: 1 };
    expect(await holdings()).toEqual({ ...before, ...robot, repositories: 0 });
    const written = await removals();
    expect(written).toEqual(
      expect.arrayContaining(
        ['v1', 'v2', 'locked', 'list'].map((name) => `tag repository_deleted ${name}`),
      ),
    );
    expect(written.filter((line) => line.startsWith('tag'))).toHaveLength(4);
    expect(written.filter((line) => line === 'manifest repository_deleted')).toHaveLength(5);
    expect(written.filter((line) => line === 'blob unreferenced').length).toBeGreaterThan(5);
  });

  it('scenario 57 (blobs): finishes for an index of 15 children whose ids are lower', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { repository, registry, operations } = world;
    const children: ParsedManifest[] = [];
    for (let count = 0; count < 15; count += 1) {
      const child = await anImage(world, repository);
      await registry.createManifestWithTempTag(repository, child, 60);
      children.push(child);
    }
    await pushTagged(world, repository, { tagName: 'list', manifest: await anIndex(children) });
    const manifests = await select('SELECT id FROM manifest');
    expect(manifests).toHaveLength(16);
    // As after a while: the manifests' links alone hold the blobs.
    await execute('DELETE FROM uploaded_blob');
    await operations.markRepositoryForDeletion(repository);
    await purgeAll(world);
    for (const table of [
      'manifest',
      'manifest_child',
      'manifest_blob',
      'uploaded_blob',
      'tag',
      'blob',
    ]) {
      expect(await select(`SELECT * FROM ${table}`), table).toEqual([]);
    }
    expect(await findViolations()).toEqual([]);
  });

  it('goes on through pages of manifests that refer to each other', async ({ expect }) => {
    const world = await aWorld();
    const { repository, operations, housekeeping, clock } = world;
    await pushTagged(world, repository, { tagName: 'v0' });
    await execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 180)
      INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
      SELECT ${repository.id}, 'sha256:' || (i * 7919 % 181), 'x', 0, 0, '' FROM n`);
    await execute(`INSERT INTO manifest_child
      SELECT a.id, b.digest, b.id, a.repository_id FROM manifest a JOIN manifest b
        ON b.id IN (a.id - 1, a.id - 60) AND a.size_bytes = 0 AND b.size_bytes = 0`);
    await operations.markRepositoryForDeletion(repository);
    clock.advance(MINUTE_MS);
    expect(await housekeeping.purgeRepositories()).toMatchObject({ manifests: 181 });
    expect(await select('SELECT * FROM repository')).toEqual([]);
  });

  it('scenario 58 (blobs): of all but one leaves the objects that the one shares', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { repository, registry, operations } = world;
    const elsewhere = await aRepository(world);
    const own = await pushTagged(world, elsewhere, { tagName: 'own' });
    const shared = await pushTagged(world, repository, { tagName: 'v1' });
    if (shared.parsed.kind !== 'image' || own.parsed.kind !== 'image') {
      throw new Error('images');
    }
    const [ownKeys, sharedKeys] = [
      await keysOf(own.parsed.localBlobDigests),
      await keysOf(shared.parsed.localBlobDigests),
    ];
    for (const digest of shared.parsed.localBlobDigests) {
      const blob = await registry.getRepoBlobByDigest(repository, digest);
      await registry.mountBlobIntoRepository(blob as Blob, elsewhere, 60);
    }
    const stays = await aRepository(world);
    for (const digest of shared.parsed.localBlobDigests) {
      const blob = await registry.getRepoBlobByDigest(repository, digest);
      await registry.mountBlobIntoRepository(blob as Blob, stays, 60);
    }
    await pushTagged(world, stays, { tagName: 'v1', manifest: shared.parsed });
    for (const gone of [repository, elsewhere]) {
      await operations.markRepositoryForDeletion(gone);
    }
    await purgeAll(world);
    expect(await areStored(ownKeys)).toEqual([false, false]);
    expect(await areStored(sharedKeys)).toEqual([true, true]);
    expect(await findViolations()).toEqual([]);
    await operations.markRepositoryForDeletion(stays);
    await purgeAll(world);
    expect(await areStored(sharedKeys)).toEqual([false, false]);
  });

  it('stops at its limits and goes on, with bounded runs', async ({ expect }) => {
    const world = await aWorld();
    const { repository, operations, housekeeping, clock } = world;
    await pushTagged(world, repository, { tagName: 'v0' });
    await execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
      INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
      SELECT t.repository_id, 'w' || n.i, t.manifest_id, 0, 1 FROM n CROSS JOIN tag t`);
    await operations.markRepositoryForDeletion(repository);
    clock.advance(MINUTE_MS);
    const tags: number[] = [];
    for (let isFinished = false; !isFinished;) {
      const report = await housekeeping.purgeRepositories({ statements: 24 });
      ({ isFinished } = report);
      tags.push(report.tags);
      expect(report.tags).toBeLessThanOrEqual(1000);
      expect(await findViolations()).toEqual([]);
    }
    expect(tags.length).toBeGreaterThan(2);
    expect(tags.reduce((sum, count) => sum + count, 0)).toBe(2001);
    expect(await select('SELECT * FROM repository')).toEqual([]);
    expect((await removals()).filter((line) => line.startsWith('tag'))).toHaveLength(2001);
  });

  it('begins with the one that is due for longest, and takes up one that failed ever more rarely', async ({
    expect,
  }) => {
    const world = await aWorld();
    const { repository, operations, housekeeping, clock } = world;
    const other = await aRepository(world);
    await operations.markRepositoryForDeletion(other);
    clock.advance(1);
    await operations.markRepositoryForDeletion(repository);
    const failing = openTestRegistry({
      clock,
      gate: (() => {
        let calls = 0;
        return (_call, run) => {
          calls += 1;
          return calls === 1 ? run() : Promise.reject(new Error('D1 is down'));
        };
      })(),
    });
    await expect(failing.housekeeping.purgeRepositories()).rejects.toThrow('D1 is down');
    const due = () =>
      select(`SELECT repository_id AS id, attempts, available_after_ms - ${clock.nowMs()} AS inMs
        FROM deleted_repository ORDER BY available_after_ms`);
    expect(await due()).toEqual([
      { id: repository.id, attempts: 0, inMs: 0 },
      { id: other.id, attempts: 1, inMs: MINUTE_MS },
    ]);
    expect(await housekeeping.purgeRepositories()).toMatchObject({ repositories: 1 });
    await execute('UPDATE deleted_repository SET attempts = 30');
    clock.advance(MINUTE_MS);
    // Something that no purge knows of: it waits.
    await execute(`INSERT INTO uploaded_blob SELECT ${other.id}, id, 0, 0 FROM blob`);
    await execute(`INSERT INTO blob_upload (uuid, repository_id, location, object_key, part_size,
        sha_state, storage_metadata, created_ms, updated_ms)
      VALUES ('u', ${other.id}, 'r2', 'blobs/u', 1, '', '{}', 0, 0)`);
    expect(await housekeeping.purgeRepositories()).toMatchObject({
      repositories: 0,
      isFinished: true,
    });
    expect(await due()).toEqual([{ id: other.id, attempts: 31, inMs: 6 * 60 * MINUTE_MS }]);
    await execute('DELETE FROM blob_upload');
    clock.advance(DAY_MS);
    expect(await housekeeping.purgeRepositories()).toMatchObject({ repositories: 1 });
  });

  it('does nothing to a repository that is not marked', async ({ expect }) => {
    const world = await aWorld();
    const { repository, housekeeping } = world;
    await fill(world, repository);
    await execute(`INSERT INTO deleted_repository VALUES (${repository.id}, 'x', 0, 0, 0)`);
    const before = await footprint();
    expect(await housekeeping.purgeRepositories()).toMatchObject({
      repositories: 0,
      tags: 0,
      manifests: 0,
      leases: 0,
    });
    expect(await footprint()).toEqual(before);
    await execute('DELETE FROM deleted_repository');
  });

  it('I-LOCK, I-IDEM: several at once end as one does', async ({ expect }) => {
    const world = await aWorld();
    const { repository, operations, clock } = world;
    await fill(world, repository);
    await operations.markRepositoryForDeletion(repository);
    clock.advance(MINUTE_MS);
    const purge = () => {
      const { housekeeping } = openTestRegistry({ clock });
      return housekeeping.purgeRepositories();
    };
    await execute(`INSERT INTO gc_manifest_candidate SELECT id FROM manifest`);
    await Promise.all([purge(), purge(), world.housekeeping.collectGarbage(), purge()]);
    await purgeAll(world);
    expect(await holdings()).toMatchObject({ repositories: 0, manifest: 0, blob: 0, objects: [] });
  });
});

describe('what a purge costs', () => {
  it('does not depend on what other repositories have', async ({ expect }) => {
    const rows: number[] = [];
    for (const foreign of [100, 50_000]) {
      const world = await aWorld();
      const other = await aRepository(world);
      await pushTagged(world, other, { tagName: 'v0' });
      await execute(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${foreign})
        INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, is_current)
        SELECT t.repository_id, 'w' || n.i, t.manifest_id, 0, 1 FROM n
          CROSS JOIN (SELECT * FROM tag ORDER BY id DESC LIMIT 1) t`,
      );
      await pushTagged(world, world.repository, { tagName: 'v1' });
      await world.operations.markRepositoryForDeletion(world.repository);
      const { housekeeping, meter } = openTestRegistry({ clock: world.clock });
      expect(await housekeeping.purgeRepositories()).toMatchObject({ repositories: 1, blobs: 2 });
      rows.push(meter.usage.d1RowsRead);
    }
    expect(rows[1]).toBe(rows[0]);
    expect(rows[0]).toBeLessThan(250);
  });
});
