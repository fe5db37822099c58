import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { parseImageConfig } from '../../src/image/config.ts';
import { imageSteps } from '../../src/image/layers.ts';
import { buildSchema1, parseSchema1, schema1Layers } from '../../src/image/schema1.ts';
import type { JsonObject } from '../../src/model/datatypes.ts';
import { computeDigest } from '../../src/model/digest.ts';
import { EMPTY_BLOB_DIGEST } from '../../src/model/empty-blob.ts';
import { bodies, bytesOf, descriptor, dockerLayer, parseImage, reasonOf, sha256 } from './build.ts';

type Format = 'dockerManifest' | 'ociManifest';

const NAMES = { namespaceName: 'acme', repositoryName: 'app', tagName: 'v1' };

/** The steps of an image with so many layers and this config, and its schema 1 form. */
async function formOf(type: Format, layers: number, fields: object, names = NAMES) {
  const bytes = bytesOf({
    ...fields,
    architecture: 'arm64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [] },
  });
  const body = bodies[type]();
  const make = type === 'ociManifest' ? descriptor : dockerLayer;
  const parsed = await parseImage(type, {
    ...body,
    config: { ...(body['config'] as object), size: bytes.byteLength },
    layers: Array.from({ length: layers }, (_, index) => make(10 + index, { size: 100 + index })),
  });
  const config = parseImageConfig(bytes, parsed);
  const steps = imageSteps(parsed, config);
  return { steps, form: await buildSchema1(names, steps, config) };
}

async function metadataOf(type: Format, layers: number, fields: object) {
  const { form } = await formOf(type, layers, fields);
  return form.layers.map(({ metadata }) => metadata);
}

/** The metadata as a JSON string, with those letters escaped that the tests use. */
const escaped = (metadata: object): string =>
  JSON.stringify(JSON.stringify(metadata))
    .replaceAll('ë', '\\u00eb')
    .replaceAll('ü', '\\u00fc')
    .replaceAll('🚀', '\\ud83d\\ude80');

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe('the schema 1 form of an image', () => {
  it('has exactly these bytes', async ({ expect }) => {
    const { steps, form } = await formOf('ociManifest', 1, {
      author: 'Zoë 🚀',
      config: { Cmd: ['a"b'] },
      history: [
        { created: '2024-01-01T00:00:00Z', created_by: 'ADD ü\u007f' },
        { created_by: 'ENV', empty_layer: true },
      ],
    });
    const [base, leaf] = steps.map(({ id }) => id);
    const leafMetadata = {
      author: 'Zoë 🚀',
      config: { Cmd: ['a"b'] },
      architecture: 'arm64',
      os: 'linux',
      id: leaf,
      parent: base,
      throwaway: true,
      container_config: { Cmd: ['ENV'] },
      Size: 32,
    };
    const baseMetadata = {
      id: base,
      created: '2024-01-01T00:00:00Z',
      container_config: { Cmd: ['ADD ü\u007f'] },
      Size: 100,
    };
    expect(textOf(form.bytes)).toBe(`{
   "tag": "v1",
   "name": "acme/app",
   "architecture": "amd64",
   "schemaVersion": 1,
   "history": [
      {
         "v1Compatibility": ${escaped(leafMetadata)}
      },
      {
         "v1Compatibility": ${escaped(baseMetadata)}
      }
   ],
   "fsLayers": [
      {
         "blobSum": "${EMPTY_BLOB_DIGEST}"
      },
      {
         "blobSum": "${sha256(10)}"
      }
   ]
}`);
    expect(form.digest).toBe(await computeDigest('sha256', form.bytes));
    expect(form).toMatchObject({ name: 'acme/app', tagName: 'v1', kind: 'schema1' });
  });

  it('is named by the repository alone where there is no namespace', async ({ expect }) => {
    const names = { namespaceName: '', repositoryName: 'app', tagName: 'v1' };
    const { form } = await formOf('ociManifest', 1, { history: [{}] }, names);
    expect(form.name).toBe('app');
  });

  it('says of the leaf what the config says, and of a step what is missing there', async ({
    expect,
  }) => {
    const history = [
      { created: 'then', author: 'A', comment: 'C', created_by: 'base' },
      { created: 'later', author: 'B', comment: 'D', created_by: 'leaf' },
    ];
    const [base, leaf] = await metadataOf('dockerManifest', 2, {
      id: 'another',
      created: 'at last',
      comment: null,
      container_config: { Cmd: ['/bin/sh', '-c', 'all'] },
      throwaway: false,
      history,
    });
    const id = expect.stringMatching(/^[0-9a-f]{64}$/) as string;
    expect(base).toEqual({
      id,
      created: 'then',
      author: 'A',
      comment: 'C',
      container_config: { Cmd: ['base'] },
      Size: 100,
    });
    expect(leaf).toEqual({
      id,
      parent: base?.['id'],
      architecture: 'arm64',
      os: 'linux',
      created: 'at last',
      author: 'B',
      comment: null,
      container_config: { Cmd: ['/bin/sh', '-c', 'all'] },
      throwaway: false,
      Size: 101,
    });
  });

  it('gives the base no parent, and no command to a step that tells none', async ({ expect }) => {
    const [only] = await metadataOf('dockerManifest', 1, { parent: 'some other', history: [{}] });
    expect(Object.keys(only ?? {}).toSorted()).toEqual(['Size', 'architecture', 'id', 'os']);
  });

  it('scenario 35 (blobs): has the command of an image without history at its leaf', async ({
    expect,
  }) => {
    const { form } = await formOf('ociManifest', 3, { config: { Cmd: ['sh', '-x'] } });
    expect(schema1Layers(form).map(({ command }) => command)).toEqual([null, null, '["sh","-x"]']);
    expect(form.layers.map(({ size }) => size)).toEqual([100, 101, 102]);
    const [base] = form.layers;
    expect(base?.metadata).toEqual({ id: base?.id, Size: 100 });
  });

  it('is empty of an image without layers', async ({ expect }) => {
    const { form } = await formOf('ociManifest', 0, {});
    expect(form.layers).toEqual([]);
    expect(textOf(form.bytes)).toContain('"history": [],\n   "fsLayers": []\n}');
  });
});

