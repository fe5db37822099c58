import { describe, it } from 'vitest';

import { needsConfig, parseImageConfig } from '../../src/image/config.ts';
import { manifestLabels } from '../../src/image/labels.ts';
import { parseManifest, parseStoredManifest } from '../../src/image/parse.ts';
import { parseDigest } from '../../src/model/digest.ts';
import { CONFIGS, MANIFESTS } from '../fixtures/index.ts';

function parse(name: keyof typeof MANIFESTS) {
  const { bytes, mediaType } = MANIFESTS[name];
  return parseManifest(bytes, { contentType: mediaType });
}

describe('the manifests that clients push', () => {
  it.for(Object.entries(MANIFESTS))(
    '%s parses and has the digest of its bytes',
    async ([, { bytes, mediaType, digest }], { expect }) => {
      const parsed = await parseManifest(bytes, { contentType: mediaType, reference: digest });

      expect(parsed.digest).toBe(digest);
      expect(parsed.mediaType).toBe(mediaType);
      expect(parsed.bytes).toBe(bytes);
    },
  );

  it('read back from storage, they are what they were when they were pushed', async ({
    expect,
  }) => {
    for (const { bytes, mediaType, digest: text } of Object.values(MANIFESTS)) {
      const digest = parseDigest(text);
      expect(digest).not.toBeNull();
      if (digest !== null) {
        const pushed = await parseManifest(bytes, { contentType: mediaType });
        expect(parseStoredManifest(bytes, { mediaType, digest })).toEqual(pushed);
      }
    }
  });

  it('a Docker image has two local layers and its config', async ({ expect }) => {
    const parsed = await parse('dockerImage');

    expect(parsed).toMatchObject({
      kind: 'image',
      format: 'docker',
      layersCompressedSize: 29_150_479 + 41_336_451,
      subject: null,
      artifactType: null,
      annotations: {},
    });
    if (parsed.kind === 'image') {
      expect(parsed.localBlobDigests).toEqual([
        ...parsed.layers.map(({ digest }) => digest),
        parsed.config.digest,
      ]);
      expect(needsConfig(parsed)).toBe(true);
      const config = parseImageConfig(CONFIGS.dockerImage, parsed);
      expect(config.json.docker_version).toBe('20.10.23');
      expect(manifestLabels(parsed, config)).toContainEqual({
        key: 'quay.expires-after',
        value: '2w',
        mediaType: 'text/plain',
      });
    }
  });

  it('an OCI image has the labels of its config, overridden by annotations', async ({ expect }) => {
    const parsed = await parse('ociImage');

    expect(parsed).toMatchObject({ kind: 'image', format: 'oci' });
    if (parsed.kind === 'image') {
      const config = parseImageConfig(CONFIGS.ociImage, parsed);
      const labels = manifestLabels(parsed, config).map(({ key, value }) => [key, value]);
      expect(Object.fromEntries(labels)).toEqual({
        'org.opencontainers.image.title': 'hello, wörld',
        'org.opencontainers.image.vendor': 'Zoë & Söhne',
        'org.opencontainers.image.base.name': 'base.test/library/scratch',
        'quay.immutable': ' TRUE ',
      });
    }
  });

  it('scenario 43: a remote layer needs no blob here, but its size counts', async ({ expect }) => {
    const windows = await parse('dockerWindowsImage');
    const conformance = await parse('nonDistributableLayers');

    expect(windows).toMatchObject({ layersCompressedSize: 1_718_332_879 + 1190 });
    expect(conformance).toMatchObject({ layersCompressedSize: 123_456 + 12_345 + 187 });
    for (const parsed of [windows, conformance]) {
      if (parsed.kind === 'image') {
        const local = parsed.layers.filter(({ isRemote }) => !isRemote);
        expect(local).toHaveLength(1);
        expect(parsed.localBlobDigests).toEqual([local[0]?.digest, parsed.config.digest]);
      }
    }
  });

  it('scenario 48: an index lists OCI and Docker images, and a Docker list parses', async ({
    expect,
  }) => {
    const index = await parse('ociIndex');
    const list = await parse('dockerList');

    expect(index).toMatchObject({
      kind: 'index',
      format: 'oci',
      artifactType: null,
      manifests: [
        { digest: MANIFESTS.ociImage.digest, platform: { architecture: 'arm64', os: 'linux' } },
        { digest: MANIFESTS.dockerImage.digest, size: MANIFESTS.dockerImage.bytes.byteLength },
      ],
      annotations: { 'org.opencontainers.image.ref.name': '1.2.0' },
    });
    expect(list).toMatchObject({ kind: 'index', format: 'docker', annotations: {} });
    expect(list.kind === 'index' && list.manifests).toHaveLength(3);
    expect(manifestLabels(index, null)).toEqual([]);
  });

  it('an index may list indexes and attestations of no platform', async ({ expect }) => {
    expect(await parse('nestedIndex')).toMatchObject({
      manifests: [
        { digest: MANIFESTS.ociIndex.digest },
        { digest: MANIFESTS.dockerList.digest },
        { digest: MANIFESTS.ociImage.digest },
      ],
    });
    expect(await parse('buildkitIndex')).toMatchObject({
      manifests: [
        { digest: MANIFESTS.ociImage.digest },
        {
          platform: { architecture: 'unknown', os: 'unknown' },
          annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
        },
      ],
    });
  });

  it('an artifact has its subject, its type and its annotations as labels', async ({ expect }) => {
    const parsed = await parse('artifactWithSubject');

    expect(parsed).toMatchObject({
      subject: { digest: MANIFESTS.ociImage.digest },
      artifactType: 'application/spdx+json',
    });
    expect(parsed.kind === 'image' && needsConfig(parsed)).toBe(false);
    expect(manifestLabels(parsed, null)).toEqual([
      {
        key: 'org.opencontainers.image.created',
        value: '2024-05-02T10:13:00Z',
        mediaType: 'text/plain',
      },
    ]);
  });

  it('an artifact without a type has that of its config', async ({ expect }) => {
    const helm = await parse('helmChart');
    const cosign = await parse('cosignSignature');

    expect(helm.artifactType).toBe('application/vnd.cncf.helm.config.v1+json');
    expect(cosign.artifactType).toBe('application/vnd.oci.image.config.v1+json');
    expect(cosign.kind === 'image' && needsConfig(cosign)).toBe(true);
  });
});
