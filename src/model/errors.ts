import { HELD_BY_PULL_DAYS_MAX, LABEL_KEY_LENGTH_MAX } from './limits.ts';
import { percentOf, type Quota } from './quota.ts';
import type { ReleaseRefusal } from './releases.ts';
import { formatRfc3339 } from './rfc3339.ts';

/**
 * Everything the domain may refuse: by code, what it tells about the refusal. Transports map the
 * codes to their own statuses in one exhaustive `switch` each (`http/oci/errors.ts`), so a new code
 * does not compile until every transport has an answer for it.
 *
 * Absence is not an error: a look-up that finds nothing gives `null`. Failures of D1, R2 or KV are
 * not in this table either: they are thrown as they come.
 */
export interface RegistryErrorDetails {
  /** No such repository, or it is marked for deletion. */
  RepositoryNotFound: { readonly name: string };
  /** The repository's state takes no pushes. */
  RepositoryReadOnly: { readonly name: string };
  /** No alive tag of that name. */
  TagNotFound: { readonly tagName: string };
  /** No such manifest that the caller may reach in this way. */
  ManifestNotFound: { readonly digest: string };
  /** What a tag will point to is not known: the time asked about is still to come. */
  TimeInFuture: { readonly atMs: number; readonly nowMs: number };
  /** The text is not a legal tag name. */
  TagNameInvalid: { readonly tagName: string };
  /** The tag is locked: immutable, alive, and enforcement is on. */
  TagImmutable: {
    readonly tagName: string;
    readonly operation: 'overwrite' | 'delete' | 'set expiration on';
    readonly repositoryId: number;
  };
  /** A filter, a cursor or a span of time of a list is none. */
  InvalidFilter: { readonly parameter: 'filterTagName' | 'cursor' | 'span' };
  /** A tag that has an end cannot be locked. */
  TagHasExpiration: { readonly tagName: string };
  /** The end that the bounds leave would not be in the future. */
  ExpirationOutOfRange: { readonly tagName: string; readonly endMs: number };
  /** The bytes are not a manifest that this registry stores; `reason` says what is wrong. */
  ManifestInvalid: { readonly reason: string };
  /** The manifest lists others, where one image is asked for. */
  NotAnImageManifest: { readonly digest: string };
  /** The manifest's media type is none of the four that are stored. */
  ManifestTypeUnsupported: { readonly mediaType: string };
  /** The manifest has more than `maxBytes` bytes. */
  ManifestTooLarge: { readonly maxBytes: number };
  /** The manifest names blobs or child manifests that the repository lacks. */
  BlobUnknown: { readonly digests: readonly string[] };
  /** The content does not have the digest it was given; `actual` is null where it is not known. */
  DigestMismatch: { readonly expected: string; readonly actual: string | null };
  /** What the tag should point to, or where it should stand, is not there any more. */
  RetargetFailed: { readonly reason: 'manifest-gone' | 'repository-gone' | 'cross-repository' };
  /** The moves are none that a release can have. */
  InvalidRelease: { readonly reason: string };
  /** A release was refused whole for this one of its moves; `index` counts from 0. */
  ReleaseRefused: {
    readonly index: number;
    /** `namespace/name`. */
    readonly repository: string;
    readonly tagName: string;
    readonly reason: ReleaseRefusal;
    /** What the tag points to; null: there is none. */
    readonly currentDigest: string | null;
  };
  /** No such release of the namespace, or it was forgotten. */
  ReleaseNotFound: { readonly uuid: string };
  /** The release was undone already, by that other one. */
  ReleaseUndone: { readonly uuid: string; readonly undoneBy: string };
  /** Another writer holds the upload, or moved it on since it was read. */
  UploadConflict: { readonly uploadId: string };
  /** A chunk does not start at the next byte; the upload stays usable at `expectedOffset`. */
  UploadRange: { readonly uploadId: string; readonly expectedOffset: number };
  /** The blob would be larger than the registry takes; the upload was cancelled. */
  BlobTooLarge: { readonly uploadedBytes: number; readonly maxBytes: number };
  /**
   * The namespace would hold more than its quota lets pushes leave; an upload was cancelled.
   * `addedBytes` is what the push, or the open uploads of the repository, would add.
   */
  QuotaExceeded: {
    readonly namespaceName: string;
    readonly quota: Quota & { readonly rejectPercent: number };
    readonly addedBytes: number;
  };
  /** The limits are none that a quota can have. */
  InvalidQuota: { readonly reason: string };
  /** A body ended before, or went on after, its announced length; `actualBytes` if counted. */
  BodyLength: { readonly expectedBytes: number; readonly actualBytes: number | null };
  /** A manifest of the repository holds the blob; null: for as long as that manifest is alive. */
  BlobInUse: { readonly manifestDigest: string; readonly restorableUntilMs: number | null };
  /** The pattern of a policy, or its number, is not one that the registry takes. */
  InvalidPolicy: {
    readonly field: 'tagPattern' | 'tagPatternMatches' | 'value';
    readonly reason: string;
  };
  /** The repository or namespace has such a policy already; one that locks tags inverted or not. */
  DuplicatePolicy: { readonly tagPattern: string | null };
  /** No such policy there; `uuid` is null where there are none, as immutability is not enforced. */
  PolicyNotFound: { readonly uuid: string | null };
  /** The number of days is none that a namespace may hold what is pulled for. */
  HeldByPullDaysOutOfRange: { readonly days: number };
  /** A trust rule of a robot, or their number, is not one that the registry takes. */
  InvalidTrustRule: { readonly reason: string };
  /** The OpenID issuer does not give its keys, or gave what is none; `reason` is for operators. */
  IssuerUnavailable: { readonly issuer: string; readonly reason: string };
  /** The text is not a legal key for a label of its source. */
  InvalidLabelKey: { readonly key: string };
  /** The media type is not one that a label's value may have. */
  InvalidMediaType: { readonly mediaType: string };
  /** The label is the image's own or the registry's, which nobody takes away or gives again. */
  ImmutableLabel: { readonly key: string };
  /** The storage location is not one that this registry knows. */
  UnknownLocation: { readonly locationName: string };
  /** Nobody can be called so, or no robot; `name` is what was asked for. */
  NameInvalid: { readonly name: string };
  /** Nobody may take the name: it is the administrator's, or that of short names. */
  NameReserved: { readonly name: string };
  /** A namespace or a robot has the name already. */
  NameTaken: { readonly name: string };
  /** No such namespace, or it is marked for deletion. */
  NamespaceNotFound: { readonly name: string };
  /** The namespace is a person's own, where members and a role of theirs make no sense. */
  NotAnOrganization: { readonly name: string };
  /** No such person or robot; `name` is null where they were asked for by id. */
  AccountNotFound: { readonly name: string | null };
  /** The robot may not be given this: it is another namespace's, or only a person can have it. */
  RobotNotAllowed: { readonly name: string; readonly reason: 'foreign' | 'admin' };
  /** There are as many as there may be. */
  LimitReached: {
    readonly what:
      | 'robots'
      | 'app tokens'
      | 'members'
      | 'permissions'
      | 'imports under way'
      | 'notifications';
    readonly max: number;
  };
  /** What somebody wrote about a thing is too long, or a time is out of bounds. */
  FieldInvalid: {
    readonly field:
      | 'title'
      | 'description'
      | 'metadata'
      | 'expiration'
      | 'data'
      | 'config.url'
      | 'eventConfig.days';
    readonly reason: string;
  };
  /** Nothing can be imported by what was asked for; `reason` says why. */
  InvalidImport: { readonly field: 'source' | 'tags'; readonly reason: string };
  /** The write lost its race as often as it was begun; the same request may succeed later. */
  Conflict: { readonly attempts: number };
}

