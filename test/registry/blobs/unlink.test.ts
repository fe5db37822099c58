import { describe, it } from 'vitest';

import type { Digest } from '../../../src/model/digest.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { DAY_MS } from '../../support/clock.ts';
import { anImage, pushBlob, pushTagged, uniqueBytes } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { codeOf } from '../../support/stage.ts';
import { forgetBlobs, nameOf, objectAt, rowsOf } from '../../support/uploads.ts';

async function aWorld() {
  const world = openTestRegistry();
  const here = await aRepository(world);
  const there = await aRepository(world);
  return {
    ...world,
    world,
    here,
    there,
    behind: (gate: Gate) => openTestRegistry({ gate, clock: world.clock }),
    sees: async (repository: RepositoryRef, digest: Digest) =>
      (await world.registry.getRepoBlobByDigest(repository, digest)) !== null,
  };
}

async function epochOf({ id }: RepositoryRef): Promise<number> {
  const [row] = await rowsOf('SELECT content_epoch FROM repository WHERE id = ?', id);
  return Number(row?.['content_epoch']);
}

const candidates = () =>
  rowsOf(`SELECT b.digest FROM gc_blob_candidate c JOIN blob b ON b.id = c.blob_id`);

describe('unlinking a blob', () => {
  it('scenario 70 (blobs): I-EPOCH: makes it invisible at once, and caches of it stale', async ({
    expect,
  }) => {
    const { world, operations, registry, here, there, sees } = await aWorld();
    const blob = await pushBlob(world, here);
    await registry.mountBlobIntoRepository(blob, there, 3600);
    const [epochHere, epochThere] = [await epochOf(here), await epochOf(there)];

    expect(await operations.unlinkRepoBlob(here, blob.digest)).toEqual(
      await registry.getRepoBlobByDigest(there, blob.digest),
    );

    expect(await sees(here, blob.digest)).toBe(false);
    expect(await sees(there, blob.digest)).toBe(true);
    expect(await epochOf(here)).toBe(epochHere + 1);
    expect(await epochOf(there)).toBe(epochThere);
    expect(await operations.unlinkRepoBlob(here, blob.digest)).toBeNull();
    expect(await epochOf(here)).toBe(epochHere + 1);
    expect(await findViolations()).toEqual([]);
  });

  it('I-ENQ: of its last lease puts it on the list of what may be garbage', async ({ expect }) => {
    const { world, operations, here } = await aWorld();
    const { digest, objectKey } = await pushBlob(world, here);
    await operations.unlinkRepoBlob(here, digest);
    expect(await candidates()).toEqual([{ digest }]);
    // It is garbage collection that takes it.
    expect(await objectAt(objectKey)).not.toBeNull();
  });

  it('gives null for what cannot be seen, and changes nothing', async ({ expect }) => {
    const { world, operations, here, there } = await aWorld();
    const { digest } = await pushBlob(world, here);
    const epoch = await epochOf(there);
    for (const nothing of [digest, '', 'sha256:none', `sha256:${'0'.repeat(64)}`]) {
      expect(await operations.unlinkRepoBlob(there, nothing)).toBeNull();
    }
    expect(await epochOf(there)).toBe(epoch);
    expect(await candidates()).toEqual([]);
    expect(await rowsOf('SELECT * FROM uploaded_blob')).toHaveLength(1);
  });

  it('is refused while a manifest of the repository is alive, without an end', async ({
    expect,
  }) => {
    const { world, operations, here, sees } = await aWorld();
    const { manifest, parsed } = await pushTagged(world, here, { tagName: 'latest' });
    const epoch = await epochOf(here);
    const [digest] = parsed.kind === 'image' ? parsed.localBlobDigests : [];
    await expect(operations.unlinkRepoBlob(here, digest ?? '')).rejects.toMatchObject({
      code: 'BlobInUse',
      detail: { manifestDigest: manifest.digest, restorableUntilMs: null },
    });
    expect(await sees(here, digest as Digest)).toBe(true);
    expect(await epochOf(here)).toBe(epoch);
    expect(await candidates()).toEqual([]);
  });

  it('is refused while the time machine may restore the manifest, and says until when', async ({
    expect,
  }) => {
    const { world, operations, registry, clock, here } = await aWorld();
    const { parsed } = await pushTagged(world, here, { tagName: 'latest' });
    clock.advance(DAY_MS);
    await registry.deleteTag(here, 'latest');
    const [digest] = parsed.kind === 'image' ? parsed.localBlobDigests : [];
    await expect(operations.unlinkRepoBlob(here, digest ?? '')).rejects.toMatchObject({
      code: 'BlobInUse',
      detail: { restorableUntilMs: clock.nowMs() + 14 * DAY_MS },
    });
  });

  it('does not ask about manifests of other repositories', async ({ expect }) => {
    const { world, operations, registry, here, there, sees } = await aWorld();
    const { parsed } = await pushTagged(world, here, { tagName: 'latest' });
    const [digest] = parsed.kind === 'image' ? parsed.localBlobDigests : [];
    const blob = await registry.getRepoBlobByDigest(here, digest ?? '');
    if (blob === null) {
      throw new Error('the image has its blobs');
    }
    await registry.mountBlobIntoRepository(blob, there, 60);
    expect(await operations.unlinkRepoBlob(there, blob.digest)).toMatchObject({
      uuid: blob.uuid,
    });
    expect(await sees(there, blob.digest)).toBe(false);
    expect(await sees(here, blob.digest)).toBe(true);
  });
});

async function anEndedImage() {
  const { clock, ...world } = openTestRegistry({ settings: { removedTagExpirationSec: 0 } });
  const here = await aRepository(world);
  const pushed = await pushTagged({ ...world, clock }, here, { tagName: 'v1' });
  await world.registry.deleteTag(here, 'v1');
  const digests = pushed.parsed.kind === 'image' ? pushed.parsed.localBlobDigests : [];
  return { ...world, clock, here, digests, image: pushed.parsed };
}

