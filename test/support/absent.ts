import type { RegistryDataInterface } from '../../src/registry/interface.ts';
import { openStage } from './stage.ts';

/** References to what is not there: everything of theirs is unknown to the stores. */
export async function staleReferences() {
  const stage = await openStage();
  const pushed = await stage.push('latest', await stage.image());
  const id = pushed.manifest.id + 1000;
  const repository = {
    ...stage.repository,
    id,
    namespaceName: 'gone',
    name: 'gone',
  } as typeof stage.repository;
  const parsed = await stage.image();
  const manifest = { ...pushed.manifest, id, repositoryId: id, digest: parsed.digest };
  const tag = { ...pushed.tag, id, repositoryId: id, manifest };
  const upload = await stage.registry.createBlobUpload(
    stage.repository,
    crypto.randomUUID(),
    'r2',
    {},
  );
  const blob = await stage.registry.getRepoBlobByDigest(stage.repository, stage.layer.digest);
  const [dockerImageId] = (await stage.registry.getLegacyTagsMap(stage.repository)).values();
  if (upload === null || blob === null || dockerImageId === undefined) {
    throw new Error('the stage was not set');
  }
  return {
    repository,
    manifest,
    tag,
    parsed,
    upload: { ...upload, repositoryId: id, uploadId: crypto.randomUUID() },
    blob,
    dockerImageId,
  };
}

export type Stale = Awaited<ReturnType<typeof staleReferences>>;

const NO_PAGE = { items: [], hasMore: false };

/** What a row is called with: but for one method, the registry is the same for other Workers. */
type Taking<Name> = Name extends 'batchCreateManifestLabels'
  ? RegistryDataInterface
  : Omit<RegistryDataInterface, 'batchCreateManifestLabels'>;

/**
 * Each method, and what it gives of what is not there. The type has a row for every method of the
 * interface; it does not compile with one more or less.
 */
