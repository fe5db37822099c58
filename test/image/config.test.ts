import { describe, it } from 'vitest';

import { needsConfig, parseImageConfig } from '../../src/image/config.ts';
import { bodies, bytesOf, descriptor, parseImage, reasonOf } from './build.ts';

const OCI_EMPTY_CONFIG_TYPE = 'application/vnd.oci.empty.v1+json';

const dockerConfig = { history: [{ created_by: 'x' }], rootfs: { type: 'layers' } };
const ociConfig = {
  architecture: 'amd64',
  os: 'linux',
  rootfs: { type: 'layers', diff_ids: ['sha256:abc'] },
};

/** Reads a config blob through a manifest that states its true size, or the given one. */
async function read(type: 'dockerManifest' | 'ociManifest', config: unknown, size?: number) {
  const bytes = bytesOf(config);
  const body = bodies[type]();
  const parsed = await parseImage(type, {
    ...body,
    config: { ...(body.config as object), size: size ?? bytes.byteLength },
  });
  return parseImageConfig(bytes, parsed);
}

describe('needsConfig', () => {
  it('is true for images, not for artifacts', async ({ expect }) => {
    const artifact = bodies.ociManifest({
      config: descriptor(1, { mediaType: OCI_EMPTY_CONFIG_TYPE, size: 2 }),
    });

    expect(needsConfig(await parseImage('dockerManifest', bodies.dockerManifest()))).toBe(true);
    expect(needsConfig(await parseImage('ociManifest', bodies.ociManifest()))).toBe(true);
    expect(needsConfig(await parseImage('ociManifest', artifact))).toBe(false);
  });
});

describe('parseImageConfig', () => {
  it('gives the labels and the whole config', async ({ expect }) => {
    const config = { ...dockerConfig, config: { Labels: { a: 'b', n: 1, l: null, '': 'x' } } };

    expect(await read('dockerManifest', config)).toEqual({
      labels: { a: 'b', '': 'x' },
      history: dockerConfig.history,
      json: config,
    });
  });

  it.for([{ config: null }, {}, { config: {} }, { config: { Labels: null } }])(
    'gives no labels for %j',
    async (fields, { expect }) => {
      const docker = await read('dockerManifest', { ...dockerConfig, ...fields });
      const oci = await read('ociManifest', { ...ociConfig, ...fields });

      expect(docker.labels).toEqual({});
      expect(oci.labels).toEqual({});
    },
  );

  it('takes an empty object for OCI only', async ({ expect }) => {
    expect(await read('ociManifest', '{}')).toEqual({ labels: {}, history: [], json: {} });
    expect(await reasonOf(() => read('dockerManifest', '{}'))).toMatch(/^config\.history: /);
  });

  it('takes what cosign writes', async ({ expect }) => {
    const cosign =
      '{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":' +
      '"0001-01-01T00:00:00Z"}],"os":"","rootfs":{"type":"layers","diff_ids":["sha256:a"]},' +
      '"config":{}}';

    expect((await read('ociManifest', cosign)).labels).toEqual({});
  });

  it('takes an image without layers', async ({ expect }) => {
    const rootfs = { type: 'layers', diff_ids: [] };

    expect((await read('ociManifest', { ...ociConfig, rootfs })).labels).toEqual({});
  });

  it.for([1, 1000])(
    'scenario 47: refuses a config of %d stated bytes',
    async (size, { expect }) => {
      expect(await reasonOf(() => read('dockerManifest', dockerConfig, size))).toMatch(
        /^config\.size: /,
      );
    },
  );

  it.for([
    ['that is empty', ''],
    ['that is null', 'null'],
    ['that is a list', '[]'],
    ['that is cut off', '{'],
    ['with a byte order mark', '\uFEFF{}'],
    ['nested too deep', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
  ])('scenario 47: refuses a config %s', async ([, text], { expect }) => {
    expect(await reasonOf(() => read('dockerManifest', text))).toMatch(/^config: /);
    expect(await reasonOf(() => read('ociManifest', text))).toMatch(/^config: /);
  });

  it.for([
    ['config.history', { history: undefined }],
    ['config.history', { history: null }],
    ['config.history', { history: {} }],
    ['config.history.1', { history: [{}, 'x'] }],
    ['config.history.0', { history: [[]] }],
    ['config.rootfs', { rootfs: undefined }],
    ['config.rootfs.type', { rootfs: {} }],
    ['config.rootfs.type', { rootfs: { type: 1 } }],
    ['config.config', { config: [] }],
    ['config.config', { config: 'x' }],
    ['config.config.Labels', { config: { Labels: ['a=b'] } }],
  ] as const)('scenario 47: a Docker config is invalid at %s with %j', async (row, { expect }) => {
    const [path, fields] = row;
    const reason = await reasonOf(() => read('dockerManifest', { ...dockerConfig, ...fields }));

    expect(reason?.slice(0, reason.indexOf(': '))).toBe(path);
  });

  it.for([
    ['config.architecture', { architecture: undefined }],
    ['config.os', { os: 1 }],
    ['config.rootfs', { rootfs: undefined }],
    ['config.rootfs.type', { rootfs: { type: 'other', diff_ids: [] } }],
    ['config.rootfs.diff_ids', { rootfs: { type: 'layers' } }],
    ['config.rootfs.diff_ids', { rootfs: { type: 'layers', diff_ids: null } }],
    ['config.rootfs.diff_ids.1', { rootfs: { type: 'layers', diff_ids: ['a', 1] } }],
    ['config.history', { history: 'x' }],
    ['config.history.0', { history: [null] }],
  ] as const)('an OCI config is invalid at %s with %j', async ([path, fields], { expect }) => {
    const reason = await reasonOf(() => read('ociManifest', { ...ociConfig, ...fields }));

    expect(reason?.slice(0, reason.indexOf(': '))).toBe(path);
  });
});
