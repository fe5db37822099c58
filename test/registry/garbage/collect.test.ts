import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import type { Blob, Manifest } from '../../../src/model/datatypes.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { DAY_MS, HOUR_MS, SECOND_MS } from '../../support/clock.ts';
import { anImage, anIndex, parsed, pushBlob, pushTagged } from '../../support/content.ts';
import { footprint } from '../../support/footprint.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry, type TestRegistryOptions } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';
import { drainGraves } from '../../support/uploads.ts';

/** Long enough for every lease and temporary tag of a push to be over. */
const PUSH_OVER_MS = 2 * HOUR_MS;

/** A registry whose time machine keeps nothing, unless a test says otherwise. */
async function aWorld({
  windowSec = 0,
  ...options
}: TestRegistryOptions & { windowSec?: number } = {}) {
  const world = openTestRegistry({
    ...options,
    settings: { removedTagExpirationSec: windowSec, ...options.settings },
  });
  const repository = await aRepository(world);
  const { clock, registry, housekeeping } = world;
  return {
    ...world,
    repository,
    world,
    push: async (tagName: string, manifest?: ParsedManifest, to: RepositoryRef = repository) => {
      const pushed = await pushTagged(world, to, { tagName, ...(manifest && { manifest }) });
      clock.advance(PUSH_OVER_MS);
      return pushed.parsed;
    },
    collect: async () => {
      const { tags, leases } = await housekeeping.collectRepository(repository.id);
      return tags + leases > 0;
    },
    isStored: async (digest: string, of: RepositoryRef = repository) =>
      (await registry.lookupManifestByDigest(of, digest, { allowDead: true })) !== null,
  };
}

const blobDigests = async () =>
  (await select('SELECT digest FROM blob ORDER BY digest')).map((row) => row['digest']);
const digestsOf = (...images: readonly ParsedManifest[]) => [
  ...new Set(images.flatMap((image) => (image.kind === 'image' ? image.localBlobDigests : []))),
];