export type RegistryErrorCode = keyof RegistryErrorDetails;

const MESSAGES: { [Code in RegistryErrorCode]: (detail: RegistryErrorDetails[Code]) => string } = {
  RepositoryNotFound: ({ name }) => `repository '${name}' not found`,
  RepositoryReadOnly: ({ name }) => `repository '${name}' takes no pushes`,
  TagNotFound: ({ tagName }) => `tag '${tagName}' not found`,
  ManifestNotFound: ({ digest }) => `manifest ${digest} not found`,
  TimeInFuture: ({ atMs, nowMs }) =>
    `${formatRfc3339(atMs)} is still to come: here it is ${formatRfc3339(nowMs)}`,
  TagNameInvalid: () =>
    'a tag name has 1 to 128 letters, digits, dots, dashes and underscores, ' +
    'and starts with neither dot nor dash',
  TagImmutable: ({ tagName, operation }) => `Cannot ${operation} immutable tag '${tagName}'`,
  InvalidFilter: ({ parameter }) =>
    ({
      cursor: 'the cursor is not one that a page gave',
      span: 'a span of time ends after it begins',
      filterTagName: "a filter of tag names is 'eq:<name>' or 'like:<text>'",
    })[parameter],
  TagHasExpiration: ({ tagName }) =>
    `tag '${tagName}' has an expiration and cannot be made immutable`,
  ExpirationOutOfRange: ({ tagName, endMs }) =>
    `tag '${tagName}' would have expired at ${new Date(endMs).toISOString()}`,
  ManifestInvalid: ({ reason }) => `manifest invalid: ${reason}`,
  NotAnImageManifest: ({ digest }) => `manifest ${digest} is a list, not an image`,
  ManifestTypeUnsupported: ({ mediaType }) => `manifests of type '${mediaType}' are not accepted`,
  ManifestTooLarge: ({ maxBytes }) => `a manifest may have at most ${maxBytes} bytes`,
  BlobUnknown: ({ digests }) => `content unknown to the repository: ${digests.join(', ')}`,
  DigestMismatch: ({ expected, actual }) =>
    actual === null
      ? `the content does not have the digest ${expected}`
      : `the content has the digest ${actual}, not ${expected}`,
  RetargetFailed: ({ reason }) => `the tag was not moved: ${reason}`,
  InvalidRelease: ({ reason }) => `release invalid: ${reason}`,
  ReleaseRefused: ({ index, repository, tagName, reason, currentDigest }) =>
    `moves.${index}: ` +
    {
      tag_moved:
        currentDigest === null
          ? `there is no tag '${tagName}' in '${repository}'`
          : `tag '${tagName}' of '${repository}' was moved, and points to ${currentDigest}`,
      tag_immutable: `tag '${tagName}' of '${repository}' is immutable`,
      manifest_unknown: `'${repository}' has no such manifest for tag '${tagName}'`,
      repository_gone: `repository '${repository}' is gone`,
    }[reason],
  ReleaseNotFound: ({ uuid }) => `release ${uuid} not found`,
  ReleaseUndone: ({ uuid, undoneBy }) => `release ${uuid} was undone by ${undoneBy}`,
  UploadConflict: ({ uploadId }) => `upload ${uploadId} is held or was changed by another request`,
  UploadRange: ({ uploadId, expectedOffset }) =>
    `the next byte of upload ${uploadId} is byte ${expectedOffset}`,
  BlobTooLarge: ({ uploadedBytes, maxBytes }) =>
    `a blob may have at most ${maxBytes} bytes, this one has at least ${uploadedBytes}`,
  QuotaExceeded: ({ namespaceName, quota, addedBytes }) =>
    `namespace '${namespaceName}' may hold ${percentOf(quota.limitBytes, quota.rejectPercent)} ` +
    `bytes; it holds ${quota.usedBytes}, and this would add ${addedBytes}`,
  InvalidQuota: ({ reason }) => `quota invalid: ${reason}`,
  BodyLength: ({ expectedBytes, actualBytes }) =>
    actualBytes === null
      ? `the body does not have the ${expectedBytes} bytes that were announced`
      : `the body has ${actualBytes} bytes where ${expectedBytes} were announced`,
  BlobInUse: ({ manifestDigest }) => `the blob is used by manifest ${manifestDigest}`,
  InvalidPolicy: ({ field, reason }) => `policy invalid: ${field}: ${reason}`,
  DuplicatePolicy: ({ tagPattern }) =>
    tagPattern === null
      ? 'there is such a policy for all tags already'
      : `there is a policy with the pattern '${tagPattern}' already`,
  PolicyNotFound: ({ uuid }) =>
    uuid === null
      ? 'there are no immutability policies: immutability is not enforced'
      : `policy ${uuid} not found`,
  HeldByPullDaysOutOfRange: ({ days }) =>
    `what was pulled is held for 0 to ${HELD_BY_PULL_DAYS_MAX} whole days, not for ${days}`,
  InvalidTrustRule: ({ reason }) => `trust rule invalid: ${reason}`,
  IssuerUnavailable: ({ issuer }) => `the keys of ${issuer} cannot be had now; try again`,
  InvalidLabelKey: () =>
    `key: has 1 to ${LABEL_KEY_LENGTH_MAX} lower-case letters, digits, and single dots ` +
    'and dashes between them',
  InvalidMediaType: ({ mediaType }) =>
    `a label's value is 'text/plain' or 'application/json', not '${mediaType}'`,
  ImmutableLabel: ({ key }) => `label '${key}' was not made through the API and cannot be changed`,
  UnknownLocation: ({ locationName }) => `unknown storage location '${locationName}'`,
  NameInvalid: ({ name }) => `nobody can be called '${name}'`,
  NameReserved: ({ name }) => `the name '${name}' is reserved`,
  NameTaken: ({ name }) => `the name '${name}' is taken`,
  NamespaceNotFound: ({ name }) => `namespace '${name}' not found`,
  NotAnOrganization: ({ name }) => `namespace '${name}' is a person's own, not an organization`,
  AccountNotFound: ({ name }) => (name === null ? 'no such person' : `nobody is called '${name}'`),
  RobotNotAllowed: ({ name, reason }) =>
    reason === 'foreign'
      ? `robot '${name}' belongs to another namespace`
      : `robot '${name}' cannot be an admin of an organization`,
  LimitReached: ({ what, max }) => `there are ${max} ${what} already, and may not be more`,
  FieldInvalid: ({ field, reason }) => `${field} invalid: ${reason}`,
  InvalidImport: ({ field, reason }) => `${field}: ${reason}`,
  Conflict: ({ attempts }) => `the write lost its race ${attempts} times; try again`,
};

/** A refusal of the domain. `code` is stable, `detail` is what the code's row above says. */
export class RegistryError<Code extends RegistryErrorCode = RegistryErrorCode> extends Error {
  readonly code: Code;
  readonly detail: RegistryErrorDetails[Code];

  constructor(code: Code, detail: RegistryErrorDetails[Code]) {
    super(MESSAGES[code](detail));
    this.name = `${code}Error`;
    this.code = code;
    this.detail = detail;
  }
}

/** The closed union: a `switch` over `error.code` narrows `error.detail` too. */
export type AnyRegistryError = {
  [Code in RegistryErrorCode]: RegistryError<Code>;
}[RegistryErrorCode];

/** Whether a caught value is one of the domain's refusals. */
export function isRegistryError(error: unknown): error is AnyRegistryError {
  return error instanceof RegistryError;
}

/**
 * A store failed, or did not answer, for a reason that passes. Nobody refused anything: what was asked
 * may have been done or not, and the same request may succeed soon.
 */
export class StoreUnavailable extends Error {
  readonly store: 'database' | 'bucket';

  constructor(store: StoreUnavailable['store'], message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'StoreUnavailable';
    this.store = store;
  }
}
