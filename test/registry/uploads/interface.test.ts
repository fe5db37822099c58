import { describe, it } from 'vitest';

import type { BlobUpload } from '../../../src/model/datatypes.ts';
import { computeDigest, type Digest } from '../../../src/model/digest.ts';
import { uniqueBytes } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { anUpload, chunkOf, closingAs, graves, nameOf, rowsOf } from '../../support/uploads.ts';

async function aWorld() {
  const world = openTestRegistry();
  const repository = await aRepository(world);
  return {
    ...world,
    world,
    repository,
    name: nameOf(repository),
    create: async (): Promise<BlobUpload> => {
      const uploadId = crypto.randomUUID();
      const upload = await world.registry.createBlobUpload(repository, uploadId, 'r2', {});
      if (upload === null) {
        throw new Error('the upload was not made');
      }
      return upload;
    },
  };
}

/** A digest that nothing has; the rows of the interface do not ask for the bytes. */
const aDigest = (): Promise<Digest> => computeDigest('sha256', uniqueBytes());

function counted(byteCount: number, uncompressedByteCount: number | null = null) {
  const shaState = 'state';
  return { byteCount, uncompressedByteCount, chunkCount: 1, shaState, storageMetadata: {} };
}

describe('the rows of uploads', () => {
  it('scenario 15 (blobs): are made, read, updated and deleted', async ({ expect }) => {
    const { registry, repository } = await aWorld();
    const made = await registry.createBlobUpload(repository, 'one', 'r2', { some: 'metadata' });
    expect(made).toMatchObject({
      uploadId: 'one',
      repositoryId: repository.id,
      byteCount: 0,
      chunkCount: 0,
      uncompressedByteCount: null,
      storageMetadata: { some: 'metadata' },
      state: 'open',
    });
    expect(await registry.lookupBlobUpload(repository, 'one')).toEqual(made);

    const changes = {
      uncompressedByteCount: 1,
      storageMetadata: { new: 'metadata' },
      byteCount: 2,
      chunkCount: 3,
      shaState: 'a state',
    };
    const updated = await registry.updateBlobUpload(made as BlobUpload, changes);
    expect(updated).toMatchObject({ ...changes, version: 1 });
    expect(await registry.lookupBlobUpload(repository, 'one')).toEqual(updated);

    await registry.deleteBlobUpload(updated as BlobUpload);
    await registry.deleteBlobUpload(updated as BlobUpload);
    expect(await registry.lookupBlobUpload(repository, 'one')).toBeNull();
    expect(await registry.updateBlobUpload(updated as BlobUpload, changes)).toBeNull();
    expect((await graves()).map((grave) => grave.split('/')[0])).toEqual([
      'key blobs',
      'prefix uploads',
    ]);
  });

  it('are made again by the same call as long as nothing was received', async ({ expect }) => {
    const { registry, repository, world } = await aWorld();
    const other = await aRepository(world);
    const create = (at = repository) => registry.createBlobUpload(at, 'one', 'r2', {});
    const made = await create();
    expect(await create()).toEqual(made);
    await expect(create(other)).rejects.toMatchObject({ code: 'UploadConflict' });
    await registry.updateBlobUpload(made as BlobUpload, counted(5));
    await expect(create()).rejects.toMatchObject({ code: 'UploadConflict' });
  });

  it('are only made in a location that is known and a repository that is there', async ({
    expect,
  }) => {
    const { registry, repository } = await aWorld();
    await expect(registry.createBlobUpload(repository, 'one', 's3', {})).rejects.toMatchObject({
      code: 'UnknownLocation',
      detail: { locationName: 's3' },
    });
    const nowhere = { ...repository, id: 4711 };
    expect(await registry.createBlobUpload(nowhere, 'one', 'r2', {})).toBeNull();
  });

  it('scenario 68 (blobs): two updates from one snapshot: one succeeds, one conflicts', async ({
    expect,
  }) => {
    const { registry, repository, create } = await aWorld();
    const snapshot = await create();
    const outcomes = await Promise.allSettled(
      [1, 2].map((byteCount) => registry.updateBlobUpload(snapshot, counted(byteCount))),
    );
    const winners = outcomes.filter(({ status }) => status === 'fulfilled');
    const losers = outcomes.filter(({ status }) => status === 'rejected');
    expect(winners).toHaveLength(1);
    expect(losers).toMatchObject([{ reason: { code: 'UploadConflict' } }]);
    const [winner] = winners as PromiseFulfilledResult<BlobUpload>[];
    expect(await registry.lookupBlobUpload(repository, snapshot.uploadId)).toEqual(winner?.value);
    const digest = await aDigest();
    expect(await registry.commitBlobUpload(winner?.value as BlobUpload, digest, 60)).toMatchObject({
      digest,
      compressedSize: winner?.value.byteCount,
    });
  });
});

