import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES } from '../../../src/image/media-types.ts';
import type { ParsedImage, ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { EMPTY_BLOB_BYTES, EMPTY_BLOB_DIGEST } from '../../../src/model/empty-blob.ts';
import { EMPTY_BLOB_KEY } from '../../../src/storage/r2/paths.ts';
import { anIndex } from '../../support/content.ts';
import { imageOf, openImageStage, planImage } from '../../support/images.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { execute, select } from '../../support/stage.ts';
import { objectAt } from '../../support/uploads.ts';

const step = (text: string) => ({ created_by: text });
/** Takes both the lease of a blob and its links. */
async function hideBlob(digest: string): Promise<void> {
  for (const table of ['uploaded_blob', 'manifest_blob']) {
    await execute(
      `DELETE FROM ${table} WHERE blob_id = (SELECT id FROM blob WHERE digest = ?)`,
      digest,
    );
  }
}

const emptyStep = { created_by: 'ENV a=b', empty_layer: true };

describe('the layers of a stored manifest', () => {
  it.for(['oci', 'docker'] as const)(
    'scenario 31 (blobs): come base first, each with its blob, key and placements (%s)',
    async (format, { expect }) => {
      const { registry, repository, push } = await openImageStage();
      const history = [step('one'), step('two'), step('three')];
      const image = await planImage(repository, { format, layers: 3, history });
      const manifest = await push(image);
      const layers = await registry.listManifestLayers(manifest, { includePlacements: true });
      expect(layers?.map(({ layerInfo }) => layerInfo.command)).toEqual(['one', 'two', 'three']);
      expect(layers?.map(({ blob }) => blob?.digest)).toEqual(
        image.layers.map(({ digest }) => digest),
      );
      for (const { blob, layerInfo } of layers ?? []) {
        expect(blob).toMatchObject({ placements: ['r2'], digest: layerInfo.blobDigest });
        expect((await objectAt(blob?.objectKey ?? ''))?.byteLength).toBe(blob?.compressedSize);
      }
      const local = await registry.getManifestLocalBlobs(manifest);
      expect(new Set(local?.map(({ digest }) => digest))).toEqual(
        new Set([...image.layers, image.config].map(({ digest }) => digest)),
      );
      const plain = await registry.listManifestLayers(manifest);
      expect(plain?.every(({ blob }) => blob !== null && !('placements' in blob))).toBe(true);
    },
  );

  it('scenario 32 (blobs): that are remote have their urls and no blob', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const image = await planImage(repository, {
      format: 'docker',
      history: [step('base')],
      remote: [0],
    });
    const layers = await registry.listManifestLayers(await push(image));
    expect(layers).toMatchObject([
      {
        layerInfo: { isRemote: true, urls: ['https://elsewhere.test/layer'], compressedSize: 4711 },
        blob: null,
      },
    ]);
  });

  it('scenario 67 (blobs): have the shared empty layer where a step changed nothing', async ({
    expect,
  }) => {
    const { registry, repository, push } = await openImageStage();
    const history = [emptyStep, step('one'), emptyStep];
    const manifest = await push(await planImage(repository, { format: 'docker', history }));
    expect(await registry.getRepoBlobByDigest(repository, EMPTY_BLOB_DIGEST)).toBeNull();
    const layers = await registry.listManifestLayers(manifest, { includePlacements: true });
    const [first, middle, last] = layers ?? [];
    expect(first).toMatchObject({
      layerInfo: { blobDigest: EMPTY_BLOB_DIGEST, compressedSize: 32, isRemote: false },
      blob: { digest: EMPTY_BLOB_DIGEST, objectKey: EMPTY_BLOB_KEY, placements: ['r2'] },
    });
    expect(last?.blob).toEqual(first?.blob);
    expect(middle?.blob?.digest).not.toBe(EMPTY_BLOB_DIGEST);
    expect(await objectAt(EMPTY_BLOB_KEY)).toEqual(EMPTY_BLOB_BYTES);

    await execute('DELETE FROM tag');
    await execute('DELETE FROM manifest');
    const elsewhere = await aRepository({ operations: openTestRegistry().operations });
    for (const place of [repository, elsewhere]) {
      const blob = await registry.getRepoBlobByDigest(place, EMPTY_BLOB_DIGEST);
      expect(blob?.uuid).toBe(first?.blob?.uuid);
    }
  });

  it('make the shared empty layer once, and cost no write when it is there', async ({ expect }) => {
    const { repository, push } = await openImageStage();
    const manifest = await push(await planImage(repository, { history: [emptyStep, step('one')] }));
    const first = openTestRegistry();
    expect(await first.registry.listManifestLayers(manifest)).toHaveLength(2);
    expect(first.meter.usage).toMatchObject({ d1RoundTrips: 3, r2Writes: 1 });
    const second = openTestRegistry();
    expect(await second.registry.listManifestLayers(manifest)).toHaveLength(2);
    expect(second.meter.usage).toMatchObject({ d1RoundTrips: 2, r2Writes: 0, d1RowsWritten: 0 });
    expect(await findViolations()).toEqual([]);
  });

  it('of an artifact are told without its config, of which there may be nothing', async ({
    expect,
  }) => {
    const { registry, repository, push } = await openImageStage();
    const configMediaType = 'application/vnd.example';
    const image = await planImage(repository, { layers: 2, configMediaType });
    const manifest = await push(image);
    await execute('UPDATE blob SET object_key = id WHERE digest = ?', image.config.digest);
    const layers = await registry.listManifestLayers(manifest);
    expect(layers?.map(({ layerInfo }) => layerInfo.layerId)).toEqual(
      image.layers.map(({ digest }) => digest),
    );
  });

  it('are two round trips, one object, and three rows a blob', async ({ expect }) => {
    const { repository, push } = await openImageStage();
    const layers = 10;
    const history = Array.from({ length: layers }, () => step('same'));
    const manifest = await push(await planImage(repository, { layers, history }));
    const { registry, meter } = openTestRegistry();
    expect(await registry.listManifestLayers(manifest)).toHaveLength(layers);
    const { usage } = meter;
    expect(usage).toMatchObject({ d1RoundTrips: 2, r2Reads: 1, d1RowsWritten: 0, r2Writes: 0 });
    const digests = layers + 2;
    expect(usage.d1RowsRead).toBeLessThanOrEqual(1 + 3 * digests);
  });

  it('are told by the primary where a replica lags', async ({ expect }) => {
    const { repository, push } = await openImageStage();
    const replica = await openLaggingReplica();
    const manifest = await push(await planImage(repository, { history: [step('one')] }));
    const { registry } = openTestRegistry({
      bindings: replica.bindings,
      readConsistency: 'replica',
    });
    expect(await registry.listManifestLayers(manifest)).toHaveLength(1);
    expect(replica.reads()).toBe(2);
  });
});

