import { describe, expectTypeOf, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES, SCHEMA1_MEDIA_TYPE } from '../../../src/image/media-types.ts';
import type { ParsedManifest, ParsedSchema1 } from '../../../src/image/parsed-manifest.ts';
import type { Manifest } from '../../../src/model/datatypes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { EMPTY_BLOB_DIGEST } from '../../../src/model/empty-blob.ts';
import { anIndex } from '../../support/content.ts';
import { anIndexOf, openImageStage, planImage } from '../../support/images.ts';
import { openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { openLaggingReplica } from '../../support/replica.ts';
import { readSchema1 } from '../../support/schema1-reader.ts';
import { execute, select } from '../../support/stage.ts';

const TYPES = MANIFEST_MEDIA_TYPES;
const SCHEMA1 = new Set([SCHEMA1_MEDIA_TYPE]);
const AMD64 = { architecture: 'amd64', os: 'linux' };
const ARM64 = { architecture: 'arm64', os: 'linux' };
const step = (text: string) => ({ created_by: text });
const emptyStep = { created_by: 'ENV a=b', empty_layer: true };

type Registry = TestRegistry['registry'];

const schema1Of = (registry: Registry, manifest: Manifest, options: object = {}) =>
  registry.getSchema1ParsedManifest(manifest, 'acme', 'app', 'v1', options);

const convert = (registry: Registry, manifest: Manifest, allowed: ReadonlySet<string>) =>
  registry.convertManifest(manifest, 'acme', 'app', 'v1', allowed);

/** The code that the schema 1 form is refused by when errors are asked for; null if it is given. */
async function refusalOf(registry: Registry, manifest: Manifest): Promise<string | null> {
  try {
    await schema1Of(registry, manifest, { raiseOnError: true });
    return null;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe('converting a manifest', () => {
  it.for(['oci', 'docker'] as const)(
    'scenario 33 (blobs): gives schema 1, itself, or nothing, as is allowed (%s)',
    async (format, { expect }) => {
      const { registry, repository, push } = await openImageStage();
      const manifest = await push(await planImage(repository, { format, history: [step('one')] }));
      const form = await convert(registry, manifest, SCHEMA1);
      expect(form).toMatchObject({ kind: 'schema1', mediaType: SCHEMA1_MEDIA_TYPE });
      expect(form?.digest).toBe(await computeDigest('sha256', form?.bytes ?? manifest.bytes));
      expect(await convert(registry, manifest, SCHEMA1)).toEqual(form);
      expect(await schema1Of(registry, manifest)).toEqual(form);

      const all = new Set([...SCHEMA1, ...Object.values(TYPES)]);
      for (const allowed of [new Set([manifest.mediaType]), all]) {
        const itself = await convert(registry, manifest, allowed);
        expect(itself?.bytes).toEqual(manifest.bytes);
        expect(itself).toMatchObject({ digest: manifest.digest, mediaType: manifest.mediaType });
      }
      const otherTypes = Object.values(TYPES).filter((type) => type !== manifest.mediaType);
      const signed = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      for (const allowed of [[], otherTypes, [signed]]) {
        expect(await convert(registry, manifest, new Set(allowed))).toBeNull();
      }
    },
  );

  it.for(['oci', 'docker'] as const)(
    'scenario 34 (blobs): to schema 1 keeps every step, its layer and its parent (%s)',
    async (format, { expect }) => {
      const { registry, repository, push } = await openImageStage();
      const history = [step('one'), emptyStep, step('two'), emptyStep];
      const image = await planImage(repository, {
        format,
        layers: 2,
        history,
        config: { config: { Labels: { ü: '🚀' } }, author: 'Zoë' },
      });
      const manifest = await push(image);
      const form = await schema1Of(registry, manifest);
      const read = readSchema1(form?.bytes);
      const [one, two] = image.layers;
      expect(read.map(({ blobSum }) => blobSum)).toEqual([
        one?.digest,
        EMPTY_BLOB_DIGEST,
        two?.digest,
        EMPTY_BLOB_DIGEST,
      ]);
      expect(read.map(({ throwaway }) => throwaway)).toEqual([false, true, false, true]);
      expect(read.map(({ command }) => command)).toEqual(history.map((entry) => entry.created_by));
      expect(read[3]?.metadata).toMatchObject({ author: 'Zoë', config: { Labels: { ü: '🚀' } } });

      const layers = await registry.listManifestLayers(manifest);
      const steps = (listed: typeof layers) =>
        listed?.map(({ layerInfo, blob }) => [
          layerInfo.layerId,
          layerInfo.blobDigest,
          layerInfo.compressedSize,
          blob?.uuid,
        ]);
      expect(read.map(({ id }) => id)).toEqual(layers?.map(({ layerInfo }) => layerInfo.layerId));
      // The form is one whose layers can be told as any other's.
      const formLayers = form && (await registry.listParsedManifestLayers(repository, form));
      expect(steps(formLayers)).toEqual(steps(layers));
    },
  );

  it('scenario 35 (blobs): to schema 1 takes an image without history', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const config = { config: { Cmd: ['sh', '-c', 'ls'] }, created: '2024-05-02T10:11:12Z' };
    const image = await planImage(repository, { layers: 3, config });
    const form = await schema1Of(registry, await push(image));
    const read = readSchema1(form?.bytes);
    expect(read.map(({ blobSum }) => blobSum)).toEqual(image.layers.map(({ digest }) => digest));
    expect(read[2]?.metadata).toMatchObject({
      created: '2024-05-02T10:11:12Z',
      container_config: { Cmd: ['sh', '-c', 'ls'] },
    });
    const history = [step('one'), step('two')];
    const short = await push(await planImage(repository, { layers: 3, history }));
    expect(await refusalOf(registry, short)).toBe('ManifestInvalid');
    expect(await schema1Of(registry, short)).toBeNull();
    expect(await convert(registry, short, SCHEMA1)).toBeNull();
  });

  it('stores nothing, and gives a form that no push takes', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const manifest = await push(await planImage(repository, { history: [step('one')] }));
    expect(await convert(registry, manifest, SCHEMA1)).not.toBeNull();
    expectTypeOf<ParsedSchema1>().not.toExtend<ParsedManifest>();
    expect(await select('SELECT media_type FROM manifest')).toEqual([
      { media_type: manifest.mediaType },
    ]);
  });

  it('of another namespace and tag differs by nothing else', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const manifest = await push(await planImage(repository, { history: [step('one')] }));
    const form = await registry.getSchema1ParsedManifest(manifest, '', 'app', 'v2');
    expect(form).toMatchObject({ name: 'app', tagName: 'v2' });
    const other = await schema1Of(registry, manifest);
    expect(other).toMatchObject({ name: 'acme/app', tagName: 'v1' });
    expect(form?.layers).toEqual(other?.layers);
  });
});

