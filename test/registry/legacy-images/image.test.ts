import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { EMPTY_BLOB_DIGEST } from '../../../src/model/empty-blob.ts';
import { openLegacyImageIds } from '../../../src/model/legacy-image-id.ts';
import { pushTagged } from '../../support/content.ts';
import { anIndexOf, openImageStage, planImage } from '../../support/images.ts';
import { aRepository, LEGACY_IMAGE_KEY, openTestRegistry } from '../../support/registry.ts';
import { readSchema1 } from '../../support/schema1-reader.ts';
import { execute } from '../../support/stage.ts';

const HISTORY = [
  { created: '2024-01-01T00:00:00Z', created_by: 'base', comment: 'the base' },
  { created_by: 'ENV a=b', empty_layer: true },
  { created_by: 'leaf', author: 'A' },
];

/** A list of one image, for one platform. */
const listOf = (child: ParsedManifest, architecture = 'amd64'): Promise<ParsedManifest> =>
  anIndexOf([[child, { architecture, os: 'linux' }]]);

/** An image of three steps under the tag `v1`, and the id of each of its layers by their index. */
async function openStage() {
  const stage = await openImageStage();
  const image = await planImage(stage.repository, {
    layers: 2,
    history: HISTORY,
    config: { created: '2024-02-02T00:00:00Z' },
  });
  const { manifest } = await pushTagged(stage, stage.repository, {
    tagName: 'v1',
    manifest: image,
  });
  const ids = await openLegacyImageIds(LEGACY_IMAGE_KEY);
  return {
    ...stage,
    image,
    manifest,
    ids,
    idOf: (layerIndex: number, manifestId = manifest.id) => ids.encode({ manifestId, layerIndex }),
    get: (id: string, options = {}) => stage.registry.getLegacyImage(stage.repository, id, options),
  };
}

describe('a legacy image', () => {
  it('is a layer of its manifest, leaf first, with all below it', async ({ expect }) => {
    const { registry, image, manifest, idOf, get } = await openStage();
    const form = await registry.getSchema1ParsedManifest(manifest, '', 'app', 'v1');
    const [base, empty, leaf] = readSchema1(form?.bytes);
    const [leafId, emptyId, baseId] = [await idOf(0), await idOf(1), await idOf(2)];
    const [lower, upper] = image.layers.map(({ size }) => size);
    const { bytes: _, ...info } = manifest;

    const whole = await get(leafId);
    expect(whole).toEqual({
      dockerImageId: leafId,
      created: '2024-02-02T00:00:00Z',
      comment: null,
      command: '["leaf"]',
      imageSize: upper,
      aggregateSize: (lower ?? 0) + 32 + (upper ?? 0),
      blobDigest: image.layers[1]?.digest,
      blob: null,
      v1MetadataString: JSON.stringify({ ...leaf?.metadata, id: leafId, parent: emptyId }),
      layerIndex: 0,
      manifest: info,
      ancestorIds: [emptyId, baseId],
      parentImageId: emptyId,
    });
    expect(await get(emptyId)).toMatchObject({
      dockerImageId: emptyId,
      command: '["ENV a=b"]',
      imageSize: 32,
      aggregateSize: (lower ?? 0) + 32,
      blobDigest: EMPTY_BLOB_DIGEST,
      layerIndex: 1,
      ancestorIds: [baseId],
      parentImageId: baseId,
      v1MetadataString: JSON.stringify({ ...empty?.metadata, id: emptyId, parent: baseId }),
    });
    const last = await get(baseId);
    expect(last).toMatchObject({
      created: '2024-01-01T00:00:00Z',
      comment: 'the base',
      aggregateSize: lower,
      layerIndex: 2,
      ancestorIds: [],
      parentImageId: null,
      v1MetadataString: JSON.stringify({ ...base?.metadata, id: baseId }),
    });
    expect(JSON.parse(last?.v1MetadataString ?? '')).not.toHaveProperty('parent');
  });

  it('has its blob with its placements if that is asked for, and can be seen', async ({
    expect,
  }) => {
    const { registry, repository, manifest, image, idOf, get } = await openStage();
    const id = await idOf(0);
    const found = await get(id, { includeBlob: true });
    const digest = image.layers[1]?.digest ?? '';
    expect(found?.blob).toEqual(
      await registry.getRepoBlobByDigest(repository, digest, { includePlacements: true }),
    );
    expect(found?.blob?.placements).toEqual(['r2']);
    // The shared empty layer is made by whoever lists the layers, not by looking.
    expect((await get(await idOf(1), { includeBlob: true }))?.blob).toBeNull();
    await registry.listManifestLayers(manifest);
    expect((await get(await idOf(1), { includeBlob: true }))?.blob?.digest).toBe(EMPTY_BLOB_DIGEST);
    for (const table of ['uploaded_blob', 'manifest_blob']) {
      await execute(
        `DELETE FROM ${table} WHERE blob_id = (SELECT id FROM blob WHERE digest = ?)`,
        digest,
      );
    }
    expect(await get(id, { includeBlob: true })).toEqual({ ...found, blob: null });
  });

  it('outlives its tag, since a restore needs it', async ({ expect }) => {
    const { registry, repository, idOf, get } = await openStage();
    const id = await idOf(0);
    const found = await get(id);
    await registry.deleteTag(repository, 'v1');
    expect(await registry.getTagLegacyImageId(repository, 'v1')).toBeNull();
    expect(await get(id)).toEqual(found);
  });

  it('of a list is of the image that stands for it, and carries the list', async ({ expect }) => {
    const { repository, image, idOf, get, ...stage } = await openStage();
    const list = await listOf(image);
    const { manifest } = await pushTagged(stage, repository, {
      tagName: 'list',
      manifest: list,
    });
    const found = await get(await idOf(0, manifest.id));
    expect(found?.blobDigest).toBe(image.layers[1]?.digest);
    expect(found?.manifest).toMatchObject({ id: manifest.id, isManifestList: true });
    expect(found?.ancestorIds).toEqual([await idOf(1, manifest.id), await idOf(2, manifest.id)]);
  });

  it('costs two round trips and the config, and one more for its blob', async ({ expect }) => {
    const { repository, idOf } = await openStage();
    for (const includeBlob of [false, true]) {
      const { registry, meter } = openTestRegistry();
      expect(await registry.getLegacyImage(repository, await idOf(0), { includeBlob })).not.toBe(
        null,
      );
      const { d1RoundTrips, d1RowsRead, d1RowsWritten, r2Reads } = meter.usage;
      expect([d1RoundTrips, d1RowsWritten, r2Reads]).toEqual([includeBlob ? 3 : 2, 0, 1]);
      expect(d1RowsRead).toBeLessThanOrEqual(8);
    }
  });
});