describe('the schema 1 form, for whatever history and config', () => {
  const entry = fc.record(
    {
      created_by: fc.string({ unit: 'binary' }),
      created: fc.oneof(fc.string(), fc.integer()),
      author: fc.string({ unit: 'binary' }),
      empty_layer: fc.boolean(),
      other: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const config = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('id', 'parent', 'created', '__proto__', 'Size')),
    fc.jsonValue(),
  );
  const format = fc.constantFrom('dockerManifest' as const, 'ociManifest' as const);
  const whole = fc.tuple(format, fc.array(entry, { minLength: 1, maxLength: 8 }), config);

  it('scenario 34 (blobs): has a layer for each step, linked as the steps are', async ({
    expect,
  }) => {
    await fc.assert(
      fc.asyncProperty(whole, async ([type, history, fields]) => {
        const layers = history.filter((item) => item.empty_layer !== true).length;
        const { config: _, ...rest } = fields;
        const { steps, form } = await formOf(type, layers, { ...rest, history });
        expect(form.layers).toHaveLength(history.length);
        expect(form.layers.map(({ id, parentId }) => [id, parentId])).toEqual(
          steps.map(({ id, parentId }) => [id, parentId]),
        );
        expect(form.layers.map(({ blobDigest }) => blobDigest)).toEqual(
          steps.map(({ layer }) => layer?.digest ?? EMPTY_BLOB_DIGEST),
        );
        // The leaf says what the config says, if that has a word on it.
        expect(form.layers.slice(0, -1).map(({ metadata }) => metadata['throwaway'])).toEqual(
          steps.slice(0, -1).map(({ layer }) => (layer === null ? true : undefined)),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('is the same every time, in ASCII, and reads back as it was built', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(whole, async ([type, history, fields]) => {
        const layers = history.filter((item) => item.empty_layer !== true).length;
        const { config: _, ...rest } = fields;
        const { form } = await formOf(type, layers, { ...rest, history });
        const again = await formOf(type, layers, { ...rest, history });
        expect(again.form).toEqual(form);
        expect(form.bytes.every((byte) => byte < 128)).toBe(true);
        expect(parseSchema1(form.bytes, form.digest)).toEqual(form);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a schema 1 manifest', () => {
  const digest = sha256(1) as Awaited<ReturnType<typeof computeDigest>>;
  const valid = {
    schemaVersion: 1,
    name: 'app',
    tag: 'v1',
    history: [{ v1Compatibility: '{"id":"b","parent":"a","Size":"large"}' }],
    fsLayers: [{ blobSum: sha256(2) }],
  };
  const read = (fields: object) => parseSchema1(bytesOf({ ...valid, ...fields }), digest);

  it('is read with whatever it does not tell', ({ expect }) => {
    expect(schema1Layers(read({ architecture: 'mips', signatures: [] }))).toEqual([
      {
        layerId: 'b',
        compressedSize: null,
        isRemote: false,
        urls: null,
        command: null,
        blobDigest: sha256(2),
        created: null,
        author: null,
        comment: null,
      },
    ]);
  });

  it.for<readonly [string, JsonObject]>([
    ['schemaVersion', { schemaVersion: 2 }],
    ['name', { name: 1 }],
    ['tag', { tag: null }],
    ['history', { history: [] }],
    ['history', { history: {} }],
    ['history.0.v1Compatibility', { history: [{}] }],
    ['history.0.v1Compatibility', { history: [{ v1Compatibility: '{' }] }],
    ['history.0.v1Compatibility', { history: [{ v1Compatibility: '[]' }] }],
    ['history.0.v1Compatibility.id', { history: [{ v1Compatibility: '{"id":1}' }] }],
    ['fsLayers.0.blobSum', { fsLayers: [{ blobSum: 'sha256:1' }] }],
  ])('is refused for its %s: %j', async ([path, fields], { expect }) => {
    expect(await reasonOf(() => read(fields))).toMatch(new RegExp(`^${path}: `));
  });
});