describe('converting a list', () => {
  it('gives its first child for amd64 and Linux, byte for byte, or that as schema 1', async ({
    expect,
  }) => {
    const { registry, repository, push } = await openImageStage();
    const plan = { format: 'docker', history: [step('one')] } as const;
    const [bare, arm, windows, first, second] = [
      await planImage(repository, plan),
      await planImage(repository, plan),
      await planImage(repository, plan),
      await planImage(repository, plan),
      await planImage(repository, plan),
    ];
    for (const child of [bare, arm, windows, first, second]) {
      await push(child);
    }
    const index = await push(
      await anIndexOf([
        [bare],
        [arm, ARM64],
        [windows, { architecture: 'amd64', os: 'windows' }],
        [first, AMD64],
        [second, AMD64],
      ]),
    );
    const itself = await convert(registry, index, new Set([TYPES.ociIndex, TYPES.dockerManifest]));
    expect(itself?.bytes).toEqual(index.bytes);
    const child = await convert(registry, index, new Set([TYPES.dockerManifest, ...SCHEMA1]));
    expect(child?.bytes).toEqual(first.bytes);
    expect(child?.digest).toBe(first.digest);
    const form = await convert(registry, index, SCHEMA1);
    expect(readSchema1(form?.bytes).map(({ blobSum }) => blobSum)).toEqual([
      first.layers[0]?.digest,
    ]);
    expect(await schema1Of(registry, index)).toEqual(form);
    expect(await convert(registry, index, new Set([TYPES.ociManifest]))).toBeNull();
    expect(await convert(registry, index, new Set())).toBeNull();
  });

  it('scenario 36 (blobs): without such a child has no schema 1 form', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const image = await planImage(repository, { history: [step('one')] });
    await push(image);
    for (const children of [[[image, ARM64]], [[image]], []] as const) {
      const index = await push(await anIndexOf(children));
      expect(await schema1Of(registry, index)).toBeNull();
      expect(await refusalOf(registry, index)).toBe('ManifestInvalid');
      expect(await convert(registry, index, SCHEMA1)).toBeNull();
      expect(await convert(registry, index, new Set([TYPES.ociManifest]))).toBeNull();
      expect(await convert(registry, index, new Set([TYPES.ociIndex]))).not.toBeNull();
    }
  });

  it('goes down into lists in lists, but not for ever', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const image = await planImage(repository, { history: [step('one')] });
    await push(image);
    let top: ParsedManifest = image;
    for (let depth = 1; depth <= 10; depth += 1) {
      top = await anIndexOf([[top, AMD64]]);
      const index = await push(top);
      const form = await schema1Of(registry, index);
      expect(form === null, `at depth ${depth}`).toBe(depth === 10);
    }
  });

  it('whose child never came, or cannot be read, gives nothing', async ({ expect }) => {
    const stage = await openImageStage({ settings: { sparseIndex: true } });
    const { registry, repository, push } = stage;
    const image = await planImage(repository, { history: [step('one')] });
    const index = await push(await anIndexOf([[image, AMD64]]));
    expect(await convert(registry, index, SCHEMA1)).toBeNull();
    expect(await refusalOf(registry, index)).toBe('ManifestInvalid');
    const { id } = await push(image);
    expect(await convert(registry, index, SCHEMA1)).not.toBeNull();
    await execute(`UPDATE manifest SET bytes = '{}' WHERE id = ?`, id);
    expect(await convert(registry, index, SCHEMA1)).toBeNull();
    expect(await refusalOf(registry, index)).toBe('ManifestInvalid');
  });
});

