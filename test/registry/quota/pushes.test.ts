import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { DAY_MS, HOUR_MS } from '../../support/clock.ts';
import { anIndex, pushBlob, streamOf, uniqueBytes } from '../../support/content.ts';
import { footprint } from '../../support/footprint.ts';
import { findViolations } from '../../support/invariants.ts';
import {
  aBlobOf,
  anArtifact,
  artifactOf,
  limitsOf,
  pushArtifact,
  repositoryNamed,
} from '../../support/quota.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';
import {
  anUpload,
  chunkOf,
  closingAs,
  closingWith,
  drainGraves,
  nameOf,
} from '../../support/uploads.ts';

async function openWorld() {
  const world = openTestRegistry({ settings: { removedTagExpirationSec: 0 } });
  const repository = await repositoryNamed(world, 'acme/one');
  const sibling = await repositoryNamed(world, 'acme/two');
  const { operations } = world;
  return {
    ...world,
    repository,
    sibling,
    name: nameOf(repository),
    used: async () => (await operations.readQuota('acme'))?.usedBytes,
  };
}

describe('a push of a manifest under a quota', () => {
  it('scenario 54: that is refused leaves nothing, once its blobs are collected', async ({
    expect,
  }) => {
    const world = await openWorld();
    const { registry, operations, housekeeping, repository, clock } = world;
    await operations.setQuota('acme', limitsOf(100));
    const before = await footprint();
    const [config, layer] = [uniqueBytes(40), uniqueBytes(61)];
    const blobs = [
      await pushBlob(world, repository, config),
      await pushBlob(world, repository, layer),
    ].map(({ digest, compressedSize: size }) => ({ digest, size }));
    const uploaded = await footprint();
    const image = await artifactOf(blobs, { padding: 1_000_001 });
    const refusal = {
      code: 'QuotaExceeded',
      message: "namespace 'acme' may hold 100 bytes; it holds 0, and this would add 101",
      detail: { quota: { ...limitsOf(100), usedBytes: 0 }, addedBytes: 101 },
    };
    for (const push of [
      () => operations.createManifestAndRetargetTags(repository, image, ['v1', 'v2']),
      () => operations.createManifestByDigest(repository, image, 60),
      () => registry.createManifestWithTempTag(repository, image, 60, { raiseOnError: true }),
    ]) {
      await expect(push()).rejects.toMatchObject(refusal);
    }
    expect(await registry.createManifestAndRetargetTag(repository, image, 'v1')).toBeNull();
    expect(await registry.createManifestWithTempTag(repository, image, 60)).toBeNull();
    expect(await footprint()).toEqual(uploaded);
    expect(await findViolations()).toEqual([]);
    clock.advance(2 * HOUR_MS);
    await housekeeping.collectGarbage();
    await drainGraves();
    expect({ ...(await footprint()), gc_removal: 0 }).toEqual(before);
  });

  it('may bring it to the percentage of the refusal, and not a byte above', async ({ expect }) => {
    const world = await openWorld();
    const { operations, repository, used } = world;
    await operations.setQuota('acme', limitsOf(201, { rejectPercent: 50 }));
    await pushArtifact(world, repository, { tagName: 'a', blobs: [aBlobOf(100, 1)] });
    await expect(
      pushArtifact(world, repository, { tagName: 'b', blobs: [aBlobOf(1, 2)] }),
    ).rejects.toMatchObject({ code: 'QuotaExceeded', detail: { addedBytes: 1 } });
    expect(await used()).toBe(100);
    await operations.setQuota('acme', limitsOf(202, { rejectPercent: 50 }));
    await pushArtifact(world, repository, { tagName: 'b', blobs: [aBlobOf(1, 2)] });
    expect(await used()).toBe(101);
  });

  it('that adds nothing passes, however much is held', async ({ expect }) => {
    const world = await openWorld();
    const { operations, registry, repository, sibling, used } = world;
    const shared = aBlobOf(100, 1);
    const image = await pushArtifact(world, repository, { tagName: 'a', blobs: [shared] });
    await operations.setQuota('acme', limitsOf(10));
    const again = await operations.createManifestAndRetargetTags(repository, image, ['b']);
    expect(again.quotaToWarnOf).toMatchObject({ usedBytes: 100, limitBytes: 10 });
    await operations.createManifestAndRetargetTags(repository, await anIndex([image]), ['list']);
    await pushArtifact(world, sibling, { tagName: 'a', blobs: [shared] });
    await expect(
      pushArtifact(world, sibling, { tagName: 'b', blobs: [shared, aBlobOf(1, 2)] }),
    ).rejects.toMatchObject({ code: 'QuotaExceeded' });
    expect(await used()).toBe(100);
    // What is missing is told first: nobody knows how large it is.
    await execute('DELETE FROM uploaded_blob');
    const unknown = await artifactOf([shared, aBlobOf(1000, 3)]);
    await expect(
      registry.createManifestAndRetargetTag(repository, unknown, 'c', { raiseOnError: true }),
    ).rejects.toMatchObject({ code: 'BlobUnknown' });
  });

  it('is warned of above the percentage of the warning, and only by that', async ({ expect }) => {
    const world = await openWorld();
    const { operations, repository } = world;
    const push = async (name: number) => {
      const image = await anArtifact(repository, [aBlobOf(50, name)]);
      return (await operations.createManifestByDigest(repository, image, 60)).quotaToWarnOf;
    };
    expect(await push(1)).toBeNull();
    const limits = limitsOf(200, { rejectPercent: null });
    await operations.setQuota('acme', limits);
    expect(await push(2)).toBeNull();
    expect(await push(3)).toEqual({ ...limits, usedBytes: 150, addedBytes: 50 });
    expect(await push(4)).toMatchObject({ usedBytes: 200 });
    expect(await push(5)).toMatchObject({ usedBytes: 250 });
    await operations.setQuota('acme', { ...limits, warningPercent: null });
    expect(await push(6)).toBeNull();
  });
});