describe('a snapshot', () => {
  it("I-SINGLE: never lets its reader act under another one's claim", async ({ expect }) => {
    for (const state of ['writing', 'committing']) {
      const { registry, operations, name, repository, create } = await aWorld();
      const { uploadId } = await create();
      await rowsOf(
        `UPDATE blob_upload SET state = ?, claim_token = 'theirs', version = 1, claim_until_ms = ?
         WHERE uuid = ?`,
        state,
        Number.MAX_SAFE_INTEGER,
        uploadId,
      );
      const seen = await registry.lookupBlobUpload(repository, uploadId);
      expect(seen).toMatchObject({ state, version: 1 });
      expect(seen).not.toHaveProperty('claimToken');
      expect(await operations.uploadStatus(name, uploadId)).not.toHaveProperty('claimToken');
      const held = seen as BlobUpload;
      const conflict = { code: 'UploadConflict' };
      await expect(registry.updateBlobUpload(held, counted(1))).rejects.toMatchObject(conflict);
      await expect(registry.commitBlobUpload(held, await aDigest(), 60)).rejects.toMatchObject(
        conflict,
      );
      expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
    }
  });
});

describe('committing by the interface', () => {
  it('scenario 16 (blobs): makes the blob once; a second commit gives null', async ({ expect }) => {
    const { registry, repository, create, clock } = await aWorld();
    const upload = await registry.updateBlobUpload(await create(), counted(1024, 5000));
    const digest = await aDigest();

    const blob = await registry.commitBlobUpload(upload as BlobUpload, digest, 60);

    expect(blob).toMatchObject({ digest, compressedSize: 1024, uncompressedSize: 5000 });
    expect(await registry.lookupBlobUpload(repository, upload?.uploadId ?? '')).toBeNull();
    expect(await registry.commitBlobUpload(upload as BlobUpload, digest, 60)).toBeNull();
    expect(await rowsOf('SELECT expires_ms FROM uploaded_blob')).toEqual([
      { expires_ms: clock.nowMs() + 60_000 },
    ]);
  });

  it('scenario 23 (blobs): of an existing digest gives the same row, sizes unchanged', async ({
    expect,
  }) => {
    const { registry, create } = await aWorld();
    const digest = await aDigest();
    const commit = async (byteCount: number, uncompressed: number | null) => {
      const upload = await registry.updateBlobUpload(
        await create(),
        counted(byteCount, uncompressed),
      );
      return registry.commitBlobUpload(upload as BlobUpload, digest, 60);
    };
    const first = await commit(1024, null);
    expect(first).toMatchObject({ compressedSize: 1024, uncompressedSize: null });
    // The size that was not known yet is learnt, the one that is known stays.
    expect(await commit(2048, 5000)).toMatchObject({ ...first, uncompressedSize: 5000 });
    expect(await commit(2048, 6000)).toMatchObject({ ...first, uncompressedSize: 5000 });
    expect(await rowsOf('SELECT digest FROM blob')).toEqual([{ digest }]);
  });

  it('scenario 24 (blobs): of two digests gives two rows', async ({ expect }) => {
    const { registry, create } = await aWorld();
    const one = await registry.commitBlobUpload(await create(), await aDigest(), 60);
    const other = await registry.commitBlobUpload(await create(), await aDigest(), 60);
    expect(one?.uuid).not.toBe(other?.uuid);
    expect(one?.objectKey).not.toBe(other?.objectKey);
  });

  it('scenario 30 (blobs): with a lease of 0 seconds the blob can be seen still', async ({
    expect,
  }) => {
    const { registry, repository, create, clock } = await aWorld();
    const digest = await aDigest();
    expect(await registry.commitBlobUpload(await create(), digest, 0)).toMatchObject({ digest });
    clock.advance(1);
    expect(await registry.getRepoBlobByDigest(repository, digest)).toMatchObject({ digest });
  });

  it('I-LEASE: a shorter lease does not shorten the one that is there', async ({ expect }) => {
    const { registry, create, clock } = await aWorld();
    const digest = await aDigest();
    for (const seconds of [100, 3600, 10]) {
      await registry.commitBlobUpload(await create(), digest, seconds);
    }
    expect(await rowsOf('SELECT expires_ms FROM uploaded_blob')).toEqual([
      { expires_ms: clock.nowMs() + 3_600_000 },
    ]);
    const [hint] = await rowsOf('SELECT earliest_lease_ms FROM repository_gc');
    expect(hint?.['earliest_lease_ms']).toBeLessThanOrEqual(clock.nowMs() + 100_000);
  });

  it('refuses what is no digest', async ({ expect }) => {
    const { registry, create } = await aWorld();
    const upload = await create();
    for (const digest of ['', 'sha256:', 'sha256:ABC', `md5:${'a'.repeat(32)}`]) {
      await expect(registry.commitBlobUpload(upload, digest, 60)).rejects.toMatchObject({
        code: 'DigestMismatch',
      });
    }
  });

  it('I-FROZEN: gives null where the repository is being deleted, and buries the object', async ({
    expect,
  }) => {
    const { registry, repository, create } = await aWorld();
    const upload = await create();
    const [row] = await rowsOf('SELECT object_key FROM blob_upload');
    await rowsOf('UPDATE repository SET state = 3 WHERE id = ?', repository.id);
    expect(await registry.commitBlobUpload(upload, await aDigest(), 60)).toBeNull();
    expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
    expect(await rowsOf('SELECT * FROM uploaded_blob')).toEqual([]);
    expect(await graves()).toContain(`key ${row?.['object_key']}`);
  });

  it('takes what chunks counted, not what an old snapshot says', async ({ expect }) => {
    const { operations, registry, world, repository, name } = await aWorld();
    const snapshot = await anUpload(world, repository);
    const bytes = uniqueBytes(300);
    await operations.appendChunk(name, snapshot.uploadId, chunkOf(bytes));
    const digest = await computeDigest('sha256', bytes);
    // The D1 half only: the object is put together by the uploader.
    expect(await registry.commitBlobUpload(snapshot, digest, 60)).toMatchObject({
      compressedSize: 300,
    });
    expect(await operations.finishUpload(name, snapshot.uploadId, closingAs(digest))).toBeNull();
  });
});

describe('the uploads of two repositories', () => {
  it('of one digest are one blob, leased to both', async ({ expect }) => {
    const { registry, world, repository } = await aWorld();
    const other = await aRepository(world);
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);
    for (const at of [repository, other]) {
      const { uploadId } = await anUpload(world, at);
      await world.operations.appendChunk(nameOf(at), uploadId, chunkOf(bytes));
      await world.operations.finishUpload(nameOf(at), uploadId, closingAs(digest));
    }
    const [one, two] = await Promise.all(
      [repository, other].map((at) => registry.getRepoBlobByDigest(at, digest)),
    );
    expect(one).toEqual(two);
    expect(await rowsOf('SELECT digest FROM blob')).toEqual([{ digest }]);
    expect(await rowsOf('SELECT blob_id FROM uploaded_blob')).toHaveLength(2);
    expect(await findViolations()).toEqual([]);
  });
});
