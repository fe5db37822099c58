import type { ContentfulStatusCode } from 'hono/utils/http-status';

import type {
  AnyRegistryError,
  RegistryErrorCode,
  RegistryErrorDetails,
} from '../../model/errors.ts';
import { formatRfc3339 } from '../../model/rfc3339.ts';
import type { RequestRefused } from '../request-refused.ts';

/** The distribution-spec's error codes, and the two that its implementations use for 5xx. */
export type OciErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'UNKNOWN'
  | 'UNAVAILABLE';

export interface OciErrorEntry {
  readonly code: OciErrorCode;
  readonly message: string;
  readonly detail?: unknown;
}

/** A refusal in the form of the distribution-spec: an HTTP status and one or more entries. */
export class OciError extends Error {
  readonly status: ContentfulStatusCode;
  readonly entries: readonly OciErrorEntry[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: ContentfulStatusCode,
    entry: OciErrorEntry | readonly OciErrorEntry[],
    headers: Readonly<Record<string, string>> = {},
  ) {
    const entries = Array.isArray(entry)
      ? (entry as readonly OciErrorEntry[])
      : [entry as OciErrorEntry];
    super(entries.map(({ message }) => message).join('; '));
    this.name = 'OciError';
    this.status = status;
    this.entries = entries;
    this.headers = headers;
  }
}

/** What no endpoint of the distribution-spec asks for refuses with these. */
const OF_MANAGEMENT = [
  'AccountNotFound',
  'DuplicatePolicy',
  'ExpirationOutOfRange',
  'FieldInvalid',
  'HeldByPullDaysOutOfRange',
  'ImmutableLabel',
  'InvalidFilter',
  'InvalidImport',
  'InvalidLabelKey',
  'InvalidMediaType',
  'InvalidPolicy',
  'InvalidQuota',
  'InvalidRelease',
  'InvalidTrustRule',
  'LimitReached',
  'NameInvalid',
  'NameReserved',
  'NameTaken',
  'NamespaceNotFound',
  'NotAnImageManifest',
  'NotAnOrganization',
  'PolicyNotFound',
  'ReleaseNotFound',
  'ReleaseRefused',
  'ReleaseUndone',
  'RobotNotAllowed',
  'TagHasExpiration',
  'UnknownLocation',
] as const satisfies readonly RegistryErrorCode[];
type ManagementRefusal = Extract<AnyRegistryError, { code: (typeof OF_MANAGEMENT)[number] }>;

function isOfManagement(error: AnyRegistryError): error is ManagementRefusal {
  return OF_MANAGEMENT.some((code) => code === error.code);
}

/** The domain's refusal as the distribution-spec says it; every other code has an arm. */
export function toOciError(error: AnyRegistryError): OciError {
  const { message } = error;
  if (isOfManagement(error)) {
    return new OciError(400, { code: 'UNSUPPORTED', message });
  }
  switch (error.code) {
    case 'RepositoryNotFound':
      return new OciError(404, { code: 'NAME_UNKNOWN', message });
    case 'RepositoryReadOnly':
      return denied(403, { message, detail: { reason: 'READ_ONLY' } });
    case 'TagNotFound':
    case 'ManifestNotFound':
      return new OciError(404, { code: 'MANIFEST_UNKNOWN', message });
    case 'TimeInFuture':
      return badTime(message);
    case 'TagNameInvalid':
      return manifestInvalid(400, { message, detail: { reason: 'TAG_INVALID' } });
    case 'TagImmutable':
      return denied(409, {
        message,
        detail: { reason: 'TAG_IMMUTABLE', tag: error.detail.tagName },
      });
    case 'ManifestInvalid':
      return manifestInvalid(400, { message, detail: { reason: error.detail.reason } });
    case 'ManifestTypeUnsupported':
      return manifestInvalid(415, { message });
    case 'ManifestTooLarge':
      return manifestInvalid(413, { message, detail: { maxBytes: error.detail.maxBytes } });
    case 'BlobUnknown':
      return contentUnknown(error.detail.digests);
    case 'RetargetFailed':
      return error.detail.reason === 'repository-gone'
        ? new OciError(404, { code: 'NAME_UNKNOWN', message })
        : new OciError(404, { code: 'MANIFEST_UNKNOWN', message });
    case 'QuotaExceeded':
      return quotaExceeded(message, error.detail);
    case 'BlobTooLarge':
    case 'BodyLength':
    case 'DigestMismatch':
    case 'UploadConflict':
    case 'UploadRange':
      return bytesRefused(error);
    case 'BlobInUse':
      return blobInUse(message, error.detail);
    case 'Conflict':
      return new OciError(429, { code: 'TOOMANYREQUESTS', message }, { 'Retry-After': '1' });
    case 'IssuerUnavailable':
      return new OciError(503, { code: 'UNAVAILABLE', message });
  }
}