describe('the layers of a stored manifest cannot be told', () => {
  it('if it is a list, is gone, or is in another repository', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const image = await planImage(repository, { history: [step('one')] });
    const manifest = await push(image);
    const index = await push(await anIndex([image]));
    expect(await registry.listManifestLayers(index)).toBeNull();
    expect(await registry.listManifestLayers({ ...manifest, id: 4711 })).toBeNull();
    const other = { ...manifest, repositoryId: manifest.repositoryId + 1 };
    expect(await registry.listManifestLayers(other)).toBeNull();
    expect(await registry.listManifestLayers(manifest)).not.toBeNull();
  });

  it.for<readonly [string, (image: ParsedImage) => Promise<void>]>([
    ['its bytes are no manifest', () => execute(`UPDATE manifest SET bytes = '{}'`)],
    ['its type is none that is stored', () => execute(`UPDATE manifest SET media_type = 'a/b'`)],
    [
      'its body is gone',
      () => execute(`UPDATE manifest SET bytes = NULL, bytes_key = 'manifests/none'`),
    ],
    [
      'its config is lost',
      ({ config }) => execute('UPDATE blob SET object_key = id WHERE digest = ?', config.digest),
    ],
    [
      'its config has another size',
      ({ config }) => execute('UPDATE blob SET size_bytes = 1 WHERE digest = ?', config.digest),
    ],
    ['its config is not visible', ({ config }) => hideBlob(config.digest)],
    ['a layer is not visible', ({ layers }) => hideBlob(layers[0]?.digest ?? '')],
  ])('if %s', async ([, harm], { expect }) => {
    const { registry, repository, push } = await openImageStage();
    const image = await planImage(repository, { history: [step('one')] });
    const manifest = await push(image);
    await harm(image);
    expect(await registry.listManifestLayers(manifest)).toBeNull();
  });

  it('if its history does not fit its layers', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const history = [step('one'), step('two')];
    const manifest = await push(await planImage(repository, { layers: 3, history }));
    expect(await registry.listManifestLayers(manifest)).toBeNull();
  });

  it('if the database fails, which is thrown as it comes', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const manifest = await push(await planImage(repository, { history: [step('one')] }));
    await env.DB.prepare('ALTER TABLE blob RENAME TO blobs').run();
    await expect(registry.listManifestLayers(manifest)).rejects.toThrow(/no such table/);
  });
});

