import type { ManifestForm, ParsedManifest, ParsedSchema1 } from '../image/parsed-manifest.ts';
import type {
  Blob,
  BlobUpload,
  JsonObject,
  Label,
  LabelSource,
  LegacyImage,
  Manifest,
  ManifestLayer,
  Page,
  ShallowTag,
  Tag,
} from '../model/datatypes.ts';
import type { ManifestInfo, RepositoryKind, RepositoryRef } from '../model/references.ts';
import type { EpochSeconds } from '../model/time.ts';

/**
 * The registry data interface: 50 methods by 13 concepts, in the order and with the meaning of the
 * interface that Quay is built on. It is the contract; `docs/interface.md` says where each method
 * is and which test shows it.
 *
 * Conventions. `get`, `lookup` and `find` give one thing or `null`; `list` gives an array or a
 * page; `create`, `change` and `delete` write. `null` always means "absent". A refusal throws a
 * `RegistryError` whose code is named at the method; with `raiseOnError` false, the default, the
 * codes marked (r) become `null` instead. Failures of D1, R2 and KV are thrown as they come.
 *
 * A tag is *alive* while it is the newest generation of its name and not past its end, *visible*
 * unless it is a temporary one. A manifest is *available* if an alive tag holds it, itself or by
 * an index that it is in. Every operation reads the clock once. Every write is one transaction:
 * all of it happens or nothing does.
 */
export interface RegistryDataInterface
  extends
    RepositoryReads,
    NamespaceReads,
    TagReads,
    TagWrites,
    ManifestReads,
    ManifestWrites,
    LayerReads,
    LegacyImageReads,
    BlobReads,
    BlobMounts,
    BlobUploads,
    ManifestLabels,
    SecurityReports,
    GarbageFinder,
    CachedReads {}

interface RaiseOnError {
  readonly raiseOnError?: boolean;
}
export interface IncludePlacements {
  /** Also say in which storage locations each blob is kept. */
  readonly includePlacements?: boolean;
}

export interface RepositoryReads {
  /**
   * The repository of exactly this name; one that is marked for deletion is none. Does not ask
   * whether the namespace is enabled. `kind` is compared after the look-up.
   * Errors: RepositoryNotFound (r).
   */
  lookupRepository(
    namespaceName: string,
    repositoryName: string,
    options?: RaiseOnError & { readonly kind?: RepositoryKind },
  ): Promise<RepositoryRef | null>;
}

/** A decision about a push must not come from a copy of the database that lags. */
interface ForPush {
  readonly forPush?: boolean;
}

export interface NamespaceReads {
  /** Whether a namespace of this name exists and is disabled; false for an unknown name. */
  isExistingDisabledNamespace(namespaceName: string, options?: ForPush): Promise<boolean>;
  /** Whether a namespace of this name exists and is enabled; false for an unknown name. */
  isNamespaceEnabled(namespaceName: string, options?: ForPush): Promise<boolean>;
}

export interface TagReads {
  /**
   * The alive visible tag whose name comes first in `tagNames`, of which there is at least one, or
   * null if none is alive.
   */
  findMatchingTag(repository: RepositoryRef, tagNames: readonly string[]): Promise<Tag | null>;
  /** The alive visible tag that was started last, or null. */
  getMostRecentTag(repository: RepositoryRef): Promise<Tag | null>;
  /** The alive visible tag of exactly this name. Errors: TagNotFound (r). */
  getRepoTag(
    repository: RepositoryRef,
    tagName: string,
    options?: RaiseOnError,
  ): Promise<Tag | null>;
  /**
   * Whether any generation of the name is over, also if the name is alive again. Callers ask it
   * after {@link getRepoTag} found nothing, to say why.
   */
  hasExpiredTag(repository: RepositoryRef, tagName: string): Promise<boolean>;
  /**
   * The alive visible tags with names after `lastName` (null or empty: from the start), in
   * ascending byte order of their names, at most `limit` (1 or more).
   */
  lookupActiveRepositoryTags(
    repository: RepositoryRef,
    lastName: string | null,
    limit: number,
  ): Promise<Page<ShallowTag>>;
  /** Every alive visible tag, in ascending byte order of the names. Heavy. */
  listAllActiveRepositoryTags(repository: RepositoryRef): Promise<readonly Tag[]>;
  /**
   * Every generation of every visible tag, newest start first, then by name, newest id first;
   * `activeTagsOnly` keeps those that are alive. A page has 100 unless `size` says otherwise.
   * `filterTagName` is `eq:<name>` or `like:<text>`, the latter without regard to ASCII case;
   * `sinceMs` keeps what started or ends after it. Filters add up.
   *
   * `page` counts from 1, from the start or from `cursor`. A page that is not the last gives the
   * cursor of the next, at which no generation is missed or given twice when others are made
   * meanwhile. It costs the same at any depth; a page by number also reads all that is before it.
   * Errors: InvalidFilter.
   */
  listRepositoryTagHistory(
    repository: RepositoryRef,
    options?: {
      readonly page?: number;
      readonly size?: number;
      readonly specificTagName?: string;
      readonly activeTagsOnly?: boolean;
      readonly sinceMs?: number;
      readonly filterTagName?: string;
      readonly cursor?: string;
    },
  ): Promise<Page<Tag>>;
  /**
   * By repository id, when its latest alive visible tag started. At most 100 repositories; those
   * without such a tag are left out.
   */
  getMostRecentTagLifetimeStart(
    repositories: readonly RepositoryRef[],
  ): Promise<ReadonlyMap<number, EpochSeconds>>;
  /** Names of the alive visible tags that point to the manifest itself, ascending; null: all. */
  tagNamesForManifest(manifest: ManifestInfo, limit: number | null): Promise<readonly string[]>;
}

