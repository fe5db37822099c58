import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { parseImageConfig } from '../../src/image/config.ts';
import { estimatedSize, imageLayers, imageSteps } from '../../src/image/layers.ts';
import type { Blob } from '../../src/model/datatypes.ts';
import { EMPTY_BLOB_DIGEST } from '../../src/model/empty-blob.ts';
import { HISTORY_STEPS_MAX } from '../../src/model/limits.ts';
import { bodies, bytesOf, descriptor, dockerLayer, parseImage, reasonOf, sha256 } from './build.ts';

type Format = 'dockerManifest' | 'ociManifest';

/** An image with so many layers, of 100 bytes each, and its config as the blob has it. */
async function imageWith(type: Format, layers: number, config: object) {
  const bytes = bytesOf({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [] },
    ...config,
  });
  const body = bodies[type]();
  const make = type === 'ociManifest' ? descriptor : dockerLayer;
  const parsed = await parseImage(type, {
    ...body,
    config: { ...(body['config'] as object), size: bytes.byteLength },
    layers: Array.from({ length: layers }, (_, index) => make(10 + index)),
  });
  return { parsed, config: parseImageConfig(bytes, parsed) };
}

async function layersOf(type: Format, layers: number, config: object) {
  const image = await imageWith(type, layers, config);
  return imageLayers(image.parsed, image.config);
}

async function idsOf(layers: number, history: readonly object[]): Promise<readonly string[]> {
  return (await layersOf('ociManifest', layers, { history })).map(({ layerId }) => layerId);
}

/** Why the history and so many layers do not fit; null if they do. */
function reasonFor(type: Format, layers: number, history: readonly object[]) {
  return reasonOf(() => layersOf(type, layers, { history }));
}

const emptyStep = { created_by: 'ENV a=b', empty_layer: true };
const step = (text: string) => ({ created_by: text });

describe('the layers of an image', () => {
  it.for(['dockerManifest', 'ociManifest'] as const)(
    'are the steps of its history with the layers that they made (%s)',
    async (type, { expect }) => {
      const history = [
        { created: '2024-05-02T10:11:11Z', created_by: 'ADD a /', author: 'A', comment: 'C' },
        emptyStep,
        { created: 4711, created_by: null, empty_layer: false },
      ];
      const layers = await layersOf(type, 2, { history });
      const common = { isRemote: false, urls: null, layerId: expect.any(String) as string };
      expect(layers).toEqual([
        {
          ...common,
          compressedSize: 100,
          blobDigest: sha256(10),
          command: 'ADD a /',
          created: '2024-05-02T10:11:11Z',
          author: 'A',
          comment: 'C',
        },
        {
          ...common,
          compressedSize: 32,
          blobDigest: EMPTY_BLOB_DIGEST,
          command: 'ENV a=b',
          created: null,
          author: null,
          comment: null,
        },
        {
          ...common,
          compressedSize: 100,
          blobDigest: sha256(11),
          command: null,
          created: null,
          author: null,
          comment: null,
        },
      ]);
    },
  );

  it.for([{}, { history: [] }])(
    'scenario 35 (blobs): without history, %j, are told of only at the leaf',
    async (fields, { expect }) => {
      const layers = await layersOf('ociManifest', 3, {
        ...fields,
        created: '2024-05-02T10:11:12Z',
        author: 'A',
        config: { Cmd: ['sh', '-c', 'ls'] },
      });
      const untold = { command: null, created: null, author: null, comment: null };
      expect(layers).toMatchObject([
        { blobDigest: sha256(10), ...untold },
        { blobDigest: sha256(11), ...untold },
        {
          blobDigest: sha256(12),
          command: '["sh","-c","ls"]',
          created: '2024-05-02T10:11:12Z',
          author: 'A',
          comment: null,
        },
      ]);
      expect(new Set(layers.map(({ layerId }) => layerId)).size).toBe(3);
    },
  );

  it('scenario 35 (blobs): are refused where history and layers do not fit', async ({ expect }) => {
    const [one, two] = [step('one'), step('two')];
    expect(await reasonFor('ociManifest', 3, [one, two])).toMatch(/^config\.history: tells of 2/);
    expect(await reasonFor('dockerManifest', 1, [one, two])).toMatch(
      /^config\.history: tells of 2/,
    );
    expect(await reasonFor('dockerManifest', 2, [one, emptyStep])).toMatch(/: tells of 1/);
    expect(await reasonFor('dockerManifest', 1, [])).toMatch(/: tells of 0/);
    expect(await reasonFor('ociManifest', 0, [one])).toMatch(/: tells of 1/);
    expect(await reasonFor('dockerManifest', 0, [])).toBeNull();
    const many = Array.from({ length: HISTORY_STEPS_MAX }, () => emptyStep);
    expect(await reasonFor('ociManifest', 0, many)).toBeNull();
    expect(await reasonFor('ociManifest', 0, [...many, emptyStep])).toMatch(/more than/);
  });

  it('of an artifact are its layers, by their digests', async ({ expect }) => {
    const parsed = await parseImage(
      'ociManifest',
      bodies.ociManifest({
        config: descriptor(1, { mediaType: 'application/vnd.example' }),
        layers: [descriptor(2), descriptor(2), descriptor(3, { urls: ['https://a.test/b'] })],
      }),
    );
    expect(imageLayers(parsed, null)).toMatchObject([
      { layerId: sha256(2), blobDigest: sha256(2), urls: null },
      { layerId: sha256(2), blobDigest: sha256(2), urls: null },
      { layerId: sha256(3), blobDigest: sha256(3), urls: ['https://a.test/b'], isRemote: false },
    ]);
  });

  it('have ids that follow from all that is below them', async ({ expect }) => {
    const [one, two] = [step('one'), step('two')];
    const first = await idsOf(2, [one, emptyStep, two]);
    expect(await idsOf(2, [one, emptyStep, two])).toEqual(first);
    const other = await idsOf(2, [one, two, emptyStep]);
    expect(other[0]).toBe(first[0]);
    expect(other[1]).not.toBe(first[1]);
    expect(other[2]).not.toBe(first[2]);
    expect(await idsOf(2, [two, emptyStep, two])).not.toContain(first[2]);
    expect(first.every((id) => /^[0-9a-f]{64}$/.test(id))).toBe(true);
  });
});

