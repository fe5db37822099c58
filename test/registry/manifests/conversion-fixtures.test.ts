import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { MANIFEST_MEDIA_TYPES, SCHEMA1_MEDIA_TYPE } from '../../../src/image/media-types.ts';
import { parseManifest } from '../../../src/image/parse.ts';
import type { Manifest } from '../../../src/model/datatypes.ts';
import { EMPTY_BLOB_DIGEST } from '../../../src/model/empty-blob.ts';
import { CONFIGS, type ManifestFixture, MANIFESTS } from '../../fixtures/index.ts';
import { openImageStage, pretendBlobs } from '../../support/images.ts';
import { readSchema1 } from '../../support/schema1-reader.ts';
import { execute, storeBlob } from '../../support/stage.ts';

type Stage = Awaited<ReturnType<typeof openImageStage>>;

/** A repository that has all the manifests of the fixtures, as if each had been pushed. */
async function openFixtureStage() {
  const stage = await openImageStage();
  for (const config of Object.values(CONFIGS)) {
    await storeBlob(stage.repository, config);
  }
  for (const fixture of Object.values(MANIFESTS)) {
    await store(stage, fixture);
  }
  return {
    ...stage,
    find: async ({ digest }: ManifestFixture): Promise<Manifest> => {
      const { registry, repository } = stage;
      const found = await registry.lookupManifestByDigest(repository, digest, { allowDead: true });
      if (found === null) {
        throw new Error(`the fixture ${digest} is not there`);
      }
      return found;
    },
  };
}

/** Their layers are too large to be here, and nothing that is tested reads them. */
async function store({ repository }: Stage, { mediaType, digest, bytes }: ManifestFixture) {
  await execute(
    `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
    VALUES (?, ?, ?, ?, 0, ?)`,
    repository.id,
    digest,
    mediaType,
    bytes.byteLength,
    new TextDecoder().decode(bytes),
  );
  const parsed = await parseManifest(bytes, { contentType: mediaType });
  if (parsed.kind === 'image') {
    const sizes = new Map(
      [...parsed.layers, parsed.config].map((blob) => [blob.digest, blob.size]),
    );
    await pretendBlobs(
      repository,
      parsed.localBlobDigests.map((local) => ({ digest: local, size: sizes.get(local) ?? 0 })),
    );
    await env.DB.prepare(
      `INSERT INTO manifest_blob (repository_id, manifest_id, blob_id)
      SELECT m.repository_id, m.id, b.id FROM manifest m
        JOIN json_each(?) named JOIN blob b ON b.digest = named.value WHERE m.digest = ?`,
    )
      .bind(JSON.stringify(parsed.localBlobDigests), digest)
      .run();
  }
}

const schema1Of = async ({ registry }: Stage, manifest: Manifest) => {
  const form = await registry.getSchema1ParsedManifest(manifest, 'acme', 'app', 'v1');
  return form && { ...form, read: readSchema1(form.bytes) };
};

const NGINX_BASE = 'sha256:81d93757457f988523814ae0009837ae893f38d3fe123f2c37896f118b4c7804';
const NGINX_TOP = 'sha256:5be1ecc7935f1dd85635d4feedaf660594030253cc97c9e9ca3819ffeac36b65';
const HELLO_BASE = 'sha256:254090ae56ea8af2e59a4de6460977d410e18381b14fd6aa0fdb37cf0a0e2cfd';
const HELLO_TOP = 'sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333';

