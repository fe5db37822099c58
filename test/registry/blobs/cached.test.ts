import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { MINUTE_MS } from '../../support/clock.ts';
import { pushBlob } from '../../support/content.ts';
import { failingKv, overwriteCache } from '../../support/kv.ts';
import {
  aRepository,
  openTestRegistry,
  type TestRegistry,
  type TestRegistryOptions,
} from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { execute } from '../../support/stage.ts';

/** A repository with a blob, and look-ups of it that fill the cache before they return. */
async function aScene(options: TestRegistryOptions = {}) {
  const world = openTestRegistry(options);
  const repository = await aRepository(world);
  const blob = await pushBlob(world, repository);
  const lookup = async (
    digest: string = blob.digest,
    reader: Pick<TestRegistry, 'registry' | 'settleDeferred'> = world,
  ) => {
    const { namespaceName, name } = repository;
    const found = await reader.registry.getCachedRepoBlob(namespaceName, name, digest);
    await reader.settleDeferred();
    return found;
  };
  return { world, repository, blob, lookup };
}

/** The tables that an answer from the cache must not need. */
const BLOB_TABLES = ['blob', 'uploaded_blob', 'manifest_blob'];

async function hideBlobs(): Promise<void> {
  for (const table of BLOB_TABLES) {
    await execute(`ALTER TABLE ${table} RENAME TO hidden_${table}`);
  }
}

describe('getCachedRepoBlob', () => {
  it('gives what getRepoBlobByDigest gives with placements, from the cache too', async ({
    expect,
  }) => {
    const { world, repository, blob, lookup } = await aScene();
    const plain = await world.registry.getRepoBlobByDigest(repository, blob.digest, {
      includePlacements: true,
    });
    expect(plain?.placements).toEqual(['r2']);
    expect(await lookup()).toEqual(plain);
    expect(await lookup()).toEqual(plain);
    expect(world.meter.usage).toMatchObject({ kvReads: 2, kvWrites: 1 });
  });

  it('scenario 29 (blobs): asks no table of blobs again; what is not kept fails with it', async ({
    expect,
  }) => {
    const { world, repository, lookup } = await aScene();
    const other = await pushBlob(world, repository);
    const first = await lookup();
    await hideBlobs();
    expect(await lookup()).toEqual(first);
    await expect(lookup(other.digest)).rejects.toThrow('no such table');
  });

  it('scenario 70 (blobs), I-EPOCH: gives null at once for a blob that was unlinked', async ({
    expect,
  }) => {
    const { world, repository, blob, lookup } = await aScene();
    expect(await lookup()).not.toBeNull();
    await world.operations.unlinkRepoBlob(repository, blob.digest);
    expect((await env.CACHE.list()).keys).toHaveLength(1);
    expect(await lookup()).toBeNull();
    await world.registry.mountBlobIntoRepository(blob, repository, 60);
    expect((await lookup())?.digest).toBe(blob.digest);
  });

  it('keeps no null: what is pushed after it was asked for is there', async ({ expect }) => {
    const { world, repository, lookup } = await aScene();
    const other = await aRepository(world);
    const blob = await pushBlob(world, other);
    expect(await lookup(blob.digest)).toBeNull();
    await world.registry.mountBlobIntoRepository(blob, repository, 60);
    expect((await lookup(blob.digest))?.digest).toBe(blob.digest);
  });

  it('gives null for an unknown repository, and for what is no digest', async ({ expect }) => {
    const { world, repository, blob, lookup } = await aScene();
    const { registry } = world;
    expect(await lookup('sha256:short')).toBeNull();
    expect(await registry.getCachedRepoBlob('acme', 'never-there', blob.digest)).toBeNull();
    expect(await registry.getCachedRepoBlob('\ud800', repository.name, blob.digest)).toBeNull();
    await lookup();
    await execute('UPDATE repository SET state = 3 WHERE id = ?', repository.id);
    expect(await lookup()).toBeNull();
  });

  it('gives nothing of a repository that had the name before, whatever its epoch', async ({
    expect,
  }) => {
    const { world, repository, lookup } = await aScene();
    expect(await lookup()).not.toBeNull();
    await execute(`UPDATE repository SET state = 3, name = 'gone' WHERE id = ?`, repository.id);
    const { namespaceName, name } = repository;
    const anew = await aRepository(world, { namespace: namespaceName, repository: name });
    expect(anew.id).not.toBe(repository.id);
    expect(await lookup()).toBeNull();
  });

  it('keeps repositories apart whose names come out alike in a row', async ({ expect }) => {
    const { world, lookup } = await aScene();
    const digest = (await lookup())?.digest ?? '';
    await execute(`INSERT INTO namespace (name) VALUES ('a_b'), ('a')`);
    await execute(`INSERT INTO repository (namespace_id, name)
      SELECT id, CASE name WHEN 'a_b' THEN 'c' ELSE 'b_c' END FROM namespace
      WHERE name IN ('a_b', 'a')`);
    await execute(`INSERT INTO uploaded_blob (repository_id, blob_id, uploaded_ms, expires_ms)
      SELECT r.id, b.id, 0, 1 FROM repository r, blob b WHERE r.name = 'c'`);
    expect(await world.registry.getCachedRepoBlob('a_b', 'c', digest)).not.toBeNull();
    await world.settleDeferred();
    expect(await world.registry.getCachedRepoBlob('a', 'b_c', digest)).toBeNull();
  });

  it('is kept for a minute', async ({ expect }) => {
    const { world, lookup } = await aScene();
    const first = await lookup();
    await hideBlobs();
    world.clock.advance(MINUTE_MS - 1);
    expect(await lookup()).toEqual(first);
    world.clock.advance(1);
    await expect(lookup()).rejects.toThrow('no such table');
  });

  it('forgets a blob whose object is lost, so that its repair is seen', async ({ expect }) => {
    const { world, repository, blob, lookup } = await aScene();
    await lookup();
    await execute(`UPDATE blob SET object_key = 'blobs/another'`);
    expect((await lookup())?.objectKey).toBe(blob.objectKey);
    const name = { namespace: repository.namespaceName, repository: repository.name };
    await world.operations.forgetBlob(name, blob.digest);
    expect((await lookup())?.objectKey).toBe('blobs/another');
  });
});