describe('steps, for whatever history', () => {
  const entry = fc.record(
    {
      created_by: fc.oneof(fc.string({ unit: 'binary' }), fc.constant(null)),
      created: fc.string(),
      comment: fc.string(),
      empty_layer: fc.boolean(),
      other: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const type = fc.constantFrom('dockerManifest' as const, 'ociManifest' as const);

  it('are as many as its entries, each on top of the one before', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(type, fc.array(entry, { minLength: 1 }), async (format, history) => {
        const layers = history.filter((item) => item.empty_layer !== true).length;
        const { parsed, config } = await imageWith(format, layers, { history });
        const steps = imageSteps(parsed, config);
        expect(steps).toHaveLength(history.length);
        expect(steps.map(({ parentId }) => parentId)).toEqual([
          null,
          ...steps.slice(0, -1).map(({ id }) => id),
        ]);
        expect(new Set(steps.map(({ id }) => id)).size).toBe(history.length);
        expect(steps.flatMap(({ layer }) => layer ?? [])).toEqual(parsed.layers);
      }),
      { numRuns: 50 },
    );
  });
});

describe('the estimated size of a layer', () => {
  it('is exact where that is known', ({ expect }) => {
    const layerInfo = { compressedSize: 10 } as Parameters<typeof estimatedSize>[0]['layerInfo'];
    const blob = { uncompressedSize: 35 } as Blob;
    expect(estimatedSize({ layerInfo, blob }, 5)).toBe(35);
    expect(estimatedSize({ layerInfo, blob: { ...blob, uncompressedSize: 0 } }, 5)).toBe(0);
    expect(estimatedSize({ layerInfo, blob: { ...blob, uncompressedSize: null } }, 5)).toBe(50);
    expect(estimatedSize({ layerInfo, blob: null }, 5)).toBe(50);
    const unknown = { ...layerInfo, compressedSize: null };
    expect(estimatedSize({ layerInfo: unknown, blob: null }, 5)).toBeNull();
  });
});