describe('unlinking a blob of manifests that are garbage already', () => {
  it('takes the manifests first, so that with no window a deletion succeeds at once', async ({
    expect,
  }) => {
    const { operations, registry, here, digests, image } = await anEndedImage();
    for (const digest of digests) {
      expect(await operations.unlinkRepoBlob(here, digest)).toMatchObject({ digest });
      expect(await operations.unlinkRepoBlob(here, digest)).toBeNull();
    }
    const allowDead = { allowDead: true };
    expect(await registry.lookupManifestByDigest(here, image.digest, allowDead)).toBeNull();
    const listed = (await candidates()).map(({ digest }) => String(digest));
    expect(listed.toSorted()).toEqual(digests.toSorted());
    expect(await findViolations()).toEqual([]);
  });

  it('gives the blob though its lease went before', async ({ expect }) => {
    const { operations, housekeeping, clock, here, digests } = await anEndedImage();
    clock.advance(DAY_MS);
    await rowsOf('DELETE FROM uploaded_blob');
    const [digest = ''] = digests;
    expect(await operations.unlinkRepoBlob(here, digest)).toMatchObject({ digest });
    await housekeeping.collectGarbage();
    expect(await rowsOf('SELECT * FROM blob')).toEqual([]);
  });

  it('goes on where a run died between the tags and their manifest', async ({ expect }) => {
    const { operations, here, digests } = await anEndedImage();
    await rowsOf('INSERT INTO gc_manifest_candidate SELECT id FROM manifest');
    await rowsOf('DELETE FROM tag');
    const [digest = ''] = digests;
    expect(await operations.unlinkRepoBlob(here, digest)).toMatchObject({ digest });
    expect(await rowsOf('SELECT * FROM manifest')).toEqual([]);
  });

  it('leaves one that is locked, an index has, or a tag names', async ({ expect }) => {
    for (const change of [
      'UPDATE tag SET immutable = 1',
      `INSERT INTO manifest_child (manifest_id, child_digest, child_manifest_id, repository_id)
        SELECT max(id), 'x', min(id), repository_id FROM manifest`,
      'UPDATE tag SET lifetime_end_ms = lifetime_end_ms + 1',
    ]) {
      await forgetBlobs();
      const { operations, here, digests, clock, ...world } = await anEndedImage();
      await pushTagged({ ...world, clock, operations }, here, { tagName: 'other' });
      await rowsOf(`${change} WHERE ${change.startsWith('INSERT') ? 'true' : "name = 'v1'"}`);
      await expect(operations.unlinkRepoBlob(here, digests[0] ?? '')).rejects.toMatchObject({
        code: 'BlobInUse',
      });
      await rowsOf('DELETE FROM manifest_child');
      await rowsOf('DELETE FROM tag');
      await rowsOf('DELETE FROM manifest');
    }
  });
});

describe('unlinking races', () => {
  it('a mount: it is visible if the mount came after, and promised only then', async ({
    expect,
  }) => {
    await forgetBlobs();
    const count = await interleaveAll(async () => {
      const { world, here, there, behind, sees } = await aWorld();
      const blob = await pushBlob(world, here);
      await world.registry.mountBlobIntoRepository(blob, there, 60);
      return {
        racers: [
          (gate) => behind(gate).registry.mountBlobIntoRepository(blob, there, 60),
          (gate) => behind(gate).operations.unlinkRepoBlob(there, blob.digest),
        ],
        check: async ([mounted, unlinked], schedule) => {
          expect(mounted, schedule).toMatchObject({ status: 'fulfilled', value: true });
          expect(unlinked.status, schedule).toBe('fulfilled');
          expect(await sees(there, blob.digest), schedule).toBe(schedule === 'BA');
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(count).toBe(2);
  });

  it('I-LEASE: a look-up by a pusher: found means leased, or taken away after', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const { world, here, behind, clock } = await aWorld();
      const { digest } = await pushBlob(world, here, uniqueBytes());
      clock.advance(DAY_MS);
      return {
        racers: [
          (gate) => behind(gate).operations.resolveBlobForPush(nameOf(here), digest),
          (gate) => behind(gate).operations.unlinkRepoBlob(here, digest),
        ],
        check: async ([found, unlinked], schedule) => {
          expect(codeOf(found), schedule).toBeNull();
          expect(unlinked, schedule).toMatchObject({ value: { digest } });
          const blob = found.status === 'fulfilled' ? found.value?.blob : undefined;
          expect(blob === null, schedule).toBe(schedule === 'BA');
          expect(
            await rowsOf('SELECT * FROM uploaded_blob WHERE repository_id = ?', here.id),
          ).toEqual([]);
        },
      };
    });
  });

  it('a push of a manifest that names it: the link keeps it, or the push is refused', async ({
    expect,
  }) => {
    await interleaveAll(async () => {
      const { world, here, behind } = await aWorld();
      const image = await anImage(world, here);
      const [digest] = image.kind === 'image' ? image.localBlobDigests : [];
      return {
        racers: [
          (gate) =>
            behind(gate).registry.createManifestAndRetargetTag(here, image, 'latest', {
              raiseOnError: true,
            }),
          (gate) => behind(gate).operations.unlinkRepoBlob(here, digest ?? ''),
        ],
        check: async ([pushed, unlinked], schedule) => {
          const endings = [codeOf(pushed), codeOf(unlinked)];
          expect(
            [
              [null, 'BlobInUse'],
              ['BlobUnknown', null],
              ['ManifestInvalid', null],
            ],
            schedule,
          ).toContainEqual(endings);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});