export const OF_NOTHING: {
  readonly [Name in keyof RegistryDataInterface]: readonly [
    call: (registry: Taking<Name>, stale: Stale) => Promise<unknown>,
    given: unknown,
  ];
} = {
  lookupRepository: [(r) => r.lookupRepository('gone', 'gone'), null],
  isExistingDisabledNamespace: [(r) => r.isExistingDisabledNamespace('gone'), false],
  isNamespaceEnabled: [(r) => r.isNamespaceEnabled('gone'), false],
  findMatchingTag: [(r, s) => r.findMatchingTag(s.repository, ['latest']), null],
  getMostRecentTag: [(r, s) => r.getMostRecentTag(s.repository), null],
  getRepoTag: [(r, s) => r.getRepoTag(s.repository, 'latest'), null],
  hasExpiredTag: [(r, s) => r.hasExpiredTag(s.repository, 'latest'), false],
  lookupActiveRepositoryTags: [
    (r, s) => r.lookupActiveRepositoryTags(s.repository, null, 1),
    NO_PAGE,
  ],
  listAllActiveRepositoryTags: [(r, s) => r.listAllActiveRepositoryTags(s.repository), []],
  listRepositoryTagHistory: [(r, s) => r.listRepositoryTagHistory(s.repository), NO_PAGE],
  getMostRecentTagLifetimeStart: [
    (r, s) => r.getMostRecentTagLifetimeStart([s.repository]),
    new Map(),
  ],
  tagNamesForManifest: [(r, s) => r.tagNamesForManifest(s.manifest, null), []],
  retargetTag: [(r, s) => r.retargetTag(s.repository, 'latest', s.manifest), 'RetargetFailed'],
  deleteTag: [(r, s) => r.deleteTag(s.repository, 'latest'), null],
  deleteTagsForManifest: [
    (r, s) => r.deleteTagsForManifest(s.manifest),
    { tags: [], hiddenEnded: 0, stillAvailable: false },
  ],
  changeRepositoryTagExpiration: [
    (r, s) => r.changeRepositoryTagExpiration(s.tag, null),
    { ok: false, changed: false, endMs: null, previousEndMs: null },
  ],
  changeTagImmutability: [
    (r, s) => r.changeTagImmutability(s.tag, true),
    { ok: false, previous: null },
  ],
  setTagsExpirationForManifest: [(r, s) => r.setTagsExpirationForManifest(s.manifest, 60), 0],
  removeTagFromTimemachine: [
    (r, s) => r.removeTagFromTimemachine(s.repository, 'latest', s.manifest),
    false,
  ],
  getManifestForTag: [(r, s) => r.getManifestForTag(s.tag), null],
  lookupManifestByDigest: [
    (r, s) => r.lookupManifestByDigest(s.repository, s.manifest.digest),
    null,
  ],
  getSchema1ParsedManifest: [
    (r, s) => r.getSchema1ParsedManifest(s.manifest, 'gone', 'gone', 'latest'),
    null,
  ],
  convertManifest: [
    (r, s) => r.convertManifest(s.manifest, 'gone', 'gone', 'latest', new Set()),
    null,
  ],
  createManifestAndRetargetTag: [
    (r, s) => r.createManifestAndRetargetTag(s.repository, s.parsed, 'latest'),
    null,
  ],
  createManifestWithTempTag: [
    (r, s) => r.createManifestWithTempTag(s.repository, s.parsed, 60),
    null,
  ],
  getManifestLocalBlobs: [(r, s) => r.getManifestLocalBlobs(s.manifest), null],
  listManifestLayers: [(r, s) => r.listManifestLayers(s.manifest), null],
  listParsedManifestLayers: [
    (r, s) => r.listParsedManifestLayers(s.repository, s.parsed),
    'ManifestInvalid',
  ],
  getTagLegacyImageId: [(r, s) => r.getTagLegacyImageId(s.repository, 'latest'), null],
  getLegacyTagsMap: [(r, s) => r.getLegacyTagsMap(s.repository), new Map()],
  getLegacyImage: [(r, s) => r.getLegacyImage(s.repository, s.dockerImageId), null],
  getRepoBlobByDigest: [(r, s) => r.getRepoBlobByDigest(s.repository, s.blob.digest), null],
  mountBlobIntoRepository: [(r, s) => r.mountBlobIntoRepository(s.blob, s.repository, 60), false],
  createBlobUpload: [
    (r, s) => r.createBlobUpload(s.repository, crypto.randomUUID(), 'r2', {}),
    null,
  ],
  lookupBlobUpload: [(r, s) => r.lookupBlobUpload(s.repository, s.upload.uploadId), null],
  updateBlobUpload: [
    (r, s) =>
      r.updateBlobUpload(s.upload, {
        uncompressedByteCount: null,
        storageMetadata: {},
        byteCount: 1,
        chunkCount: 1,
        shaState: s.upload.shaState,
      }),
    null,
  ],
  deleteBlobUpload: [(r, s) => r.deleteBlobUpload(s.upload), undefined],
  commitBlobUpload: [(r, s) => r.commitBlobUpload(s.upload, s.blob.digest, 60), null],
  createManifestLabel: [(r, s) => r.createManifestLabel(s.manifest, 'key', '', 'api'), null],
  batchCreateManifestLabels: [
    (r, s) => r.batchCreateManifestLabels(s.manifest, (add) => add('key', '', 'api')),
    null,
  ],
  listManifestLabels: [(r, s) => r.listManifestLabels(s.manifest), []],
  getManifestLabel: [(r, s) => r.getManifestLabel(s.manifest, 'unknown'), null],
  deleteManifestLabel: [(r, s) => r.deleteManifestLabel(s.manifest, 'unknown'), null],
  resetSecurityStatus: [(r, s) => r.resetSecurityStatus(s.manifest), undefined],
  findManifestsForSecNotification: [
    (r, s) => r.findManifestsForSecNotification(s.manifest.digest),
    [],
  ],
  lookupSecscanNotificationSeverities: [
    (r, s) => r.lookupSecscanNotificationSeverities(s.repository),
    null,
  ],
  findRepositoryWithGarbage: [(r) => r.findRepositoryWithGarbage(1), null],
  lookupCachedActiveRepositoryTags: [
    (r, s) => r.lookupCachedActiveRepositoryTags(s.repository, null, 1),
    NO_PAGE,
  ],
  getCachedRepoBlob: [(r, s) => r.getCachedRepoBlob('gone', 'gone', s.blob.digest), null],
  getCachedNamespaceRegionBlacklist: [
    (r) => r.getCachedNamespaceRegionBlacklist('gone'),
    new Set(),
  ],
};