describe('there is no schema 1 form', () => {
  it.for(['oci', 'docker'] as const)(
    'of an image with a remote layer (%s)',
    async (format, context) => {
      const { expect } = context;
      const { registry, repository, push } = await openImageStage();
      const history = [step('one'), step('two')];
      const image = await planImage(repository, { format, layers: 2, history, remote: [0] });
      const manifest = await push(image);
      expect(await schema1Of(registry, manifest)).toBeNull();
      expect(await refusalOf(registry, manifest)).toBe('ManifestInvalid');
      expect(await convert(registry, manifest, SCHEMA1)).toBeNull();
      expect(await convert(registry, manifest, new Set([image.mediaType]))).not.toBeNull();
    },
  );

  it('of an artifact', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const configMediaType = 'application/vnd.example';
    const manifest = await push(await planImage(repository, { configMediaType }));
    expect(await schema1Of(registry, manifest)).toBeNull();
    expect(await refusalOf(registry, manifest)).toBe('ManifestInvalid');
    expect(await convert(registry, manifest, SCHEMA1)).toBeNull();
    expect(await convert(registry, manifest, new Set([TYPES.ociManifest]))).not.toBeNull();
  });

  it('of a manifest that is gone, which errors tell from one that is broken', async ({
    expect,
  }) => {
    const { registry, repository, push } = await openImageStage();
    const image = await planImage(repository, { history: [step('one')] });
    const manifest = await push(image);
    const gone = { ...manifest, id: 4711 };
    const all = new Set([...SCHEMA1, ...Object.values(TYPES)]);
    expect(await schema1Of(registry, gone)).toBeNull();
    expect(await refusalOf(registry, gone)).toBe('ManifestNotFound');
    expect(await convert(registry, gone, all)).toBeNull();
    const bodiless = await push(await planImage(repository, { history: [step('two')] }));
    await execute(
      `UPDATE manifest SET bytes = NULL, bytes_key = 'manifests/none' WHERE id = ?`,
      bodiless.id,
    );
    expect(await refusalOf(registry, bodiless)).toBe('ManifestNotFound');
    expect(await convert(registry, bodiless, all)).toBeNull();

    await execute('UPDATE blob SET size_bytes = 1 WHERE digest = ?', image.config.digest);
    expect(await schema1Of(registry, manifest)).toBeNull();
    expect(await refusalOf(registry, manifest)).toBe('ManifestInvalid');
    expect(await convert(registry, manifest, SCHEMA1)).toBeNull();
    expect(await convert(registry, manifest, new Set([image.mediaType]))).not.toBeNull();

    await execute(`UPDATE manifest SET bytes = '{}' WHERE id = ?`, manifest.id);
    expect(await convert(registry, manifest, all)).toBeNull();
    expect(await schema1Of(registry, manifest)).toBeNull();
    expect(await refusalOf(registry, manifest)).toBe('ManifestInvalid');
  });
});