describe('a cached blob, whatever happens to the cache', () => {
  it('is read anew where what is kept is no blob', async ({ expect }) => {
    const { blob, lookup } = await aScene();
    for (const garbage of ['{', '7', '{}', '{"version":"1.0","validUntilMs":9e15,"value":{}}']) {
      await lookup();
      expect(await overwriteCache(garbage)).toHaveLength(1);
      const reader = openTestRegistry({ onFailure: () => undefined });
      expect((await lookup(blob.digest, reader))?.digest).toBe(blob.digest);
    }
  });

  it('is read while KV fails, and the failures are told of', async ({ expect }) => {
    const failures: unknown[] = [];
    const { lookup, blob } = await aScene({
      bindings: { DB: env.DB, BUCKET: env.BUCKET, CACHE: failingKv() },
      onFailure: (error) => failures.push(error),
    });
    expect((await lookup())?.digest).toBe(blob.digest);
    expect(failures).toHaveLength(2);
  });

  it('I-EPOCH: is not kept for newer than it is by who reads while it is unlinked', async ({
    expect,
  }) => {
    const { world, repository, blob, lookup } = await aScene();
    let calls = 0;
    const reader = openTestRegistry({
      clock: world.clock,
      gate: async (_call, run) => {
        calls += 1;
        const rows = await run();
        if (calls === 2) {
          await world.operations.unlinkRepoBlob(repository, blob.digest);
        }
        return rows;
      },
    });
    expect((await lookup(blob.digest, reader))?.digest).toBe(blob.digest);
    expect(await lookup()).toBeNull();
  });

  it('I-EPOCH: near a replica that lags is not served, nor kept, from its old rows', async ({
    expect,
  }) => {
    const { world, repository, blob, lookup } = await aScene();
    await lookup();
    const replica = await openLaggingReplica();
    const reader = openTestRegistry({
      clock: world.clock,
      bindings: replica.bindings,
      readConsistency: 'replica',
    });
    await world.operations.unlinkRepoBlob(repository, blob.digest);
    expect(await lookup(blob.digest, reader)).toBeNull();
    await env.CACHE.delete((await env.CACHE.list()).keys[0]?.name ?? '');
    expect(await lookup(blob.digest, reader)).toBeNull();
    expect(await lookup()).toBeNull();
  });
});