describe('real images as schema 1', () => {
  it('a Docker image keeps its config, its steps and their order', async ({ expect }) => {
    const stage = await openFixtureStage();
    const form = await schema1Of(stage, await stage.find(MANIFESTS.dockerImage));
    expect(form?.read.map(({ blobSum, throwaway }) => [blobSum, throwaway])).toEqual([
      [NGINX_BASE, false],
      [EMPTY_BLOB_DIGEST, true],
      [NGINX_TOP, false],
      [EMPTY_BLOB_DIGEST, true],
    ]);
    const config = JSON.parse(new TextDecoder().decode(CONFIGS.dockerImage)) as Record<
      string,
      unknown
    >;
    const { history, rootfs: _, ...kept } = config;
    const steps = history as { created: string; created_by: string }[];
    const [, , third, leaf] = form?.read ?? [];
    expect(leaf?.metadata).toEqual({
      ...kept,
      id: leaf?.id,
      parent: third?.id,
      throwaway: true,
      Size: 32,
    });
    expect(third?.metadata).toMatchObject({
      created: steps[2]?.created,
      container_config: { Cmd: [steps[2]?.created_by] },
      Size: 41_336_451,
    });
    // What clients have seen once, they must see for ever.
    expect(form?.digest).toBe(
      'sha256:879406b79a0b77f267173106d79f8e308951df6b33d79bc89493c13c5e2f9a24',
    );
  });

  it('an OCI image does too, whatever it runs on and compresses with', async ({ expect }) => {
    const stage = await openFixtureStage();
    const form = await schema1Of(stage, await stage.find(MANIFESTS.ociImage));
    expect(form?.read.map(({ blobSum, throwaway }) => [blobSum, throwaway])).toEqual([
      [HELLO_BASE, false],
      [HELLO_TOP, false],
      [EMPTY_BLOB_DIGEST, true],
    ]);
    expect(form?.read[2]?.metadata).toMatchObject({
      architecture: 'arm64',
      variant: 'v8',
      created: '2024-05-02T10:11:12.131415Z',
      comment: 'buildkit.dockerfile.v0',
      container_config: { Cmd: ['ENTRYPOINT ["/app"]'] },
    });
    expect(form?.digest).toBe(
      'sha256:90a77188f58ba93b707b85f579a1ebd2473717971070b87704e6028f9a3a1b8a',
    );
  });

  it('a list is its image for amd64 and Linux, wherever that stands', async ({ expect }) => {
    const stage = await openFixtureStage();
    const image = await schema1Of(stage, await stage.find(MANIFESTS.dockerImage));
    for (const list of [MANIFESTS.ociIndex, MANIFESTS.dockerList]) {
      expect(await schema1Of(stage, await stage.find(list))).toEqual(image);
    }
  });

  it.for([
    'dockerWindowsImage',
    'nonDistributableLayers',
    'nestedIndex',
    'buildkitIndex',
    'artifactWithSubject',
    'helmChart',
  ] as const)('%s has no schema 1 form', async (name, { expect }) => {
    const stage = await openFixtureStage();
    const manifest = await stage.find(MANIFESTS[name]);
    expect(await schema1Of(stage, manifest)).toBeNull();
    const allowed = new Set([SCHEMA1_MEDIA_TYPE]);
    const convert = (types: ReadonlySet<string>) =>
      stage.registry.convertManifest(manifest, 'acme', 'app', 'v1', types);
    expect(await convert(allowed)).toBeNull();
    const itself = await convert(new Set(Object.values(MANIFEST_MEDIA_TYPES)));
    expect(itself?.bytes).toEqual(MANIFESTS[name].bytes);
  });
});

describe('the layers of real images', () => {
  it('are told of an artifact, and of an image with foreign layers', async ({ expect }) => {
    const stage = await openFixtureStage();
    const { registry } = stage;
    const helm = await registry.listManifestLayers(await stage.find(MANIFESTS.helmChart));
    expect(helm?.map(({ layerInfo }) => layerInfo.compressedSize)).toEqual([4982, 695]);
    const docker = await registry.listManifestLayers(await stage.find(MANIFESTS.dockerImage));
    expect(docker?.map(({ blob }) => blob?.compressedSize)).toEqual([
      29_150_479, 32, 41_336_451, 32,
    ]);
    const local = await registry.getManifestLocalBlobs(
      await stage.find(MANIFESTS.dockerWindowsImage),
    );
    expect(local?.map(({ compressedSize }) => compressedSize)).toEqual([1190, 2512]);
  });
});
