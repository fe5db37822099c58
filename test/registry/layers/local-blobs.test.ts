import { describe, it } from 'vitest';

import { anIndex } from '../../support/content.ts';
import { imageOf, openImageStage, planImage } from '../../support/images.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { execute } from '../../support/stage.ts';

describe('the local blobs of a manifest', () => {
  it.for(['oci', 'docker'] as const)(
    'scenario 31 (blobs): are the set that it names, base to leaf, the config last (%s)',
    async (format, { expect }) => {
      const { registry, repository, push } = await openImageStage();
      const image = await planImage(repository, { format, layers: 4, remote: [1], history: [] });
      const [first, remote, second, third] = image.layers;
      const repeated = await imageOf(image.mediaType, {
        config: image.config,
        layers: [third, remote, first, second, third].filter((layer) => layer !== undefined),
      });
      const blobs = await registry.getManifestLocalBlobs(await push(repeated));
      expect(blobs?.map(({ digest }) => digest)).toEqual([
        third?.digest,
        first?.digest,
        second?.digest,
        image.config.digest,
      ]);
      expect(blobs?.map(({ compressedSize }) => compressedSize)).toEqual([
        third?.size,
        first?.size,
        second?.size,
        image.config.size,
      ]);
    },
  );

  it('have their placements only if they are asked for', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const manifest = await push(await planImage(repository, { history: [{}] }));
    const plain = await registry.getManifestLocalBlobs(manifest);
    expect(plain?.every((blob) => !('placements' in blob))).toBe(true);
    const placed = await registry.getManifestLocalBlobs(manifest, { includePlacements: true });
    expect(placed).toEqual(plain?.map((blob) => ({ ...blob, placements: ['r2'] })));
  });

  it('are none for an index, and null for a manifest that is gone', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const child = await planImage(repository, { history: [{}] });
    const manifest = await push(child);
    const index = await push(await anIndex([child]));
    expect(await registry.getManifestLocalBlobs(index)).toEqual([]);
    expect(await registry.getManifestLocalBlobs({ ...manifest, id: 4711 })).toBeNull();
    const other = { ...manifest, repositoryId: manifest.repositoryId + 1 };
    expect(await registry.getManifestLocalBlobs(other)).toBeNull();
  });

  it('leave out what is not linked, and do not hang on the body', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const image = await planImage(repository, { layers: 2, history: [{}, {}] });
    const manifest = await push(image);
    const [first, second] = image.layers;
    const digests = async () =>
      (await registry.getManifestLocalBlobs(manifest))?.map(({ digest }) => digest);
    await execute(
      'DELETE FROM manifest_blob WHERE blob_id = (SELECT id FROM blob WHERE digest = ?)',
      first?.digest,
    );
    // Its lease shows the blob in the repository still; the manifest does not link it.
    expect(await digests()).toEqual([second?.digest, image.config.digest]);
    await execute('UPDATE manifest SET bytes = ? WHERE id = ?', '{', manifest.id);
    expect(new Set(await digests())).toEqual(new Set([second?.digest, image.config.digest]));
  });

  it('cost one round trip, and two rows a blob beside the manifest', async ({ expect }) => {
    const { repository, push } = await openImageStage();
    const manifest = await push(await planImage(repository, { layers: 5, format: 'oci' }));
    const { registry, meter } = openTestRegistry();
    expect(await registry.getManifestLocalBlobs(manifest)).toHaveLength(6);
    expect(meter.usage).toMatchObject({ d1RoundTrips: 1, d1RowsWritten: 0, r2Reads: 0 });
    expect(meter.usage.d1RowsRead).toBeLessThanOrEqual(1 + 2 * 6);
  });

  it('are told by the primary where a replica does not have the manifest yet', async ({
    expect,
  }) => {
    const { repository, push } = await openImageStage();
    const replica = await openLaggingReplica();
    const manifest = await push(await planImage(repository, { history: [{}] }));
    const options = { bindings: replica.bindings, readConsistency: 'replica' } as const;
    const { registry, meter } = openTestRegistry(options);
    expect(await registry.getManifestLocalBlobs(manifest)).toHaveLength(2);
    expect(meter.usage.d1RoundTrips).toBe(2);
    expect(replica.reads()).toBe(1);
    await replica.catchUp();
    const later = openTestRegistry(options);
    expect(await later.registry.getManifestLocalBlobs(manifest)).toHaveLength(2);
    expect(later.meter.usage.d1RoundTrips).toBe(1);
  });
});