describe('a conversion costs', () => {
  it('one round trip for itself, two and an object for schema 1, one more for a list', async ({
    expect,
  }) => {
    const { repository, push } = await openImageStage();
    const image = await planImage(repository, { layers: 5, history: Array(5).fill(step('one')) });
    const manifest = await push(image);
    const index = await push(await anIndexOf([[image, AMD64]]));
    const cost = async (of: Manifest, allowed: ReadonlySet<string>) => {
      const { registry, meter } = openTestRegistry();
      expect(await convert(registry, of, allowed)).not.toBeNull();
      const { d1RoundTrips, r2Reads, d1RowsRead, d1RowsWritten, r2Writes } = meter.usage;
      expect([d1RowsWritten, r2Writes]).toEqual([0, 0]);
      expect(d1RowsRead).toBeLessThanOrEqual(8);
      return [d1RoundTrips, r2Reads];
    };
    expect(await cost(manifest, new Set([image.mediaType]))).toEqual([1, 0]);
    expect(await cost(manifest, SCHEMA1)).toEqual([2, 1]);
    expect(await cost(index, new Set([image.mediaType]))).toEqual([2, 0]);
    expect(await cost(index, SCHEMA1)).toEqual([3, 1]);
  });

  it('no wrong answer where a replica lags', async ({ expect }) => {
    const { repository, push } = await openImageStage();
    const replica = await openLaggingReplica();
    const image = await planImage(repository, { history: [step('one')] });
    await push(image);
    const index = await push(await anIndexOf([[image, AMD64]]));
    const { bindings } = replica;
    const { registry } = openTestRegistry({ bindings, readConsistency: 'replica' });
    expect(await convert(registry, index, SCHEMA1)).not.toBeNull();
    expect(replica.reads()).toBe(3);
  });

  it('nothing to an index that is allowed, whatever is in it', async ({ expect }) => {
    const { registry, repository, push } = await openImageStage();
    const child = await planImage(repository, { history: [step('one')] });
    await push(child);
    const index = await push(await anIndex([child]));
    const itself = await convert(registry, index, new Set([TYPES.ociIndex]));
    expect(itself?.bytes).toEqual(index.bytes);
  });
});
