import { env } from 'cloudflare:workers';
import { describe, it, vi } from 'vitest';

import { computeDigest } from '../../src/model/digest.ts';
import { uniqueBytes } from '../support/content.ts';
import { callAmong, caught, costOf, logged, remote } from '../support/remote.ts';
import { valueOf } from '../support/stage.ts';
import {
  aFullRepository,
  contentOf,
  type FullRepository,
  openInside,
  type SameForm,
  twoAlike,
} from './world.ts';

const RECEIVED = {
  uncompressedByteCount: null,
  storageMetadata: { part: 1 },
  byteCount: 7,
  chunkCount: 1,
  shaState: 'state',
};

/** Every method that writes and takes the same inside and from another Worker. */
const WRITES: {
  readonly [Name in keyof Partial<SameForm>]: (
    registry: SameForm,
    world: FullRepository,
  ) => Promise<unknown>;
} = {
  retargetTag: (r, w) => r.retargetTag(w.repository, 'moved', w.manifest, { isReversion: true }),
  deleteTag: (r, w) => r.deleteTag(w.repository, 'other'),
  deleteTagsForManifest: (r, w) => r.deleteTagsForManifest(w.manifest),
  changeRepositoryTagExpiration: (r, w) =>
    r.changeRepositoryTagExpiration(w.tag, new Date(w.tag.lifetimeStartMs + 86_400_000)),
  changeTagImmutability: (r, w) => r.changeTagImmutability(w.tag, true),
  setTagsExpirationForManifest: (r, w) => r.setTagsExpirationForManifest(w.manifest, 7200),
  removeTagFromTimemachine: (r, w) =>
    r.removeTagFromTimemachine(w.repository, 'latest', w.manifest, { isAlive: true }),
  createManifestAndRetargetTag: (r, w) =>
    r.createManifestAndRetargetTag(w.repository, w.parsed, 'new', { raiseOnError: true }),
  createManifestWithTempTag: (r, w) => r.createManifestWithTempTag(w.repository, w.parsed, 600),
  mountBlobIntoRepository: (r, w) => r.mountBlobIntoRepository(w.foreignBlob, w.repository, 600),
  createBlobUpload: (r, w) =>
    r.createBlobUpload(w.repository, crypto.randomUUID(), 'r2', { from: ['elsewhere'] }),
  updateBlobUpload: (r, w) => r.updateBlobUpload(w.upload, RECEIVED),
  deleteBlobUpload: (r, w) => r.deleteBlobUpload(w.upload),
  commitBlobUpload: async (r, w) =>
    r.commitBlobUpload(w.upload, await computeDigest('sha256', uniqueBytes()), 600),
  createManifestLabel: (r, w) =>
    r.createManifestLabel(w.manifest, 'com.example.other', '[]', 'api', 'application/json'),
  deleteManifestLabel: (r, w) => r.deleteManifestLabel(w.manifest, w.label.uuid),
  resetSecurityStatus: (r, w) => r.resetSecurityStatus(w.manifest),
};

describe('a write over the binding', () => {
  for (const [name, write] of Object.entries(WRITES)) {
    it(`does what it does inside, at the same cost: ${name}`, async ({ expect }) => {
      const [here, there] = await twoAlike();
      const before = await contentOf(here);
      expect(await contentOf(there)).toEqual(before);
      const inside = openInside();
      await write(inside.registry, here);

      const { outcome, lines } = await logged(() => write(remote, there));

      valueOf(outcome);
      const cost = costOf(callAmong(lines));
      expect(cost.d1RoundTrips).toBe(inside.meter.usage.d1RoundTrips);
      expect(cost).toEqual(inside.meter.usage);
      const after = await contentOf(there);
      expect(after).not.toEqual(before);
      expect(after).toEqual(await contentOf(here));
    });
  }

  it('puts a list of labels, in its order, at the cost that a callback has inside', async ({
    expect,
  }) => {
    const [here, there] = await twoAlike();
    const labels = [
      { key: 'quay.immutable', value: 'true', source: 'api' },
      { key: 'com.example.json', value: '{"a":1}', source: 'api' },
      { key: 'com.example.json', value: '1', source: 'internal', mediaType: 'text/plain' },
    ] as const;
    const inside = openInside();
    await inside.registry.batchCreateManifestLabels(here.manifest, (add) => {
      for (const label of labels) {
        const { key, value, source } = label;
        add(key, value, source, 'mediaType' in label ? label.mediaType : null);
      }
    });

    const { outcome, lines } = await logged(() =>
      remote.batchCreateManifestLabels(there.manifest, labels),
    );

    expect(valueOf(outcome)).toMatchObject([
      { key: 'quay.immutable', mediaType: 'text/plain', sourceType: 'api' },
      { key: 'com.example.json', mediaType: 'application/json' },
      { value: '1', mediaType: 'text/plain', sourceType: 'internal' },
    ]);
    expect(costOf(callAmong(lines))).toEqual(inside.meter.usage);
    expect(await contentOf(there)).toEqual(await contentOf(here));
    expect(await remote.getRepoTag(there.repository, 'latest')).toMatchObject({ immutable: true });
  });

  it('stores a manifest by its bytes and type alone', async ({ expect }) => {
    const { repository, parsed } = await aFullRepository();
    const { bytes, mediaType, digest } = parsed;
    const pushed = await remote.createManifestAndRetargetTag(
      repository,
      { bytes: bytes.slice(), mediaType },
      'bytes',
    );
    expect(pushed).toMatchObject({ created: true, manifest: { digest }, tag: { name: 'bytes' } });
  });

  it('believes the bytes of a manifest and nothing else that comes with them', async ({
    expect,
  }) => {
    const { repository, parsed, tag } = await aFullRepository();
    const lying = { ...parsed, layers: [], localBlobDigests: [], kind: 'index' };
    const layers = await remote.listParsedManifestLayers(repository, lying);
    expect(layers).toHaveLength(1);
    const stolen = { ...parsed, digest: tag.manifestDigest };
    const refused = await caught(() =>
      remote.createManifestAndRetargetTag(repository, stolen, 'stolen'),
    );
    expect(refused).toMatchObject({ code: 'DigestMismatch' });
    expect(await remote.getRepoTag(repository, 'stolen')).toBeNull();
  });

  it('lists the layers of a schema 1 form that it gave', async ({ expect }) => {
    const { repository, manifest, blob } = await aFullRepository();
    const form = await remote.getSchema1ParsedManifest(manifest, 'acme', 'app', 'latest');
    if (form === null) {
      throw new Error('there is no schema 1 form');
    }
    const layers = await remote.listParsedManifestLayers(repository, form);
    expect(layers).toMatchObject([{ blob: { digest: blob.digest } }]);
    const changed = { ...form, bytes: form.bytes.slice(1) };
    const refused = await caught(() => remote.listParsedManifestLayers(repository, changed));
    expect(refused).toMatchObject({ code: 'DigestMismatch' });
  });

  it('goes on behind the answer with what may wait', async ({ expect }) => {
    const { repository } = await aFullRepository();
    await remote.lookupCachedActiveRepositoryTags(repository, null, 5);
    await vi.waitFor(async () => {
      expect((await env.CACHE.list()).keys).toHaveLength(1);
    });
    const { lines } = await logged(() =>
      remote.lookupCachedActiveRepositoryTags(repository, null, 5),
    );
    expect(callAmong(lines)).toMatchObject({ d1RoundTrips: 1, kvReads: 1, kvWrites: 0 });
  });
});