describe('the collection of a repository', () => {
  it('scenario 43 (blobs): without an ended tag changes nothing', async ({ expect }) => {
    const { push, collect } = await aWorld();
    await push('v1');
    await collect();
    const before = await footprint();
    expect(await collect()).toBe(false);
    expect(await footprint()).toEqual(before);
  });

  it('scenario 44 (blobs): takes the manifest, its links, labels and blobs, and then the objects', async ({
    expect,
  }) => {
    const { world, push, collect, registry, repository } = await aWorld();
    const empty = await footprint();
    await push('v1', await anImage(world, repository, { labels: { a: 'b' }, layers: 3 }));
    await registry.deleteTag(repository, 'v1');
    expect(await collect()).toBe(true);
    expect(await findViolations()).toEqual([]);
    await drainGraves();
    const { gc_removal: removals, ...left } = await footprint();
    expect({ ...left, gc_removal: 0 }).toEqual(empty);
    expect(removals).toBe(6);
  });

  it('scenario 45 (blobs): leaves a manifest that another tag names', async ({ expect }) => {
    const { push, collect, registry, repository, isStored } = await aWorld();
    const image = await push('v1');
    await push('v2', image);
    await registry.deleteTag(repository, 'v1');
    expect(await collect()).toBe(true);
    expect(await isStored(image.digest)).toBe(true);
    expect(await blobDigests()).toEqual(digestsOf(image).toSorted());
    expect(
      (await select('SELECT name FROM tag WHERE hidden = 0')).map((row) => row['name']),
    ).toEqual(['v2']);
  });

  it('scenarios 46, 47 (blobs): takes only what nothing else uses', async ({ expect }) => {
    const { world, registry, repository, push, collect } = await aWorld();
    const base = await anImage(world, repository, { layers: 2 });
    if (base.kind !== 'image') {
      throw new Error('an image');
    }
    const own = async () => {
      const layer = await pushBlob(world, repository);
      const content = JSON.parse(new TextDecoder().decode(base.bytes)) as { layers: object[] };
      const [first] = content.layers;
      return {
        ...content,
        layers: [
          first,
          {
            mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
            size: layer.compressedSize,
            digest: layer.digest,
          },
        ],
      };
    };
    const one = await push('v1', base);
    const two = await push('v2', await parsed(base.mediaType, await own()));
    await push('v3', await parsed(base.mediaType, await own()));
    await registry.deleteTag(repository, 'v3');
    await collect();
    expect(await blobDigests()).toEqual(digestsOf(one, two).toSorted());
    await registry.deleteTag(repository, 'v1');
    await collect();
    expect(await blobDigests()).toEqual(digestsOf(two).toSorted());
    await registry.deleteTag(repository, 'v2');
    await collect();
    expect(await blobDigests()).toEqual([]);
  });

  it('scenario 48 (blobs): waits for the window, to the millisecond', async ({ expect }) => {
    const { clock, push, collect, registry, repository, isStored } = await aWorld({
      windowSec: 86_400,
    });
    const image = await push('v1');
    await collect();
    await registry.deleteTag(repository, 'v1');
    clock.advance(DAY_MS - 1);
    expect(await collect()).toBe(false);
    expect(await isStored(image.digest)).toBe(true);
    clock.advance(1);
    expect(await collect()).toBe(true);
    expect(await isStored(image.digest)).toBe(false);
  });

  it('scenario 49 (blobs): is for repositories of the window asked for', async ({ expect }) => {
    const { registry, repository, push, collect } = await aWorld({ windowSec: 100 * 86_400 });
    await push('v1');
    await collect();
    const find = (windowSec: number) => registry.findRepositoryWithGarbage(windowSec);
    expect(await find(100 * 86_400)).toBeNull();
    await registry.deleteTag(repository, 'v1');
    expect(await find(100 * 86_400)).toBeNull();
    await execute('UPDATE namespace SET removed_tag_expiration_s = 0');
    await execute('UPDATE repository_gc SET policy_s = 0');
    expect(await find(0)).toMatchObject({ id: repository.id });
    expect(await find(1)).toBeNull();
    await collect();
    expect(await find(0)).toBeNull();
  });

  it('scenario 50 (blobs): I-TAG: leaves a locked generation that ended, unless such may end', async ({
    expect,
  }) => {
    const { push, collect, registry, repository, clock } = await aWorld();
    await push('v1');
    await collect();
    await execute('UPDATE tag SET immutable = 1, lifetime_end_ms = ?', clock.nowMs());
    await execute('UPDATE repository_gc SET earliest_end_ms = 0');
    expect(await registry.findRepositoryWithGarbage(0)).toBeNull();
    expect(await collect()).toBe(false);
    for (const settings of [{ immutableTagsCanExpire: true }, { immutableTags: false }]) {
      const other = openTestRegistry({ clock, settings });
      await execute('UPDATE repository_gc SET earliest_end_ms = 0');
      expect(await other.registry.findRepositoryWithGarbage(0)).toMatchObject({
        id: repository.id,
      });
    }
    const { housekeeping } = openTestRegistry({
      clock,
      settings: { immutableTagsCanExpire: true },
    });
    expect(await housekeeping.collectRepository(repository.id)).toMatchObject({ tags: 1 });
    expect(await select('SELECT * FROM tag')).toEqual([]);
  });

  it('scenario 51 (blobs): takes an index and those children that no other index has', async ({
    expect,
  }) => {
    const { world, registry, repository, push, collect, clock, isStored } = await aWorld();
    const children = await Promise.all([1, 2].map(() => anImage(world, repository)));
    const [shared, own] = children;
    for (const child of children) {
      await registry.createManifestWithTempTag(repository, child, 60);
    }
    const index = await push('list', await anIndex(children));
    await push('other', await anIndex(children.slice(0, 1)));
    clock.advance(HOUR_MS);
    await collect();
    await registry.deleteTag(repository, 'list');
    expect(await collect()).toBe(true);
    expect(await isStored(index.digest)).toBe(false);
    expect(await isStored(own?.digest ?? '')).toBe(false);
    expect(await isStored(shared?.digest ?? '')).toBe(true);
    await registry.deleteTag(repository, 'other');
    await collect();
    expect(await select('SELECT * FROM manifest')).toEqual([]);
  });

  it('scenarios 52, 53 (blobs): I12: leaves the subject of a referrer, but not in another repository', async ({
    expect,
  }) => {
    const { world, registry, repository, push, collect, isStored } = await aWorld();
    const subject = await push('v1');
    const descriptor = {
      mediaType: subject.mediaType,
      size: subject.bytes.byteLength,
      digest: subject.digest,
    };
    const elsewhere = await aRepository(world);
    const referrer = await anImage(world, repository, { subject: descriptor });
    await registry.createManifestWithTempTag(repository, referrer, 60, { raiseOnError: true });
    const stranger = await anImage(world, elsewhere, { subject: descriptor });
    await registry.createManifestWithTempTag(elsewhere, stranger, 60, { raiseOnError: true });
    await registry.deleteTag(repository, 'v1');
    expect(await collect()).toBe(true);
    expect(await isStored(subject.digest)).toBe(true);

    // Once the referrer goes its subject goes after it, though another repository refers to it.
    const found = await registry.lookupManifestByDigest(repository, referrer.digest, {
      allowHidden: true,
    });
    await registry.deleteTagsForManifest(found as Manifest);
    expect(await collect()).toBe(true);
    expect(await isStored(referrer.digest)).toBe(false);
    expect(await isStored(subject.digest)).toBe(false);
    expect(await isStored(stranger.digest, elsewhere)).toBe(true);
  });

  it('scenario 55 (blobs): leaves a leased blob until the lease is over', async ({ expect }) => {
    const { world, repository, collect, clock, deps } = await aWorld();
    const { digest } = await pushBlob(world, repository);
    clock.advance(deps.settings.pushLeaseSec * SECOND_MS - 1);
    expect(await collect()).toBe(false);
    expect(await blobDigests()).toEqual([digest]);
    clock.advance(1);
    expect(await collect()).toBe(true);
    expect(await blobDigests()).toEqual([]);
  });

  it('scenario 56 (blobs): leaves a blob that another repository has leased', async ({
    expect,
  }) => {
    const { world, registry, repository, push, collect } = await aWorld();
    const image = await push('v1');
    const elsewhere = await aRepository(world);
    for (const digest of digestsOf(image)) {
      const blob = await registry.getRepoBlobByDigest(repository, digest);
      await registry.mountBlobIntoRepository(blob as Blob, elsewhere, 86_400);
    }
    await registry.deleteTag(repository, 'v1');
    await collect();
    expect(await select('SELECT * FROM manifest')).toEqual([]);
    expect(await blobDigests()).toEqual(digestsOf(image).toSorted());
    await drainGraves();
    expect(await findViolations()).toEqual([]);
  });

  it('scenarios 60, 61 (blobs): takes the marks and pull statistics of what goes, and no others', async ({
    expect,
  }) => {
    const { registry, repository, push, collect } = await aWorld();
    await push('v1');
    await push('v2');
    await push('twice');
    await execute(`INSERT INTO tag_pull_statistics (repository_id, tag_name, pull_count)
      SELECT repository_id, name, 1 FROM tag WHERE hidden = 0`);
    await execute(`INSERT INTO manifest_pull_statistics (manifest_id, pull_count)
      SELECT id, 1 FROM manifest`);
    await execute(`INSERT INTO repository_notification (id, uuid, repository_id, event, method,
        title, config_json) VALUES (1, 'n', ${repository.id}, 'repo_image_expiry', 'webhook', '', '{}')`);
    await execute(`INSERT INTO tag_notification_success (notification_id, tag_id, method)
      SELECT 1, id, 'webhook' FROM tag`);
    await registry.deleteTag(repository, 'v1');
    await registry.deleteTag(repository, 'twice');
    await push('twice');
    await collect();
    const statistics = await select('SELECT tag_name FROM tag_pull_statistics ORDER BY tag_name');
    expect(statistics.map((row) => row['tag_name'])).toEqual(['twice', 'v2']);
    expect(await select('SELECT * FROM manifest_pull_statistics')).toHaveLength(1);
    expect(await select('SELECT * FROM tag_notification_success')).toHaveLength(1);
  });

  it('scenario 63 (blobs): is not for disabled namespaces', async ({ expect }) => {
    const { registry, repository, push, housekeeping, isStored } = await aWorld();
    const image = await push('v1');
    await registry.deleteTag(repository, 'v1');
    await execute('UPDATE namespace SET enabled = 0');
    expect(await registry.findRepositoryWithGarbage(0)).toBeNull();
    expect(await housekeeping.collectGarbage()).toMatchObject({ tags: 0, leases: 0 });
    expect(await isStored(image.digest)).toBe(true);
    // The hint is settled, so that no later run looks at it in vain.
    expect(await housekeeping.collectGarbage()).toMatchObject({ repositories: 0 });
  });

  it('takes the body of a large manifest out of the bucket', async ({ expect }) => {
    const { world, registry, repository, push, collect } = await aWorld();
    const annotations = { padding: 'x'.repeat(1_100_000) };
    await push('large', await anImage(world, repository, { annotations }));
    expect((await env.BUCKET.list({ prefix: 'manifests/' })).objects).toHaveLength(1);
    await registry.deleteTag(repository, 'large');
    await collect();
    expect(await findViolations()).toEqual([]);
    await drainGraves();
    expect((await env.BUCKET.list()).objects).toEqual([]);
  });
});