export interface TagWrites {
  /**
   * Creates a tag or moves it to another manifest of the repository, alive or not; a legacy image
   * stands for its manifest. The old generation ends in the instant in which the new one starts.
   * Errors: TagNameInvalid, TagImmutable, RetargetFailed, Conflict.
   */
  retargetTag(
    repository: RepositoryRef,
    tagName: string,
    target: ManifestInfo | LegacyImage,
    options?: { readonly isReversion?: boolean },
  ): Promise<Tag>;
  /**
   * Ends the alive visible tag of a name and gives it with its new end, or null if there is none.
   * The manifest stays for the time machine. Errors: TagImmutable.
   */
  deleteTag(repository: RepositoryRef, tagName: string): Promise<Tag | null>;
  /**
   * Ends every alive tag of a manifest, temporary ones too, or none of them. `tags` are the visible
   * ones by name; `stillAvailable` says whether an index holds the manifest nevertheless.
   * Errors: TagImmutable, naming the first immutable one.
   */
  deleteTagsForManifest(manifest: ManifestInfo): Promise<{
    readonly tags: readonly ShallowTag[];
    readonly hiddenEnded: number;
    readonly stillAvailable: boolean;
  }>;
  /**
   * Sets or clears (null) the end of the very row given. The end lies between 1 hour and 104 weeks
   * after the tag's start: `endMs` is what it came to. `ok` is false if the row was replaced or is
   * over. Errors: TagImmutable, ExpirationOutOfRange.
   */
  changeRepositoryTagExpiration(
    tag: Tag,
    expiration: Date | null,
  ): Promise<{
    readonly ok: boolean;
    readonly changed: boolean;
    readonly endMs: number | null;
    readonly previousEndMs: number | null;
  }>;
  /**
   * Locks or unlocks the very row given. `previous` is null and `ok` false if the row was replaced
   * or is over. Errors: TagHasExpiration.
   */
  changeTagImmutability(
    tag: Tag,
    immutable: boolean,
  ): Promise<{ readonly ok: boolean; readonly previous: boolean | null }>;
  /**
   * Ends every alive visible tag of the manifest so many seconds after its own start, which may be
   * at once; immutable ones are skipped. Gives how many changed.
   */
  setTagsExpirationForManifest(manifest: ManifestInfo, expirationSec: number): Promise<number>;
  /**
   * Moves generations of a name on a manifest out of the time machine: the alive one if `isAlive`,
   * else every ended one within the window. Immutable ones stay. Gives whether any was moved.
   */
  removeTagFromTimemachine(
    repository: RepositoryRef,
    tagName: string,
    manifest: ManifestInfo,
    options?: { readonly includeSubmanifests?: boolean; readonly isAlive?: boolean },
  ): Promise<boolean>;
}