type BytesError = Extract<
  AnyRegistryError,
  { code: 'BlobTooLarge' | 'BodyLength' | 'DigestMismatch' | 'UploadConflict' | 'UploadRange' }
>;

/** What may be wrong with the bytes of a blob or a manifest on their way in. */
function bytesRefused({ code, message, detail }: BytesError): OciError {
  switch (code) {
    case 'BlobTooLarge': {
      const { maxBytes } = detail;
      return new OciError(413, { code: 'SIZE_INVALID', message, detail: { maxBytes } });
    }
    case 'BodyLength':
      return new OciError(400, { code: 'SIZE_INVALID', message });
    case 'DigestMismatch':
      return new OciError(400, { code: 'DIGEST_INVALID', message });
    case 'UploadConflict':
      return new OciError(409, { code: 'BLOB_UPLOAD_INVALID', message });
    case 'UploadRange':
      return new OciError(416, { code: 'BLOB_UPLOAD_INVALID', message });
  }
}

/** The refusal of a request that was not looked at, as the distribution-spec says it. */
export function refusedAsOci({ kind, message, headers }: RequestRefused): OciError {
  switch (kind) {
    case 'too_many_requests':
      return new OciError(429, { code: 'TOOMANYREQUESTS', message }, headers);
    case 'uri_too_long':
      return new OciError(414, { code: 'SIZE_INVALID', message }, headers);
  }
}

/** One entry for each digest that a manifest names and the repository lacks. */
function contentUnknown(digests: readonly string[]): OciError {
  return new OciError(
    400,
    digests.map((digest) => ({
      code: 'MANIFEST_BLOB_UNKNOWN',
      message: 'the repository does not have this content',
      detail: { digest },
    })),
  );
}

function blobInUse(
  message: string,
  { manifestDigest, restorableUntilMs }: RegistryErrorDetails['BlobInUse'],
): OciError {
  return denied(405, {
    message,
    detail: {
      reason: 'BLOB_IN_USE',
      manifest: manifestDigest,
      restorableUntil: restorableUntilMs === null ? null : formatRfc3339(restorableUntilMs),
    },
  });
}

function quotaExceeded(
  message: string,
  { quota, addedBytes }: RegistryErrorDetails['QuotaExceeded'],
): OciError {
  const { limitBytes, rejectPercent, usedBytes } = quota;
  return denied(403, {
    message,
    detail: { reason: 'QUOTA_EXCEEDED', limitBytes, rejectPercent, usedBytes, addedBytes },
  });
}

interface Refusal {
  readonly message: string;
  readonly detail?: unknown;
}

/** 403, 405 or 409 `DENIED`: the request is understood and will not be done. */
export function denied(status: 403 | 405 | 409, refusal: Refusal): OciError {
  return new OciError(status, { code: 'DENIED', ...refusal });
}

/** 400 `MANIFEST_INVALID`: the time that a tag was asked for is none, or is still to come. */
export function badTime(message: string): OciError {
  return manifestInvalid(400, { message, detail: { reason: 'BAD_TIME' } });
}

/** 400, 413 or 415 `MANIFEST_INVALID`. */
function manifestInvalid(status: 400 | 413 | 415, refusal: Refusal): OciError {
  return new OciError(status, { code: 'MANIFEST_INVALID', ...refusal });
}
