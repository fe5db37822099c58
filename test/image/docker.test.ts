import { describe, it } from 'vitest';

import { DOCKER_LAYER_MEDIA_TYPES, MANIFEST_MEDIA_TYPES } from '../../src/image/media-types.ts';
import { MANIFEST_DESCRIPTORS_MAX } from '../../src/model/limits.ts';
import {
  bodies,
  descriptor,
  dockerChild,
  dockerLayer,
  invalidReason,
  parseImage,
  parseIndex,
  sha256,
} from './build.ts';

const { local, foreign } = DOCKER_LAYER_MEDIA_TYPES;
const urls = ['https://example.com/layer'];

describe('a Docker manifest', () => {
  it('has remote layers: foreign ones, and those with a URL', async ({ expect }) => {
    const { layers, localBlobDigests } = await parseImage(
      'dockerManifest',
      bodies.dockerManifest({
        layers: [
          dockerLayer(10),
          dockerLayer(11, { mediaType: foreign, urls }),
          dockerLayer(12, { urls }),
          dockerLayer(13, { urls: [] }),
        ],
      }),
    );

    expect(layers.map(({ isRemote }) => isRemote)).toEqual([false, true, true, false]);
    expect(localBlobDigests).toEqual([sha256(10), sha256(13), sha256(1)]);
  });

  it('has no subject, artifact type or annotations, whatever its bytes say', async ({ expect }) => {
    const parsed = await parseImage(
      'dockerManifest',
      bodies.dockerManifest({ subject: 1, artifactType: 'a/b', annotations: { a: 'b' } }),
    );

    expect(parsed).toMatchObject({ subject: null, artifactType: null, annotations: {} });
  });

  it.for([
    ['config', { config: undefined }],
    ['config', { config: null }],
    ['config', { config: [] }],
    ['layers', { layers: undefined }],
    ['layers', { layers: null }],
    ['layers', { layers: {} }],
    ['mediaType', { mediaType: undefined }],
    ['config.mediaType', { config: descriptor(1) }],
    ['layers.0', { layers: ['x'] }],
    ['layers.1.mediaType', { layers: [dockerLayer(1), descriptor(2)] }],
    ['layers.0.mediaType', { layers: [dockerLayer(1, { mediaType: undefined })] }],
    ['layers.0.digest', { layers: [dockerLayer(1, { digest: undefined })] }],
    ['layers.0.size', { layers: [dockerLayer(1, { size: undefined })] }],
    ['layers.0.urls', { layers: [dockerLayer(1, { mediaType: foreign })] }],
    ['layers.0.urls', { layers: [dockerLayer(1, { mediaType: foreign, urls: [] })] }],
    ['layers.0.urls.1', { layers: [dockerLayer(1, { mediaType: local, urls: ['a', 1] })] }],
  ] as const)('is invalid at %s with %j', async ([path, fields], { expect }) => {
    const reason = await invalidReason('dockerManifest', bodies.dockerManifest(fields));

    expect(reason?.slice(0, reason.indexOf(': '))).toBe(path);
  });

  it('may have no layers', async ({ expect }) => {
    const parsed = await parseImage('dockerManifest', bodies.dockerManifest({ layers: [] }));

    expect(parsed).toMatchObject({ layersCompressedSize: 0, localBlobDigests: [sha256(1)] });
  });
});

describe('a Docker list', () => {
  it('has children with platforms, each as often as it is listed', async ({ expect }) => {
    const parsed = await parseIndex(
      'dockerList',
      bodies.dockerList({ manifests: [dockerChild(3), dockerChild(4), dockerChild(3)] }),
    );

    expect(parsed.manifests.map(({ digest }) => digest)).toEqual([sha256(3), sha256(4), sha256(3)]);
    expect(parsed.manifests[0]?.platform).toEqual({ architecture: 'amd64', os: 'linux' });
  });

  it.for([
    ['mediaType', { mediaType: undefined }],
    ['manifests', { manifests: undefined }],
    ['manifests.0.platform', { manifests: [dockerChild(1, { platform: undefined })] }],
    ['manifests.0.platform', { manifests: [dockerChild(1, { platform: null })] }],
    [
      'manifests.0.platform.os',
      { manifests: [dockerChild(1, { platform: { architecture: '' } })] },
    ],
    [
      'manifests.0.platform.architecture',
      { manifests: [dockerChild(1, { platform: { os: '' } })] },
    ],
    [
      'manifests.1.mediaType',
      {
        manifests: [
          dockerChild(1),
          dockerChild(2, { mediaType: MANIFEST_MEDIA_TYPES.ociManifest }),
        ],
      },
    ],
    [
      'manifests.0.mediaType',
      { manifests: [dockerChild(1, { mediaType: MANIFEST_MEDIA_TYPES.dockerList })] },
    ],
  ] as const)('is invalid at %s with %j', async ([path, fields], { expect }) => {
    const reason = await invalidReason('dockerList', bodies.dockerList(fields));

    expect(reason?.slice(0, reason.indexOf(': '))).toBe(path);
  });

  it('may list as many children as the limit, and not one more', async ({ expect }) => {
    const children = Array.from({ length: MANIFEST_DESCRIPTORS_MAX + 1 }, (_, index) =>
      dockerChild(index),
    );
    const listOf = (count: number) => bodies.dockerList({ manifests: children.slice(0, count) });

    expect(await invalidReason('dockerList', listOf(MANIFEST_DESCRIPTORS_MAX))).toBeNull();
    expect(await invalidReason('dockerList', listOf(MANIFEST_DESCRIPTORS_MAX + 1))).toMatch(
      /^manifests: /,
    );
  });
});
