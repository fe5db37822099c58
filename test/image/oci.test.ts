import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES, OCI_REMOTE_LAYER_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { MANIFEST_DESCRIPTORS_MAX } from '../../src/model/limits.ts';
import { bodies, descriptor, invalidReason, parseImage, parseIndex, sha256 } from './build.ts';

const urls = ['https://example.com/layer'];
const [remoteTar = '', remoteTarGzip = ''] = OCI_REMOTE_LAYER_MEDIA_TYPES;
const sha512 = `sha512:${'a'.repeat(128)}`;

function child(number: number, fields: object = {}) {
  return descriptor(number, { mediaType: MANIFEST_MEDIA_TYPES.ociManifest, ...fields });
}

describe('an OCI manifest', () => {
  it('scenario 43: has remote layers by type alone', async ({ expect }) => {
    const { layers, localBlobDigests, layersCompressedSize } = await parseImage(
      'ociManifest',
      bodies.ociManifest({
        layers: [
          descriptor(10, { urls }),
          descriptor(11, { mediaType: remoteTar, urls, size: 7 }),
          descriptor(12, { mediaType: remoteTarGzip, urls, digest: 'multihash+base58:QmRZx' }),
          descriptor(10),
          descriptor(1),
          descriptor(13, { digest: sha512 }),
        ],
      }),
    );

    expect(layers.map(({ isRemote }) => isRemote)).toEqual([
      false,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(localBlobDigests).toEqual([sha256(10), sha256(1), sha512]);
    expect(layersCompressedSize).toBe(507);
  });

  it.for(['text/plain', 'application/vnd.wasm.content.layer.v1+wasm', 'a/b', 'X-y/z!#$&^_.+-1'])(
    'may have a config and layers of type %s',
    async (mediaType, { expect }) => {
      const content = descriptor(1, { mediaType });

      expect(
        await invalidReason(
          'ociManifest',
          bodies.ociManifest({ config: content, layers: [content] }),
        ),
      ).toBeNull();
    },
  );

  it.for([
    '',
    'text',
    'text/',
    '/plain',
    'a/b/c',
    'a b/c',
    'a/b;c',
    'é/b',
    ' a/b',
    'a/b\n',
    1,
    null,
  ])('may have neither config nor layers nor subject of type %j', async (mediaType, { expect }) => {
    const content = descriptor(1, { mediaType });

    expect(await invalidReason('ociManifest', bodies.ociManifest({ config: content }))).toMatch(
      /^config\.mediaType: /,
    );
    expect(await invalidReason('ociManifest', bodies.ociManifest({ layers: [content] }))).toMatch(
      /^layers\.0\.mediaType: /,
    );
    expect(await invalidReason('ociManifest', bodies.ociManifest({ subject: content }))).toMatch(
      /^subject\.mediaType: /,
    );
  });

  it.for([
    ['sha256:abc', /^layers\.0\.digest: is not a digest/],
    [sha256(10).toUpperCase(), /^layers\.0\.digest: is not a digest/],
    [`sha256:${'A'.repeat(64)}`, /^layers\.0\.digest: is not a digest/],
    [`${sha256(10)}\n`, /^layers\.0\.digest: is not a digest/],
    [`sha512:${'a'.repeat(64)}`, /^layers\.0\.digest: is not a digest/],
    ['abc', /^layers\.0\.digest: is not a digest/],
    ['', /^layers\.0\.digest: is not a digest/],
    [7, /^layers\.0\.digest: /],
    ['md5:abc', /^layers\.0\.digest: is neither a sha256 nor a sha512 digest/],
  ] as const)('may not name a local blob %j', async ([digest, reason], { expect }) => {
    expect(
      await invalidReason(
        'ociManifest',
        bodies.ociManifest({ layers: [descriptor(1, { digest })] }),
      ),
    ).toMatch(reason);
  });

  it('may not name its config by a digest it cannot compute', async ({ expect }) => {
    const config = descriptor(1, { digest: 'blake3:abc' });

    expect(await invalidReason('ociManifest', bodies.ociManifest({ config }))).toMatch(
      /^config\.digest: is neither/,
    );
  });

  it.for([0, 1, 1e3, Number.MAX_SAFE_INTEGER])(
    'scenario 46: may have a layer of %d bytes',
    async (size, { expect }) => {
      const parsed = await parseImage(
        'ociManifest',
        bodies.ociManifest({ layers: [descriptor(1, { size })] }),
      );

      expect(parsed.layersCompressedSize).toBe(size);
    },
  );

  it.for([-1, 0.5, 2 ** 53, 1e300, '1', null, true, undefined])(
    'scenario 46: may not have a layer of %j bytes',
    async (size, { expect }) => {
      for (const type of ['dockerManifest', 'ociManifest'] as const) {
        const [layer] = bodies[type]().layers as object[];
        const layers = [layer, { ...layer, size }];
        expect(await invalidReason(type, bodies[type]({ layers }))).toMatch(/^layers\.1\.size: /);
      }
    },
  );

  it('may not have sizes whose sum is not exact', async ({ expect }) => {
    const layers = [descriptor(1, { size: Number.MAX_SAFE_INTEGER }), descriptor(2, { size: 1 })];

    expect(await invalidReason('ociManifest', bodies.ociManifest({ layers }))).toMatch(/^layers: /);
  });

  it.for([
    ['config', { config: undefined }],
    ['layers', { layers: undefined }],
    ['layers', { layers: null }],
    ['subject', { subject: 'x' }],
    ['subject', { subject: null }],
    ['subject.digest', { subject: child(1, { digest: 'x' }) }],
    ['subject.size', { subject: child(1, { size: undefined }) }],
    ['artifactType', { artifactType: 1 }],
    ['annotations', { annotations: [] }],
    ['annotations', { annotations: 'x' }],
    ['annotations', { annotations: null }],
    ['layers.0.annotations', { layers: [descriptor(1, { annotations: 1 })] }],
    ['layers.0.urls', { layers: [descriptor(1, { mediaType: remoteTar })] }],
    ['layers.0.urls', { layers: [descriptor(1, { mediaType: remoteTarGzip, urls: [] })] }],
  ] as const)('is invalid at %s with %j', async ([path, fields], { expect }) => {
    const reason = await invalidReason('ociManifest', bodies.ociManifest(fields));

    expect(reason?.slice(0, reason.indexOf(': '))).toBe(path);
  });

  it('may have no layers', async ({ expect }) => {
    const parsed = await parseImage('ociManifest', bodies.ociManifest({ layers: [] }));

    expect(parsed).toMatchObject({ layers: [], layersCompressedSize: 0 });
  });

  it('has the annotations that are strings, its own and those of descriptors', async ({
    expect,
  }) => {
    const annotations = { a: 'b', n: 1, o: {}, z: null, '': 'empty' };
    const parsed = await parseImage(
      'ociManifest',
      bodies.ociManifest({ annotations, layers: [descriptor(1, { annotations })] }),
    );

    expect(parsed.annotations).toEqual({ a: 'b', '': 'empty' });
    expect(parsed.layers[0]?.annotations).toEqual({ a: 'b', '': 'empty' });
  });

  it.for([
    ['application/spdx+json', 'application/spdx+json'],
    ['', 'application/vnd.oci.image.config.v1+json'],
    [undefined, 'application/vnd.oci.image.config.v1+json'],
  ])('with the artifact type %j has %s', async ([artifactType, expected], { expect }) => {
    const parsed = await parseImage('ociManifest', bodies.ociManifest({ artifactType }));

    expect(parsed.artifactType).toBe(expected);
  });

  it('may have as many descriptors of all kinds as the limit, and not one more', async ({
    expect,
  }) => {
    const layers = Array.from({ length: MANIFEST_DESCRIPTORS_MAX - 2 }, (_, index) =>
      descriptor(index + 10),
    );
    const full = bodies.ociManifest({ layers, subject: child(2) });
    const over = bodies.ociManifest({ layers: [...layers, descriptor(3)], subject: child(2) });

    expect((await parseImage('ociManifest', full)).localBlobDigests).toHaveLength(
      MANIFEST_DESCRIPTORS_MAX - 1,
    );
    expect(await invalidReason('ociManifest', over)).toMatch(/^manifest: has 10001 descriptors/);
  });
});

describe('an OCI index', () => {
  it('scenario 48: has children of any stored type, with a platform or without', async ({
    expect,
  }) => {
    const types = Object.values(MANIFEST_MEDIA_TYPES);
    const platform = { architecture: 'arm', os: 'linux', variant: 'v7' };
    const parsed = await parseIndex(
      'ociIndex',
      bodies.ociIndex({
        manifests: [
          ...types.map((mediaType, i) => child(i, { mediaType })),
          child(9, { platform }),
        ],
      }),
    );

    expect(parsed.manifests.slice(0, 4).map(({ mediaType }) => mediaType)).toEqual(types);
    expect(parsed.manifests.map((entry) => entry.platform)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      { architecture: 'arm', os: 'linux' },
    ]);
  });

  it('may be empty, and have a subject, a type and annotations', async ({ expect }) => {
    const parsed = await parseIndex(
      'ociIndex',
      bodies.ociIndex({
        manifests: [],
        subject: child(5),
        artifactType: 'application/vnd.example',
        annotations: { a: 'b' },
      }),
    );

    expect(parsed).toMatchObject({
      manifests: [],
      subject: child(5),
      artifactType: 'application/vnd.example',
      annotations: { a: 'b' },
    });
  });

  it('has no artifact type of its own accord', async ({ expect }) => {
    expect((await parseIndex('ociIndex', bodies.ociIndex())).artifactType).toBeNull();
  });

  it.for([
    ['manifests', { manifests: undefined }],
    ['manifests', { manifests: null }],
    ['manifests.0.platform', { manifests: [child(1, { platform: null })] }],
    ['manifests.0.platform.architecture', { manifests: [child(1, { platform: { os: 'linux' } })] }],
    ['manifests.0.platform.os', { manifests: [child(1, { platform: { architecture: 'arm' } })] }],
    ['manifests.0.mediaType', { manifests: [descriptor(1)] }],
    [
      'manifests.0.mediaType',
      {
        manifests: [
          child(1, { mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws' }),
        ],
      },
    ],
    ['subject.mediaType', { subject: descriptor(1, { mediaType: undefined }) }],
  ] as const)('is invalid at %s with %j', async ([path, fields], { expect }) => {
    const reason = await invalidReason('ociIndex', bodies.ociIndex(fields));

    expect(reason?.slice(0, reason.indexOf(': '))).toBe(path);
  });
});