describe('there is no legacy image', () => {
  it('under a text that is no id, and costs no look-up', async ({ expect }) => {
    const { repository, manifest } = await openStage();
    const foreign = await openLegacyImageIds('the secret of another registry');
    const forged = await foreign.encode({ manifestId: manifest.id, layerIndex: 0 });
    const { registry, meter } = openTestRegistry();
    for (const id of ['', 'invalidvalue', '0'.repeat(64), 'f'.repeat(63), forged]) {
      expect(await registry.getLegacyImage(repository, id)).toBeNull();
    }
    expect(meter.usage.d1RoundTrips).toBe(0);
  });

  it('I-SCOPE: in another repository', async ({ expect }) => {
    const { registry, repository, idOf, operations } = await openStage();
    const other = await aRepository({ operations });
    expect(await registry.getLegacyImage(other, await idOf(0))).toBeNull();
    expect(await registry.getLegacyImage(repository, await idOf(0))).not.toBeNull();
  });

  it('of a manifest that is gone, or of a layer that it does not have', async ({ expect }) => {
    const { manifest, idOf, get } = await openStage();
    expect(await get(await idOf(0, manifest.id + 1))).toBeNull();
    expect(await get(await idOf(2))).not.toBeNull();
    for (const index of [3, 4, 2 ** 32 - 1]) {
      expect(await get(await idOf(index))).toBeNull();
    }
  });

  it('of a manifest without a schema 1 form', async ({ expect }) => {
    const { repository, push, idOf, get, image } = await openStage();
    const history = [{ created_by: 'a' }];
    for (const manifest of [
      await planImage(repository, { history, remote: [0] }),
      await planImage(repository, { configMediaType: 'a/b' }),
      await planImage(repository, { layers: 0 }),
      await listOf(image, 'arm64'),
      await planImage(repository, { layers: 3, history }),
    ]) {
      expect(await get(await idOf(0, (await push(manifest)).id))).toBeNull();
    }
  });

  it('of an image that is broken', async ({ expect }) => {
    const { image, manifest, idOf, get } = await openStage();
    await execute('UPDATE blob SET size_bytes = 1 WHERE digest = ?', image.config.digest);
    expect(await get(await idOf(0))).toBeNull();
    await execute(`UPDATE manifest SET bytes = '{}' WHERE id = ?`, manifest.id);
    expect(await get(await idOf(0))).toBeNull();
  });
});
