import { describe, it } from 'vitest';

import {
  DOCKER_CONFIG_MEDIA_TYPE,
  DOCKER_LAYER_MEDIA_TYPES,
  MANIFEST_MEDIA_TYPES,
} from '../../../src/image/media-types.ts';
import type { ParsedManifest } from '../../../src/image/parsed-manifest.ts';
import { encodeUtf8 } from '../../../src/model/bytes.ts';
import { anIndex, parsed, uniqueBytes } from '../../support/content.ts';
import { findViolations } from '../../support/invariants.ts';
import {
  descriptorOf,
  openStage,
  select,
  type Stage,
  type StagedBlob,
  storeBlob,
} from '../../support/stage.ts';

const ABSENT = `sha256:${'0'.repeat(64)}`;

interface DockerImage {
  readonly config?: object;
  /** What the manifest says of the config, where it is not the truth. */
  readonly claimed?: Partial<StagedBlob>;
  readonly layers?: readonly object[];
}

async function aDockerImage(
  { repository, layer }: Pick<Stage, 'repository' | 'layer'>,
  { config = {}, claimed = {}, layers = [] }: DockerImage = {},
): Promise<ParsedManifest> {
  const text = JSON.stringify({
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
    history: [],
    unique: crypto.randomUUID(),
    ...config,
  });
  const blob = await storeBlob(repository, encodeUtf8(text));
  return parsed(MANIFEST_MEDIA_TYPES.dockerManifest, {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPES.dockerManifest,
    config: { mediaType: DOCKER_CONFIG_MEDIA_TYPE, ...blob, ...claimed },
    layers: [{ mediaType: DOCKER_LAYER_MEDIA_TYPES.local, ...layer }, ...layers],
  });
}

const labelsOf = () =>
  select('SELECT key, value, media_type, source_type FROM manifest_label ORDER BY id');

describe('a new image', () => {
  it('scenario 39 (tags): is stored with its links, its labels and what its manifest says', async ({
    expect,
  }) => {
    const stage = await openStage();
    const image = await aDockerImage(stage, {
      config: { config: { Labels: { Foo: '1', Baz: '2' } } },
    });
    const first = await stage.push('latest', image);
    expect(first).toMatchObject({
      created: true,
      manifest: {
        digest: image.digest,
        mediaType: MANIFEST_MEDIA_TYPES.dockerManifest,
        sizeBytes: image.bytes.byteLength,
        configMediaType: DOCKER_CONFIG_MEDIA_TYPE,
        layersCompressedSize: stage.layer.size,
        isManifestList: false,
        bytes: image.bytes,
      },
    });
    const linked = await select('SELECT * FROM manifest_blob');
    expect(linked).toHaveLength(2);
    expect(await labelsOf()).toEqual([
      { key: 'Foo', value: '1', media_type: 'text/plain', source_type: 'manifest' },
      { key: 'Baz', value: '2', media_type: 'text/plain', source_type: 'manifest' },
    ]);
    const again = await stage.push('other', image);
    expect(again).toMatchObject({ created: false, manifest: { id: first.manifest.id } });
    expect(await labelsOf()).toHaveLength(2);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 40 (tags): brings labels with odd keys and JSON values, none with an empty key', async ({
    expect,
  }) => {
    const stage = await openStage();
    const labels = {
      '': 'skipped',
      'theoretically-invalid--label': 'kept',
      json: '{"some":"json"}',
      text: '[hello world]',
    };
    await stage.push('latest', await stage.image({ labels }));
    expect((await labelsOf()).map((row) => [row['key'], row['media_type']])).toEqual([
      ['theoretically-invalid--label', 'text/plain'],
      ['json', 'application/json'],
      ['text', 'text/plain'],
    ]);
  });

  it('scenario 43 (tags): needs no blob for a remote layer, and counts its size', async ({
    expect,
  }) => {
    const stage = await openStage();
    const foreign = DOCKER_LAYER_MEDIA_TYPES.foreign;
    const urls = ['https://example.com/layer'];
    const layers = [
      { mediaType: foreign, size: 1000, digest: ABSENT, urls },
      { mediaType: foreign, size: 500, digest: `sha512:${'1'.repeat(128)}`, urls },
    ];
    const { manifest } = await stage.push('latest', await aDockerImage(stage, { layers }));
    expect(manifest.layersCompressedSize).toBe(stage.layer.size + 1500);
    expect(await select('SELECT * FROM manifest_blob')).toHaveLength(2);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 44 (tags), I8: that names a blob the repository lacks leaves no trace', async ({
    expect,
  }) => {
    const { registry, repository, ...stage } = await openStage();
    const elsewhere = await openStage();
    const foreign = await storeBlob(elsewhere.repository, uniqueBytes());
    const mediaType = DOCKER_LAYER_MEDIA_TYPES.local;
    for (const missing of [{ digest: ABSENT, size: 7 }, foreign]) {
      const layers = [{ mediaType, ...missing }];
      const image = await aDockerImage({ repository, ...stage }, { layers });
      const before = await stage.generation();
      await expect(stage.push('latest', image)).rejects.toMatchObject({
        code: 'BlobUnknown',
        detail: { digests: [missing.digest] },
      });
      expect(await registry.createManifestAndRetargetTag(repository, image, 'latest')).toBeNull();
      expect(await registry.createManifestWithTempTag(repository, image, 60)).toBeNull();
      expect(await stage.generation()).toBe(before);
    }
    for (const table of ['manifest', 'tag', 'manifest_blob', 'manifest_label']) {
      expect(await select(`SELECT * FROM ${table}`)).toEqual([]);
    }
  });

  it.for([
    ['a config of another size', { claimed: { size: 7 } }, 'ManifestInvalid'],
    ['a config without history', { config: { history: undefined } }, 'ManifestInvalid'],
    ['a config that is missing', { claimed: { digest: ABSENT } }, 'BlobUnknown'],
  ] as const)(
    'scenario 47 (tags): with %s is refused before anything is written',
    async ([, image, code], { expect }) => {
      const stage = await openStage();
      const pushed = aDockerImage(stage, image as DockerImage).then((manifest) =>
        stage.push('latest', manifest),
      );
      await expect(pushed).rejects.toMatchObject({ code });
      expect(await select('SELECT id FROM manifest')).toEqual([]);
    },
  );

  it('scenario 46 (tags): may have a layer of no bytes, not of fewer', async ({ expect }) => {
    const stage = await openStage();
    const empty = await storeBlob(stage.repository, new Uint8Array());
    const mediaType = DOCKER_LAYER_MEDIA_TYPES.local;
    const image = await aDockerImage(stage, { layers: [{ mediaType, ...empty }] });
    expect((await stage.push('latest', image)).created).toBe(true);
    const negative = aDockerImage(stage, { layers: [{ mediaType, ...empty, size: -1 }] });
    await expect(negative).rejects.toMatchObject({ code: 'ManifestInvalid' });
  });

  it('is pushed again though its uploads are long gone: its links hold its blobs', async ({
    expect,
  }) => {
    const stage = await openStage();
    const image = await stage.image();
    const { manifest } = await stage.push('v1', image);
    await stage.registry.deleteTag(stage.repository, 'v1');
    await select('DELETE FROM uploaded_blob');
    const again = await stage.push('v1', image);
    expect(again).toMatchObject({ created: false, manifest: { id: manifest.id } });
    // And another image may be made of the same blobs.
    expect((await stage.push('v2', await stage.image())).created).toBe(true);
  });
});

