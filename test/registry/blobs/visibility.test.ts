import { describe, it } from 'vitest';

import { computeDigest, type Digest } from '../../../src/model/digest.ts';
import { EMPTY_BLOB_BYTES, EMPTY_BLOB_DIGEST } from '../../../src/model/empty-blob.ts';
import { ensureEmptyBlob } from '../../../src/registry/blobs.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../support/clock.ts';
import { pushBlob, pushTagged, uniqueBytes } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { nameOf, objectAt, type Row, rowsOf } from '../../support/uploads.ts';

async function aWorld() {
  const world = openTestRegistry();
  const here = await aRepository(world);
  const there = await aRepository(world);
  return {
    ...world,
    world,
    here,
    there,
    /** Whether every way to look a blob up sees it in the repository, or none does. */
    sees: async (repository: typeof here, digest: Digest): Promise<boolean> => {
      const name = nameOf(repository);
      const answers = [
        await world.registry.getRepoBlobByDigest(repository, digest),
        (await world.operations.resolveBlob(name, digest))?.blob ?? null,
      ];
      if (new Set(answers.map((blob) => blob === null)).size > 1) {
        throw new Error('the look-ups disagree');
      }
      return answers[0] !== null;
    },
  };
}

describe('I-VIS: a blob can be seen', () => {
  it('where it is leased, also after the lease, and nowhere else', async ({ expect }) => {
    const { world, here, there, sees, clock } = await aWorld();
    const { digest } = await pushBlob(world, here);
    expect(await sees(here, digest)).toBe(true);
    expect(await sees(there, digest)).toBe(false);
    clock.advance(30 * DAY_MS);
    expect(await sees(here, digest)).toBe(true);
  });

  it('where a manifest links it, without any lease', async ({ expect }) => {
    const { world, here, there, sees } = await aWorld();
    const { parsed } = await pushTagged(world, here, { tagName: 'latest' });
    await rowsOf('DELETE FROM uploaded_blob');
    if (parsed.kind !== 'image') {
      throw new Error('an image was pushed');
    }
    for (const digest of parsed.localBlobDigests) {
      expect(await sees(here, digest)).toBe(true);
      expect(await sees(there, digest)).toBe(false);
    }
  });

  it('everywhere if it is the shared empty layer, once that is made', async ({ expect }) => {
    const { world, deps, here, there, sees } = await aWorld();
    expect(await sees(here, EMPTY_BLOB_DIGEST)).toBe(false);
    const [one, other] = await Promise.all([ensureEmptyBlob(deps), ensureEmptyBlob(deps)]);
    expect(one).toEqual(other);
    expect(await objectAt(one.objectKey)).toEqual(EMPTY_BLOB_BYTES);
    expect(await computeDigest('sha256', new Uint8Array(EMPTY_BLOB_BYTES))).toBe(EMPTY_BLOB_DIGEST);
    for (const repository of [here, there, await aRepository(world)]) {
      expect(await sees(repository, EMPTY_BLOB_DIGEST)).toBe(true);
    }
    expect(await rowsOf('SELECT * FROM uploaded_blob')).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('nowhere under what is no digest, or one that nothing has', async ({ expect }) => {
    const { registry, operations, here } = await aWorld();
    const unknown = await computeDigest('sha256', uniqueBytes());
    for (const digest of ['', 'sha256:', `sha256:${'A'.repeat(64)}`, 'md5:00', unknown]) {
      expect(await registry.getRepoBlobByDigest(here, digest)).toBeNull();
    }
    const found = await operations.resolveBlob(nameOf(here), unknown);
    expect(found).toMatchObject({ repository: { id: here.id }, blob: null });
    const nobody = { ...nameOf(here), repository: 'nobody' } as ReturnType<typeof nameOf>;
    expect(await operations.resolveBlob(nobody, unknown)).toBeNull();
    expect(await operations.resolveBlobForPush(nobody, unknown)).toBeNull();
  });

  it('with its placements only if they are asked for', async ({ expect }) => {
    const { world, registry, here } = await aWorld();
    const { digest } = await pushBlob(world, here);
    const plain = await registry.getRepoBlobByDigest(here, digest);
    expect(plain).not.toHaveProperty('placements');
    const placed = await registry.getRepoBlobByDigest(here, digest, { includePlacements: true });
    expect(placed).toEqual({ ...plain, placements: ['r2'] });
  });
});

describe('mounting', () => {
  it('scenario 25 (blobs): makes the same blob visible in another repository', async ({
    expect,
  }) => {
    const { world, registry, here, there, sees } = await aWorld();
    const blob = await pushBlob(world, here);
    expect(await sees(there, blob.digest)).toBe(false);
    expect(await registry.mountBlobIntoRepository(blob, there, 60)).toBe(true);
    expect(await sees(there, blob.digest)).toBe(true);
    const mounted = await registry.getRepoBlobByDigest(there, blob.digest);
    expect(mounted?.uuid).toBe(blob.uuid);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 26 (blobs): is false for an unknown digest or repository', async ({ expect }) => {
    const { world, registry, here, there } = await aWorld();
    const blob = await pushBlob(world, here);
    const unknown = { ...blob, digest: await computeDigest('sha256', uniqueBytes()) };
    expect(await registry.mountBlobIntoRepository(unknown, there, 60)).toBe(false);
    const nowhere = { ...there, id: 4711 };
    expect(await registry.mountBlobIntoRepository(blob, nowhere, 60)).toBe(false);
    expect(await rowsOf('SELECT * FROM uploaded_blob')).toHaveLength(1);
    expect(await findViolations()).toEqual([]);
  });

  it('I-FROZEN: is false into a repository that is being deleted', async ({ expect }) => {
    const { world, registry, here, there } = await aWorld();
    const blob = await pushBlob(world, here);
    await rowsOf('UPDATE repository SET state = 3 WHERE id = ?', there.id);
    expect(await registry.mountBlobIntoRepository(blob, there, 60)).toBe(false);
    expect(await rowsOf('SELECT * FROM uploaded_blob')).toHaveLength(1);
  });

  it('I-LEASE: never shortens a lease, and lowers the hint no more than it must', async ({
    expect,
  }) => {
    const { world, registry, clock, here, there } = await aWorld();
    const blob = await pushBlob(world, here);
    const start = clock.nowMs();
    for (const [seconds, end] of [
      [100, 100],
      [50, 100],
      [400, 400],
    ] as const) {
      expect(await registry.mountBlobIntoRepository(blob, there, seconds)).toBe(true);
      expect(
        await rowsOf('SELECT expires_ms FROM uploaded_blob WHERE repository_id = ?', there.id),
      ).toEqual([{ expires_ms: start + end * 1000 }]);
    }
    expect(await findViolations()).toEqual([]);
  });
});

async function leaseOf(repositoryId: number): Promise<Row | null> {
  const sql = 'SELECT * FROM uploaded_blob WHERE repository_id = ?';
  return (await rowsOf(sql, repositoryId))[0] ?? null;
}

describe('a look-up by a pusher', () => {
  it('I-LEASE: renews a lease of which less than half is left, and no other', async ({
    expect,
  }) => {
    const { world, operations, clock, here } = await aWorld();
    const { digest } = await pushBlob(world, here);
    const start = clock.nowMs();
    const head = () => operations.resolveBlobForPush(nameOf(here), digest);
    clock.advance(30 * MINUTE_MS);
    expect(await head()).toMatchObject({ blob: { digest } });
    expect(await leaseOf(here.id)).toMatchObject({ expires_ms: start + HOUR_MS });
    clock.advance(1);
    expect(await head()).toMatchObject({ blob: { digest } });
    expect(await leaseOf(here.id)).toMatchObject({ expires_ms: clock.nowMs() + HOUR_MS });
    expect(await findViolations()).toEqual([]);
  });

  it('leases a blob that only a manifest links, and none that cannot be seen', async ({
    expect,
  }) => {
    const { world, operations, clock, here, there } = await aWorld();
    const { parsed } = await pushTagged(world, here, { tagName: 'latest' });
    await rowsOf('DELETE FROM uploaded_blob');
    await rowsOf('UPDATE repository_gc SET earliest_lease_ms = NULL');
    const [digest] = parsed.kind === 'image' ? parsed.localBlobDigests : [];
    if (digest === undefined) {
      throw new Error('an image has a config');
    }
    expect(await operations.resolveBlobForPush(nameOf(there), digest)).toMatchObject({
      blob: null,
    });
    expect(await leaseOf(there.id)).toBeNull();
    expect(await operations.resolveBlobForPush(nameOf(here), digest)).toMatchObject({
      blob: { digest },
    });
    expect(await leaseOf(here.id)).toMatchObject({ expires_ms: clock.nowMs() + HOUR_MS });
    expect(await findViolations()).toEqual([]);
  });

  it('I-FROZEN: leases nothing in a repository that is being deleted', async ({ expect }) => {
    const { world, operations, here } = await aWorld();
    const { digest } = await pushBlob(world, here);
    await rowsOf('DELETE FROM uploaded_blob');
    await rowsOf('UPDATE repository SET state = 3 WHERE id = ?', here.id);
    expect(await operations.resolveBlobForPush(nameOf(here), digest)).toBeNull();
    expect(await rowsOf('SELECT * FROM uploaded_blob')).toEqual([]);
  });
});

describe('opening', () => {
  it('gives the bytes, a part of them, or null if the object is lost', async ({ expect }) => {
    const { world, operations, here } = await aWorld();
    const bytes = uniqueBytes(1000);
    const blob = await pushBlob(world, here, bytes);
    const read = async (range?: { offset: number; length: number }) => {
      const stream = await operations.openBlob(blob, range);
      return stream && new Uint8Array(await new Response(stream).arrayBuffer());
    };
    expect(await read()).toEqual(bytes);
    expect(await read({ offset: 10, length: 20 })).toEqual(bytes.slice(10, 30));
    expect(await read({ offset: 0, length: 1 })).toEqual(bytes.slice(0, 1));
    expect(await operations.openBlob({ ...blob, objectKey: 'blobs/lost' })).toBeNull();
  });
});