export interface ManifestReads {
  /** The manifest that a tag's row points to, alive or not; null if it was collected meanwhile. */
  getManifestForTag(tag: Tag): Promise<Manifest | null>;
  /**
   * A manifest by digest: available by visible tags; with `allowHidden` by temporary ones too; with
   * `allowDead` also if nothing holds it. `requireAvailable` keeps what was found for 300 s more.
   * Errors: ManifestNotFound (r).
   */
  lookupManifestByDigest(
    repository: RepositoryRef,
    digest: string,
    options?: RaiseOnError & {
      readonly allowDead?: boolean;
      readonly allowHidden?: boolean;
      readonly requireAvailable?: boolean;
    },
  ): Promise<Manifest | null>;
  /**
   * The schema 1 form, unsigned, of an image whose layers are all kept here; of a list, that of its
   * first child for amd64 and Linux. Null where none can be built, which is ManifestInvalid too.
   * Errors: ManifestNotFound (r), ManifestInvalid (r).
   */
  getSchema1ParsedManifest(
    manifest: ManifestInfo,
    namespaceName: string,
    repositoryName: string,
    tagName: string,
    options?: RaiseOnError,
  ): Promise<ParsedSchema1 | null>;
  /**
   * The manifest in an allowed media type: itself, byte for byte, if its own is one; else, of a
   * list, what its first child for amd64 and Linux is converted to, and of an image its schema 1
   * form. Null if that gives none.
   */
  convertManifest(
    manifest: ManifestInfo,
    namespaceName: string,
    repositoryName: string,
    tagName: string,
    allowedMediaTypes: ReadonlySet<string>,
  ): Promise<ManifestForm | null>;
}

export interface ManifestWrites {
  /**
   * Stores a manifest, its links and labels, and moves the tag to it, all or nothing. `created`
   * says whether this call stored it; a known manifest gets a new generation of the tag only.
   * Errors: TagNameInvalid (r), ManifestInvalid (r), BlobUnknown (r), QuotaExceeded (r),
   * TagImmutable (r), RetargetFailed (r), Conflict.
   */
  createManifestAndRetargetTag(
    repository: RepositoryRef,
    manifest: ParsedManifest,
    tagName: string,
    options?: RaiseOnError,
  ): Promise<{ readonly manifest: Manifest; readonly tag: Tag; readonly created: boolean } | null>;
  /**
   * Stores a manifest held by a temporary tag of so many seconds (1 or more); one that has a
   * subject is held for good. Errors: ManifestInvalid (r), BlobUnknown (r), QuotaExceeded (r),
   * RetargetFailed (r), Conflict.
   */
  createManifestWithTempTag(
    repository: RepositoryRef,
    manifest: ParsedManifest,
    expirationSec: number,
    options?: RaiseOnError,
  ): Promise<Manifest | null>;
}

export interface LayerReads {
  /** The blobs that a manifest needs from here, base to leaf, the config last; null: no row. */
  getManifestLocalBlobs(
    manifest: ManifestInfo,
    options?: IncludePlacements,
  ): Promise<readonly Blob[] | null>;
  /** One entry per step of the history, base to leaf; null where they cannot be told. */
  listManifestLayers(
    manifest: ManifestInfo,
    options?: IncludePlacements,
  ): Promise<readonly ManifestLayer[] | null>;
  /**
   * The same for a manifest that is not stored yet; null if a local blob is missing.
   * Errors: ManifestInvalid, NotAnImageManifest.
   */
  listParsedManifestLayers(
    repository: RepositoryRef,
    manifest: ManifestForm,
    options?: IncludePlacements,
  ): Promise<readonly ManifestLayer[] | null>;
}

export interface LegacyImageReads {
  /** The Docker v1 id of the image that an alive visible tag names, or null. */
  getTagLegacyImageId(repository: RepositoryRef, tagName: string): Promise<string | null>;
  /** The same for every alive visible tag; the images are not checked. */
  getLegacyTagsMap(repository: RepositoryRef): Promise<ReadonlyMap<string, string>>;
  /** The image of an id in its own repository, or null. */
  getLegacyImage(
    repository: RepositoryRef,
    dockerImageId: string,
    options?: { readonly includeBlob?: boolean },
  ): Promise<LegacyImage | null>;
}

export interface BlobReads {
  /** The blob of a digest if it can be seen from the repository; null also for no digest. */
  getRepoBlobByDigest(
    repository: RepositoryRef,
    digest: string,
    options?: IncludePlacements,
  ): Promise<Blob | null>;
}

export interface BlobMounts {
  /**
   * Leases an existing blob to another repository for so many seconds at least. True iff the lease
   * is there afterwards. Whether the caller may read the source is the caller's to ask.
   */
  mountBlobIntoRepository(
    blob: Blob,
    target: RepositoryRef,
    expirationSec: number,
  ): Promise<boolean>;
}