describe('the name of a tag', () => {
  it.for(['l', '1', 'x'.repeat(128)])('scenario 55 (tags): may be %s', async (name, { expect }) => {
    const stage = await openStage();
    await stage.push(name, await stage.image());
    expect(await stage.names()).toEqual([name]);
  });

  it.for(['x'.repeat(129), '.fail', '-fail', '', 'a\n', '$temp-1', 'a/b'])(
    'scenario 55 (tags): may not be "%s"',
    async (name, { expect }) => {
      const stage = await openStage();
      const image = await stage.image();
      await expect(stage.push(name, image)).rejects.toMatchObject({ code: 'TagNameInvalid' });
      expect(await select('SELECT id FROM manifest')).toEqual([]);
    },
  );
});

const links = (manifestId: number) =>
  select('SELECT child_digest AS digest FROM manifest_child WHERE manifest_id = ?', manifestId);

describe('a new index', () => {
  it('scenario 41 (tags): is linked to each of its children once', async ({ expect }) => {
    const stage = await openStage();
    const [one, other] = [await stage.image(), await stage.image()];
    for (const child of [one, other]) {
      await stage.registry.createManifestWithTempTag(stage.repository, child, 60);
    }
    const { manifest } = await stage.push('both', await anIndex([one, other]));
    expect(await links(manifest.id)).toHaveLength(2);
    const repeated = await anIndex([one, one, one, one]);
    const first = await stage.push('same', repeated);
    expect(await links(first.manifest.id)).toEqual([{ digest: one.digest }]);
    const again = await stage.push('same', repeated);
    expect(again).toMatchObject({ created: false, manifest: { id: first.manifest.id } });
    expect(manifest).toMatchObject({
      isManifestList: true,
      layersCompressedSize: null,
      configMediaType: null,
    });
    expect(await findViolations()).toEqual([]);
  });

  it('scenarios 42 and 48 (tags): lists indexes, Docker lists and images of both kinds', async ({
    expect,
  }) => {
    const stage = await openStage();
    const oci = await stage.image();
    const docker = await aDockerImage(stage);
    const list = await parsed(MANIFEST_MEDIA_TYPES.dockerList, {
      schemaVersion: 2,
      mediaType: MANIFEST_MEDIA_TYPES.dockerList,
      manifests: [{ ...descriptorOf(docker), platform: { architecture: 'amd64', os: 'linux' } }],
    });
    const inner = await anIndex([oci, docker]);
    const outer = await anIndex([inner, list, oci]);
    for (const child of [oci, docker, list, inner]) {
      await stage.registry.createManifestWithTempTag(stage.repository, child, 60);
    }
    const { manifest } = await stage.push('latest', outer);
    const linked = await select(
      `SELECT child_digest AS digest FROM manifest_child
      WHERE manifest_id = ? AND child_manifest_id IS NOT NULL`,
      manifest.id,
    );
    expect(new Set(linked.map(({ digest }) => digest))).toEqual(
      new Set([inner, list, oci].map(({ digest }) => digest)),
    );
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 45 (tags): needs its children, unless indexes may be sparse', async ({ expect }) => {
    const stage = await openStage();
    const [here, absent, never] = [await stage.image(), await stage.image(), await stage.image()];
    await stage.push('here', here);
    const index = await anIndex([here, absent, never]);
    await expect(stage.push('index', index)).rejects.toMatchObject({
      code: 'BlobUnknown',
      detail: { digests: [absent.digest, never.digest] },
    });
    expect(await select('SELECT id FROM manifest')).toHaveLength(1);

    const sparse = stage.behind((_call, run) => run(), { settings: { sparseIndex: true } });
    const pushed = await sparse.createManifestAndRetargetTag(stage.repository, index, 'index');
    const linked = () =>
      select(
        `SELECT child_digest AS digest FROM manifest_child
        WHERE manifest_id = ? AND child_manifest_id IS NOT NULL`,
        pushed?.manifest.id,
      );
    expect(await linked()).toEqual([{ digest: here.digest }]);
    await stage.registry.createManifestWithTempTag(stage.repository, absent, 60);
    expect(await linked()).toHaveLength(2);
    stage.clock.advance(3_600_000);
    const found = await stage.registry.lookupManifestByDigest(stage.repository, absent.digest);
    expect(found?.digest).toBe(absent.digest);
  });

  it.for(['size', 'mediaType'] as const)(
    'whose descriptor has another %s than the child is refused, also if it may be sparse',
    async (field, { expect }) => {
      const stage = await openStage({ settings: { sparseIndex: true } });
      const child = await stage.image();
      await stage.push('child', child);
      const wrong = { size: 1, mediaType: MANIFEST_MEDIA_TYPES.dockerManifest };
      const index = await parsed(MANIFEST_MEDIA_TYPES.ociIndex, {
        schemaVersion: 2,
        manifests: [{ ...descriptorOf(child), [field]: wrong[field] }],
      });
      await expect(stage.push('index', index)).rejects.toMatchObject({ code: 'ManifestInvalid' });
      expect(await stage.names()).toEqual(['child']);
    },
  );
});