const refused = (addedBytes: number) => ({ code: 'QuotaExceeded', detail: { addedBytes } });

describe('an upload under a quota', () => {
  it('is refused at its start, in a chunk and at its end, and is gone then', async ({ expect }) => {
    const world = await openWorld();
    const { operations, repository, sibling, name } = world;
    await operations.setQuota('acme', limitsOf(100));
    const gone = async () => expect(await select('SELECT uuid FROM blob_upload')).toEqual([]);
    const bytes = uniqueBytes(101);
    const digest = await computeDigest('sha256', bytes);

    const whole = { digest, body: streamOf(bytes), length: 101 };
    await expect(operations.uploadWhole(name, whole)).rejects.toMatchObject(refused(101));
    await gone();

    const atOnce = await anUpload(world, repository);
    await expect(
      operations.finishUpload(name, atOnce.uploadId, closingWith(digest, bytes)),
    ).rejects.toMatchObject(refused(101));
    await gone();

    const inChunks = await anUpload(world, repository);
    await operations.appendChunk(name, inChunks.uploadId, chunkOf(bytes.slice(0, 100)));
    await expect(
      operations.appendChunk(name, inChunks.uploadId, chunkOf(bytes.slice(100))),
    ).rejects.toMatchObject(refused(101));
    await gone();
    expect(await operations.uploadStatus(name, inChunks.uploadId)).toBeNull();

    // Nobody said how long the stream would be.
    const streamed = await anUpload(world, repository);
    await operations.appendChunk(name, streamed.uploadId, { ...chunkOf(bytes), length: null });
    await expect(operations.startUpload(name)).rejects.toMatchObject(refused(101));
    expect(await select('SELECT uuid FROM blob_upload')).toHaveLength(1);
    await expect(
      operations.finishUpload(name, streamed.uploadId, closingAs(digest)),
    ).rejects.toMatchObject(refused(101));
    await gone();

    // Those of other repositories are not counted; what is held is.
    const elsewhere = await anUpload(world, sibling);
    await operations.appendChunk(nameOf(sibling), elsewhere.uploadId, chunkOf(bytes.slice(0, 90)));
    const held = await pushBlob(world, repository, bytes.slice(0, 60));
    const image = await artifactOf([{ digest: held.digest, size: 60 }]);
    await operations.createManifestAndRetargetTags(repository, image, ['a']);
    const beside = await anUpload(world, repository);
    await operations.appendChunk(name, beside.uploadId, chunkOf(bytes.slice(0, 40)));
    await expect(
      operations.uploadWhole(name, { digest, body: streamOf(bytes.slice(0, 1)), length: 1 }),
    ).rejects.toMatchObject(refused(41));
    await operations.cancelUpload(name, beside.uploadId);
    await operations.cancelUpload(nameOf(sibling), elsewhere.uploadId);
    const last = bytes.slice(0, 40);
    const fits = { digest: await computeDigest('sha256', last), body: streamOf(last), length: 40 };
    expect(await operations.uploadWhole(name, fits)).toMatchObject({ compressedSize: 40 });
    await drainGraves();
    expect(await findViolations()).toEqual([]);
  });

  it('is refused nothing where only a warning is set, or no quota', async ({ expect }) => {
    const world = await openWorld();
    const { operations, repository, clock } = world;
    await operations.setQuota('acme', limitsOf(1, { rejectPercent: null }));
    expect(await pushBlob(world, repository)).toMatchObject({ compressedSize: 64 });
    clock.advance(DAY_MS);
    await operations.removeQuota('acme');
    expect(await pushBlob(world, repository)).toMatchObject({ compressedSize: 64 });
  });
});