export interface BlobUploads {
  /**
   * Begins an upload; null if the repository is gone. The same id again gives the same upload while
   * nothing was received. Errors: UnknownLocation, UploadConflict.
   */
  createBlobUpload(
    repository: RepositoryRef,
    uploadId: string,
    locationName: string,
    storageMetadata: JsonObject,
  ): Promise<BlobUpload | null>;
  /** An upload of this repository, or null. */
  lookupBlobUpload(repository: RepositoryRef, uploadId: string): Promise<BlobUpload | null>;
  /**
   * Records what was received if the upload is still what the snapshot says, and gives the new
   * snapshot; null if the upload is gone. Errors: UploadConflict.
   */
  updateBlobUpload(
    upload: BlobUpload,
    received: {
      readonly uncompressedByteCount: number | null;
      readonly storageMetadata: JsonObject;
      readonly byteCount: number;
      readonly chunkCount: number;
      readonly shaState: string;
    },
  ): Promise<BlobUpload | null>;
  /** Gives an upload up; what it has in R2 is buried. Doing it twice is the same. */
  deleteBlobUpload(upload: BlobUpload): Promise<void>;
  /**
   * Turns an upload whose object is whole into a blob leased to its repository for so many seconds;
   * null if the upload or the repository is gone. Digest and bytes are the caller's to have
   * checked. Errors: UploadConflict.
   */
  commitBlobUpload(upload: BlobUpload, digest: string, expirationSec: number): Promise<Blob | null>;
}

export interface ManifestLabels {
  /**
   * Puts a label on a manifest; null if the manifest is gone. `quay.expires-after` ends the alive
   * visible tags of the manifest so long after their starts, `quay.immutable` locks them, in the
   * same transaction. Keys may repeat; only an image's own label comes once. Without a media type
   * the value is JSON if it is a JSON object or array, else plain text.
   * Errors: InvalidLabelKey, InvalidMediaType, ImmutableLabel.
   */
  createManifestLabel(
    manifest: ManifestInfo,
    key: string,
    value: string,
    source: LabelSource,
    mediaType?: string | null,
  ): Promise<Label | null>;
  /**
   * The same for all labels that the callback adds, in its order, all or nothing. Of several that
   * act on tags in the same way the last one does.
   */
  batchCreateManifestLabels(
    manifest: ManifestInfo,
    collect: (
      add: (key: string, value: string, source: LabelSource, mediaType?: string | null) => void,
    ) => void | Promise<void>,
  ): Promise<readonly Label[] | null>;
  /** Labels in order of creation: those whose key begins with the prefix; null or empty: all. */
  listManifestLabels(manifest: ManifestInfo, keyPrefix?: string | null): Promise<readonly Label[]>;
  /** The label if it is on this very manifest, or null. */
  getManifestLabel(manifest: ManifestInfo, labelUuid: string): Promise<Label | null>;
  /**
   * Removes a label that was made through the API and gives it as it was, or null if there is none.
   * What it did to tags stays. Errors: ImmutableLabel.
   */
  deleteManifestLabel(manifest: ManifestInfo, labelUuid: string): Promise<Label | null>;
}

export interface SecurityReports {
  /** Has a manifest, or that of a legacy image, indexed again. Doing it twice is the same. */
  resetSecurityStatus(target: ManifestInfo | LegacyImage): Promise<void>;
  /**
   * Manifests of a digest, anywhere, whose repositories want to hear of vulnerabilities: each once,
   * by id, with tags or without.
   */
  findManifestsForSecNotification(digest: string): Promise<readonly ManifestInfo[]>;
  /**
   * The severities that a repository wants to hear of, one for each notification that names one, in
   * the order they were made; null: no such repository.
   */
  lookupSecscanNotificationSeverities(repository: RepositoryRef): Promise<readonly string[] | null>;
}

export interface GarbageFinder {
  /** A repository, drawn from those whose window is this one, with a tag beyond recovery. */
  findRepositoryWithGarbage(limitToGcPolicySec: number): Promise<RepositoryRef | null>;
}

export interface CachedReads {
  /** What {@link TagReads.lookupActiveRepositoryTags} gives, through the cache. */
  lookupCachedActiveRepositoryTags(
    repository: RepositoryRef,
    lastName: string | null,
    limit: number,
  ): Promise<Page<ShallowTag>>;
  /** What {@link BlobReads.getRepoBlobByDigest} gives, by names and through the cache. */
  getCachedRepoBlob(
    namespaceName: string,
    repositoryName: string,
    digest: string,
  ): Promise<Blob | null>;
  /** Upper-case country codes that the namespace does not serve; null: could not be loaded. */
  getCachedNamespaceRegionBlacklist(namespaceName: string): Promise<ReadonlySet<string> | null>;
}