describe('the label quay.expires-after', () => {
  it('scenario 50 (tags): gives each tag an end by its own start', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image({ labels: { 'quay.expires-after': '2w' } });
    for (const name of ['a', 'b', 'a']) {
      stage.clock.advance(1234);
      const { tag } = await stage.push(name, image);
      expect(tag.lifetimeStartMs).toBe(stage.clock.nowMs());
      expect(tag.lifetimeEndMs).toBe(tag.lifetimeStartMs + 14 * 24 * 3_600_000);
    }
    expect(await findViolations()).toEqual([]);
  });

  it.for(['1g', 'something', '0d', '-1w', '1 w', '999999999y'])(
    'scenario 50 (tags): does nothing with the value %s',
    async (value, { expect }) => {
      const stage = await openStage();
      const labels = { 'quay.expires-after': value };
      expect((await stage.push('a', await stage.image({ labels }))).tag.lifetimeEndMs).toBeNull();
    },
  );

  it('scenario 51 (tags): of the only child counts for every tag of its index', async ({
    expect,
  }) => {
    const stage = await openStage();
    const child = await stage.image({ labels: { 'quay.expires-after': '1w' } });
    await stage.registry.createManifestWithTempTag(stage.repository, child, 60);
    const index = await anIndex([child]);
    for (const name of ['a', 'b', 'a']) {
      const { tag } = await stage.push(name, index);
      expect(tag.lifetimeEndMs).toBe(tag.lifetimeStartMs + 7 * 24 * 3_600_000);
    }
  });
});
