import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { encodeUtf8 } from '../../../src/model/bytes.ts';
import { EMPTY_BLOB_DIGEST } from '../../../src/model/empty-blob.ts';
import { percentOf, usedPercent } from '../../../src/model/quota.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { HOUR_MS } from '../../support/clock.ts';
import { anIndex, pushBlob, uniqueBytes } from '../../support/content.ts';
import { quotaSizesAreExact } from '../../support/invariants.ts';
import { purgeAll } from '../../support/purge.ts';
import {
  aBlobOf,
  anArtifact,
  limitsOf,
  pushArtifact,
  repositoryNamed,
} from '../../support/quota.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute, select, storeBlob } from '../../support/stage.ts';
import { anUpload, nameOf } from '../../support/uploads.ts';

const SMALL = aBlobOf(1, 1);
const MIDDLE = aBlobOf(10, 2);
const LARGE = aBlobOf(100, 3);
const OTHER = aBlobOf(1000, 4);

/** Two repositories of one namespace and one of another, both without a window. */
async function openWorld() {
  const world = openTestRegistry({ settings: { removedTagExpirationSec: 0 } });
  const one = await repositoryNamed(world, 'acme/one');
  const two = await repositoryNamed(world, 'acme/two');
  const elsewhere = await repositoryNamed(world, 'other/one');
  const { operations, housekeeping } = world;
  return {
    ...world,
    one,
    two,
    elsewhere,
    used: async (namespace = 'acme') => (await operations.readQuota(namespace))?.usedBytes,
    sizes: (...repositories: readonly RepositoryRef[]) =>
      Promise.all(repositories.map((repository) => operations.readRepositorySize(repository))),
    /** Ends a tag and collects what only it held. */
    drop: async (repository: RepositoryRef, tagName: string) => {
      await world.registry.deleteTag(repository, tagName);
      await housekeeping.collectRepository(repository.id);
    },
  };
}

describe('a quota', () => {
  it('is set, changed, read and removed; there is one a namespace', async ({ expect }) => {
    const { operations, one, used, sizes } = await openWorld();
    expect(await operations.readQuota('acme')).toBeNull();
    expect(await operations.readQuota('unknown')).toBeNull();
    expect(await sizes(one)).toEqual([null]);
    expect(await operations.setQuota('unknown', limitsOf(10))).toBeNull();
    expect(await operations.removeQuota('acme')).toBe(false);
    expect(await operations.setQuota('acme', limitsOf(10))).toEqual({
      limitBytes: 10,
      warningPercent: 50,
      rejectPercent: 100,
      usedBytes: 0,
    });
    const changed = { limitBytes: 2 ** 53 - 1, warningPercent: null, rejectPercent: null };
    expect(await operations.setQuota('acme', changed)).toEqual({ ...changed, usedBytes: 0 });
    expect(await operations.readQuota('acme')).toEqual({ ...changed, usedBytes: 0 });
    expect(await used('other')).toBeUndefined();
    expect(await operations.removeQuota('acme')).toBe(true);
    expect(await operations.readQuota('acme')).toBeNull();
    expect(await sizes(one)).toEqual([null]);
  });

  it('has limits that make sense', async ({ expect }) => {
    const { operations } = await openWorld();
    for (const limits of [
      limitsOf(0),
      limitsOf(1.5),
      limitsOf(2 ** 53),
      limitsOf(1, { warningPercent: 0 }),
      limitsOf(1, { rejectPercent: 101 }),
      limitsOf(1, { rejectPercent: 0.5 }),
    ]) {
      await expect(operations.setQuota('acme', limits)).rejects.toMatchObject({
        code: 'InvalidQuota',
      });
    }
    expect(await select('SELECT * FROM namespace_quota')).toEqual([]);
  });

  it('tells percentages exactly, whatever the limit', ({ expect }) => {
    expect(percentOf(2 ** 53 - 1, 99)).toBe(Number(((2n ** 53n - 1n) * 99n) / 100n));
    expect([percentOf(199, 50), percentOf(1, 99), percentOf(7, 100)]).toEqual([99, 0, 7]);
    expect(usedPercent({ ...limitsOf(3), usedBytes: 2 })).toBe(66);
  });

  it('counts what was there before it, once; other limits count nothing again', async ({
    expect,
  }) => {
    const world = await openWorld();
    const { operations, one, two, elsewhere, used, sizes } = world;
    await pushArtifact(world, one, { tagName: 'a', blobs: [SMALL, MIDDLE] });
    await pushArtifact(world, one, { tagName: 'b', blobs: [SMALL, LARGE] });
    await pushArtifact(world, two, { tagName: 'a', blobs: [SMALL, LARGE] });
    await pushArtifact(world, elsewhere, { tagName: 'a', blobs: [SMALL, OTHER] });
    expect(await operations.setQuota('acme', limitsOf(10))).toMatchObject({ usedBytes: 111 });
    expect(await sizes(one, two, elsewhere)).toEqual([111, 101, null]);
    await execute('UPDATE quota_namespace_size SET size_bytes = 7');
    await execute('UPDATE quota_repository_size SET size_bytes = 8');
    expect(await operations.setQuota('acme', limitsOf(20))).toMatchObject({ usedBytes: 7 });
    expect(await sizes(one, two)).toEqual([8, 8]);
    expect(await operations.removeQuota('acme')).toBe(true);
    expect(await select('SELECT * FROM quota_repository_size')).toEqual([]);
    await operations.setQuota('acme', limitsOf(20));
    expect(await used()).toBe(111);
  });
});

