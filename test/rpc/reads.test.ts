import { describe, it } from 'vitest';

import type { RegistryDataInterface } from '../../src/registry/interface.ts';
import { callAmong, costOf, logged, remote } from '../support/remote.ts';
import { valueOf } from '../support/stage.ts';
import {
  aFullRepository,
  emptyCache,
  type FullRepository,
  openInside,
  type SameForm,
} from './world.ts';

const SCHEMA2 = 'application/vnd.oci.image.manifest.v1+json';

/** Every method that only reads, asked for something that is there. */
const READS: {
  readonly [Name in keyof Partial<RegistryDataInterface>]: (
    registry: SameForm,
    world: FullRepository,
  ) => Promise<unknown>;
} = {
  lookupRepository: (r, { repository }) =>
    r.lookupRepository(repository.namespaceName, repository.name, { kind: 'image' }),
  isExistingDisabledNamespace: (r, w) =>
    r.isExistingDisabledNamespace(w.repository.namespaceName, { forPush: true }),
  isNamespaceEnabled: (r, w) => r.isNamespaceEnabled(w.repository.namespaceName),
  findMatchingTag: (r, w) => r.findMatchingTag(w.repository, ['none', 'other']),
  getMostRecentTag: (r, w) => r.getMostRecentTag(w.repository),
  getRepoTag: (r, w) => r.getRepoTag(w.repository, 'latest', { raiseOnError: true }),
  hasExpiredTag: (r, w) => r.hasExpiredTag(w.repository, 'first'),
  lookupActiveRepositoryTags: (r, w) => r.lookupActiveRepositoryTags(w.repository, 'latest', 5),
  listAllActiveRepositoryTags: (r, w) => r.listAllActiveRepositoryTags(w.repository),
  listRepositoryTagHistory: (r, w) =>
    r.listRepositoryTagHistory(w.repository, { size: 2, filterTagName: 'like:T' }),
  getMostRecentTagLifetimeStart: (r, w) => r.getMostRecentTagLifetimeStart([w.repository]),
  tagNamesForManifest: (r, w) => r.tagNamesForManifest(w.manifest, 10),
  getManifestForTag: (r, w) => r.getManifestForTag(w.tag),
  lookupManifestByDigest: (r, w) =>
    r.lookupManifestByDigest(w.repository, w.manifest.digest, { allowHidden: true }),
  getSchema1ParsedManifest: (r, w) =>
    r.getSchema1ParsedManifest(w.manifest, 'acme', 'app', 'latest'),
  convertManifest: (r, w) =>
    r.convertManifest(w.manifest, 'acme', 'app', 'latest', new Set([SCHEMA2])),
  getManifestLocalBlobs: (r, w) => r.getManifestLocalBlobs(w.manifest, { includePlacements: true }),
  listManifestLayers: (r, w) => r.listManifestLayers(w.manifest),
  listParsedManifestLayers: (r, w) => r.listParsedManifestLayers(w.repository, w.parsed),
  getTagLegacyImageId: (r, w) => r.getTagLegacyImageId(w.repository, 'latest'),
  getLegacyTagsMap: (r, w) => r.getLegacyTagsMap(w.repository),
  getLegacyImage: (r, w) => r.getLegacyImage(w.repository, w.imageId, { includeBlob: true }),
  getRepoBlobByDigest: (r, w) => r.getRepoBlobByDigest(w.repository, w.blob.digest),
  lookupBlobUpload: (r, w) => r.lookupBlobUpload(w.repository, w.upload.uploadId),
  listManifestLabels: (r, w) => r.listManifestLabels(w.manifest, 'com.'),
  getManifestLabel: (r, w) => r.getManifestLabel(w.manifest, w.label.uuid),
  findManifestsForSecNotification: (r, w) => r.findManifestsForSecNotification(w.manifest.digest),
  lookupSecscanNotificationSeverities: (r, w) =>
    r.lookupSecscanNotificationSeverities(w.repository),
  findRepositoryWithGarbage: (r) => r.findRepositoryWithGarbage(1_209_600),
  lookupCachedActiveRepositoryTags: (r, w) =>
    r.lookupCachedActiveRepositoryTags(w.repository, null, 5),
  getCachedRepoBlob: (r, w) =>
    r.getCachedRepoBlob(w.repository.namespaceName, w.repository.name, w.blob.digest),
  getCachedNamespaceRegionBlacklist: (r, w) =>
    r.getCachedNamespaceRegionBlacklist(w.repository.namespaceName),
};

describe('a read over the binding', () => {
  for (const [name, read] of Object.entries(READS)) {
    it(`is the same as inside, at the same cost: ${name}`, async ({ expect }) => {
      const world = await aFullRepository();
      const inside = openInside();
      const expected = await read(inside.registry, world);
      const asked = { ...inside.meter.usage };
      await inside.settleDeferred();
      await emptyCache();

      const { outcome, lines } = await logged(() => read(remote, world));

      expect(valueOf(outcome)).toEqual(expected);
      const cost = costOf(callAmong(lines));
      expect(cost.d1RoundTrips).toBe(asked.d1RoundTrips);
      expect(cost).toEqual(asked);
    });
  }

  it('hands over maps, sets and bytes as such', async ({ expect }) => {
    const world = await aFullRepository();
    expect(await remote.getLegacyTagsMap(world.repository)).toBeInstanceOf(Map);
    const { namespaceName } = world.repository;
    expect(await remote.getCachedNamespaceRegionBlacklist(namespaceName)).toBeInstanceOf(Set);
    const manifest = await remote.getManifestForTag(world.tag);
    expect(manifest?.bytes).toBeInstanceOf(Uint8Array);
    expect(manifest?.bytes).toEqual(world.manifest.bytes);
  });

  it('gives references that can be stored as JSON and sent back', async ({ expect }) => {
    const world = await aFullRepository();
    const tag = await remote.getRepoTag(world.repository, 'latest');
    const kept = JSON.parse(JSON.stringify(tag)) as NonNullable<typeof tag>;
    expect(await remote.changeTagImmutability(kept, true)).toEqual({ ok: true, previous: false });
  });
});