describe('the layers of a manifest that is not stored yet', () => {
  it('are found by leases alone, and a layer that comes twice is there twice', async ({
    expect,
  }) => {
    const { registry, repository } = await openImageStage();
    const history = [step('one'), step('two'), step('one again')];
    const image = await planImage(repository, { layers: 2, history });
    const [first, second] = image.layers;
    const layers = [first, second, first].filter((layer) => layer !== undefined);
    const repeated = await imageOf(image.mediaType, { config: image.config, layers });
    const listed = await registry.listParsedManifestLayers(repository, repeated);
    expect(listed?.map(({ blob }) => blob?.digest)).toEqual(layers.map(({ digest }) => digest));
    expect(listed?.[0]?.blob).toEqual(listed?.[2]?.blob);
    expect(listed?.[0]?.layerInfo.layerId).not.toBe(listed?.[2]?.layerInfo.layerId);
    expect(await select('SELECT * FROM manifest')).toEqual([]);
  });

  it('are null where a local layer is missing, also in this repository only', async ({
    expect,
  }) => {
    const { registry, repository } = await openImageStage();
    const image = await planImage(repository, { layers: 2, history: [step('one'), step('two')] });
    expect(await registry.listParsedManifestLayers(repository, image)).toHaveLength(2);
    await execute(
      'DELETE FROM uploaded_blob WHERE blob_id = (SELECT id FROM blob WHERE digest = ?)',
      image.layers[1]?.digest,
    );
    expect(await registry.listParsedManifestLayers(repository, image)).toBeNull();
  });

  it('are refused by what is wrong', async ({ expect }) => {
    const { registry, repository } = await openImageStage();
    const refusal = (manifest: ParsedManifest) =>
      registry.listParsedManifestLayers(repository, manifest).then(
        () => null,
        (error: unknown) => (error as { code?: string }).code ?? String(error),
      );
    const image = await planImage(repository, { history: [step('one')] });
    expect(await refusal(image)).toBeNull();
    expect(await refusal(await anIndex([image]))).toBe('NotAnImageManifest');
    const short = await planImage(repository, { layers: 3, history: [step('one'), step('two')] });
    expect(await refusal(short)).toBe('ManifestInvalid');
    const { config, layers } = image;
    const broken = await imageOf(MANIFEST_MEDIA_TYPES.ociManifest, {
      config: { ...config, size: config.size + 1 },
      layers,
    });
    expect(await refusal(broken)).toBe('ManifestInvalid');
    await execute('DELETE FROM uploaded_blob');
    // A config that cannot be read is an error, a layer that is missing is not.
    expect(await refusal(image)).toBe('ManifestInvalid');
    const artifact = await planImage(repository, { configMediaType: 'application/vnd.example' });
    await execute('DELETE FROM uploaded_blob');
    expect(await refusal(artifact)).toBeNull();
    expect(await registry.listParsedManifestLayers(repository, artifact)).toBeNull();
  });
});