describe('what a quota counts', () => {
  it('is each blob once: of a manifest, of a repository, of the namespace', async ({ expect }) => {
    const world = await openWorld();
    const { operations, registry, one, two, elsewhere, used, sizes } = world;
    await operations.setQuota('acme', limitsOf(100_000));
    await operations.setQuota('other', limitsOf(100_000));
    const first = await pushArtifact(world, one, { tagName: 'a', blobs: [SMALL, MIDDLE, MIDDLE] });
    expect([await used(), ...(await sizes(one, two))]).toEqual([11, 11, 0]);
    // The same manifest again, under another name and by digest.
    await registry.createManifestAndRetargetTag(one, first, 'again', { raiseOnError: true });
    await registry.createManifestWithTempTag(one, first, 60, { raiseOnError: true });
    expect([await used(), ...(await sizes(one, two))]).toEqual([11, 11, 0]);
    await pushArtifact(world, two, { tagName: 'a', blobs: [SMALL, LARGE] });
    expect([await used(), ...(await sizes(one, two))]).toEqual([111, 11, 101]);
    await pushArtifact(world, elsewhere, { tagName: 'a', blobs: [SMALL, LARGE, OTHER] });
    expect([await used(), await used('other')]).toEqual([111, 1101]);
    // An index holds no blobs itself.
    await registry.createManifestAndRetargetTag(one, await anIndex([first]), 'list');
    expect([await used(), ...(await sizes(one))]).toEqual([111, 11]);
    expect(await quotaSizesAreExact()).toEqual([]);
  });

  it('is what manifests link: no leases, mounts, uploads or the empty layer', async ({
    expect,
  }) => {
    const world = await openWorld();
    const { operations, registry, one, two, used, sizes } = world;
    await operations.setQuota('acme', limitsOf(100_000));
    const blob = await pushBlob(world, one, uniqueBytes(70));
    await registry.mountBlobIntoRepository(blob, two, 3600);
    await operations.resolveBlobForPush(nameOf(two), blob.digest);
    await anUpload(world, one);
    expect([await used(), ...(await sizes(one, two))]).toEqual([0, 0, 0]);
    const empty = { digest: EMPTY_BLOB_DIGEST, size: 32 } as const;
    const mounted = { digest: blob.digest, size: 70 };
    await operations.createManifestByDigest(two, await anArtifact(two, [mounted]), 60);
    expect([await used(), ...(await sizes(one, two))]).toEqual([70, 0, 70]);
    const config = await storeBlob(one, encodeUtf8('{}'));
    await registry.createManifestAndRetargetTag(
      one,
      await anArtifact(one, [config, empty]),
      'empty',
      { raiseOnError: true },
    );
    expect([await used(), ...(await sizes(one, two))]).toEqual([72, 2, 70]);
    expect(await quotaSizesAreExact()).toEqual([]);
  });

  it('stays in the time machine, and goes with the last manifest, whoever shared it', async ({
    expect,
  }) => {
    const world = await openWorld();
    const { operations, registry, housekeeping, one, two, used, sizes, drop } = world;
    await operations.setQuota('acme', limitsOf(100_000));
    await pushArtifact(world, one, { tagName: 'a', blobs: [SMALL, MIDDLE] });
    await pushArtifact(world, one, { tagName: 'b', blobs: [SMALL, LARGE] });
    await pushArtifact(world, two, { tagName: 'a', blobs: [SMALL] });
    await registry.deleteTag(one, 'a');
    expect([await used(), ...(await sizes(one, two))]).toEqual([111, 111, 1]);
    await housekeeping.collectRepository(one.id);
    expect([await used(), ...(await sizes(one, two))]).toEqual([101, 101, 1]);
    await drop(one, 'b');
    expect([await used(), ...(await sizes(one, two))]).toEqual([1, 0, 1]);
    await drop(two, 'a');
    expect([await used(), ...(await sizes(one, two))]).toEqual([0, 0, 0]);
  });

  it('goes once where two manifests that share it go together', async ({ expect }) => {
    const world = await openWorld();
    const { operations, registry, housekeeping, one, two, elsewhere, used, sizes } = world;
    await operations.setQuota('acme', limitsOf(100_000));
    await operations.setQuota('other', limitsOf(100_000));
    const kept = await pushArtifact(world, two, { tagName: 'kept', blobs: [SMALL, OTHER] });
    for (const [repository, tagName] of [
      [one, 'a'],
      [one, 'b'],
      [two, 'a'],
      [elsewhere, 'a'],
    ] as const) {
      await pushArtifact(world, repository, { tagName, blobs: [SMALL, LARGE] });
    }
    expect([await used(), await used('other')]).toEqual([1101, 101]);
    for (const repository of [one, two, elsewhere]) {
      await registry.deleteTag(repository, 'a');
    }
    await registry.deleteTag(one, 'b');
    // All of them in one step: the drain that begins a run takes whatever is listed.
    await execute('DELETE FROM tag WHERE lifetime_end_ms IS NOT NULL');
    await execute(`INSERT INTO gc_manifest_candidate SELECT id FROM manifest
      WHERE digest <> '${kept.digest}'`);
    await housekeeping.collectRepository(one.id);
    expect(await select('SELECT digest FROM manifest')).toEqual([{ digest: kept.digest }]);
    expect([await used(), await used('other')]).toEqual([1001, 0]);
    expect(await sizes(one, two, elsewhere)).toEqual([0, 1001, 0]);
  });

  it('of a deleted repository counts until it is purged, and goes page by page', async ({
    expect,
  }) => {
    const world = await openWorld();
    const { operations, housekeeping, one, two, used, sizes, clock } = world;
    await operations.setQuota('acme', limitsOf(100_000));
    await pushArtifact(world, one, { tagName: 'a', blobs: [SMALL, MIDDLE] });
    await pushArtifact(world, one, { tagName: 'b', blobs: [SMALL, LARGE] });
    await pushArtifact(world, two, { tagName: 'a', blobs: [SMALL, OTHER] });
    await operations.markRepositoryForDeletion(one);
    expect([await used(), ...(await sizes(two))]).toEqual([1111, 1001]);
    for (let statements = 6; (await sizes(one))[0] !== null; statements += 1) {
      clock.advance(HOUR_MS);
      await housekeeping.purgeRepositories({ statements });
      expect(await quotaSizesAreExact(), `${statements} statements`).toEqual([]);
    }
    expect([await used(), ...(await sizes(two))]).toEqual([1001, 1001]);
  });

  it('goes with its namespace, and the quota goes last', async ({ expect }) => {
    const world = await openWorld();
    const { operations, housekeeping, one, elsewhere, used, clock } = world;
    await operations.setQuota('acme', limitsOf(100_000));
    await operations.setQuota('other', limitsOf(100_000));
    await pushArtifact(world, one, { tagName: 'a', blobs: [SMALL, MIDDLE] });
    await pushArtifact(world, elsewhere, { tagName: 'a', blobs: [SMALL] });
    await operations.markNamespaceForDeletion('acme');
    await housekeeping.purgeNamespaces();
    expect(await select('SELECT size_bytes FROM quota_namespace_size ORDER BY 1')).toEqual([
      { size_bytes: 1 },
      { size_bytes: 11 },
    ]);
    expect(await quotaSizesAreExact()).toEqual([]);
    await purgeAll(world);
    clock.advance(24 * HOUR_MS);
    await housekeeping.purgeNamespaces();
    expect(await select('SELECT namespace_id FROM namespace_quota')).toEqual([
      { namespace_id: elsewhere.namespaceId },
    ]);
    expect(await select('SELECT name FROM namespace')).toEqual([{ name: 'other' }]);
    expect([await used(), await used('other')]).toEqual([undefined, 1]);
  });

  it('follows a blob that turns out to have another size when it is repaired', async ({
    expect,
  }) => {
    const world = await openWorld();
    const { operations, one, two, elsewhere, used, sizes } = world;
    await operations.setQuota('acme', limitsOf(100_000));
    await operations.setQuota('other', limitsOf(100_000));
    const bytes = uniqueBytes(64);
    const staged = await storeBlob(one, bytes);
    // Whoever commits by the interface is trusted for the size.
    await execute('UPDATE blob SET size_bytes = 1024 WHERE digest = ?', staged.digest);
    await pushArtifact(world, one, { tagName: 'a', blobs: [staged] });
    await pushArtifact(world, one, { tagName: 'b', blobs: [staged] });
    await pushArtifact(world, two, { tagName: 'a', blobs: [staged] });
    await pushArtifact(world, elsewhere, { tagName: 'a', blobs: [staged] });
    expect([await used(), ...(await sizes(one, two))]).toEqual([1024, 1024, 1024]);
    const [{ object_key: key } = {}] = await select('SELECT object_key FROM blob');
    await env.BUCKET.delete(String(key));
    await pushBlob(world, two, bytes);
    expect(await select('SELECT size_bytes FROM blob')).toEqual([{ size_bytes: 64 }]);
    expect([await used(), await used('other')]).toEqual([64, 64]);
    expect(await sizes(one, two)).toEqual([64, 64]);
  });
});
