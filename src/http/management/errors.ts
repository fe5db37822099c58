import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';

import type {
  AnyRegistryError,
  RegistryError,
  RegistryErrorCode,
  RegistryErrorDetails,
} from '../../model/errors.ts';
import { ERROR_MESSAGE_LENGTH_MAX } from '../../model/limits.ts';
import type { AppEnv } from '../scope.ts';

/** What the management API may answer instead of what was asked for: by type, status and meaning. */
export const MANAGEMENT_ERRORS = {
  invalid_request: { status: 400, description: 'The request is not one that this endpoint takes.' },
  invalid_token: { status: 401, description: 'No credentials were sent, or they are not good.' },
  exceeds_license: { status: 402, description: 'The namespace has no room left.' },
  insufficient_scope: { status: 403, description: 'The caller may not do this.' },
  not_found: { status: 404, description: 'There is no such thing, or the caller may not see it.' },
  method_not_allowed: { status: 405, description: 'The path knows other methods.' },
  tag_immutable: { status: 409, description: 'The tag is locked.' },
  conflict: { status: 409, description: 'It is there already, or was changed meanwhile.' },
  payload_too_large: { status: 413, description: 'A body has 1 MiB at most.' },
  uri_too_long: { status: 414, description: 'The URL is too long, or has too many parameters.' },
  unsupported_media_type: { status: 415, description: 'A body is JSON.' },
  too_many_requests: { status: 429, description: 'The same request may succeed a little later.' },
  server_error: { status: 500, description: 'Something went wrong here; the log has more.' },
  downstream_issue: { status: 520, description: 'Another server did not answer as it should.' },
  read_only: { status: 503, description: 'The repository takes no writes in its state.' },
  not_configured: { status: 503, description: 'A secret or setting of the registry is missing.' },
  unavailable: { status: 503, description: 'A store does not answer now; try again.' },
} as const satisfies Record<string, { status: number; description: string }>;

export type ManagementErrorType = keyof typeof MANAGEMENT_ERRORS;

/** A refusal of the management API. */
export class ManagementError extends Error {
  readonly type: ManagementErrorType;
  /** What the body has beside what all refusals have. */
  readonly fields: Readonly<Record<string, unknown>> = {};
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    type: ManagementErrorType,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(toSayable(message));
    this.name = 'ManagementError';
    this.type = type;
    this.headers = headers;
  }
}

/** A message as an answer has it: what it quotes may be a whole body, and no text. */
function toSayable(message: string): string {
  const shown =
    message.length > ERROR_MESSAGE_LENGTH_MAX
      ? `${message.slice(0, ERROR_MESSAGE_LENGTH_MAX - 1)}…`
      : message;
  return shown.toWellFormed();
}

/** A release that was refused whole, and for which of its moves. */
class ReleaseRefused extends ManagementError {
  override readonly fields: ManagementError['fields'];

  constructor({ message, detail }: RegistryError<'ReleaseRefused'>) {
    super(TYPES.ReleaseRefused, message);
    const { index, repository, tagName: tag, reason, currentDigest } = detail;
    this.fields = { move: { index, repository, tag, reason, current_digest: currentDigest } };
  }
}

/** The answer to a refusal, in the form that Quay's clients read. */
export function answerManagementError(c: Context<AppEnv>, error: ManagementError): Response {
  const { type, message, headers, fields } = error;
  const { status } = MANAGEMENT_ERRORS[type];
  const body = {
    status,
    title: type,
    type: `${new URL(c.req.url).origin}/api/v1/error/${type}`,
    detail: message,
    error_type: type,
    error_message: message,
    ...fields,
  };
  // 520 is none of HTTP's, but what clients of this API know.
  return c.json(body, status as ContentfulStatusCode, headers);
}

/** The domain's refusal as the management API says it. */
export function toManagementError(error: AnyRegistryError): ManagementError {
  if (error.code === 'ReleaseRefused') {
    return new ReleaseRefused(error);
  }
  if (error.code === 'InvalidFilter') {
    const field = FILTER_FIELDS[error.detail.parameter];
    return new ManagementError(TYPES.InvalidFilter, `${field}: ${error.message}`);
  }
  const isBadRequest =
    error.code === 'RetargetFailed' && error.detail.reason === 'cross-repository';
  return new ManagementError(isBadRequest ? 'invalid_request' : TYPES[error.code], error.message);
}

/** What a request calls that by which the domain looks for something. */
const FILTER_FIELDS: Readonly<Record<RegistryErrorDetails['InvalidFilter']['parameter'], string>> =
  {
    cursor: 'next_page',
    filterTagName: 'filter_tag_name',
    span: 'endtime',
  };

/** Every code has a line. */
const TYPES: Readonly<Record<RegistryErrorCode, ManagementErrorType>> = {
  AccountNotFound: 'not_found',
  BlobInUse: 'conflict',
  BlobTooLarge: 'invalid_request',
  BlobUnknown: 'invalid_request',
  BodyLength: 'invalid_request',
  Conflict: 'too_many_requests',
  DigestMismatch: 'invalid_request',
  DuplicatePolicy: 'invalid_request',
  ExpirationOutOfRange: 'invalid_request',
  FieldInvalid: 'invalid_request',
  HeldByPullDaysOutOfRange: 'invalid_request',
  ImmutableLabel: 'invalid_request',
  InvalidFilter: 'invalid_request',
  InvalidImport: 'invalid_request',
  InvalidLabelKey: 'invalid_request',
  InvalidMediaType: 'invalid_request',
  InvalidPolicy: 'invalid_request',
  InvalidQuota: 'invalid_request',
  InvalidRelease: 'invalid_request',
  InvalidTrustRule: 'invalid_request',
  IssuerUnavailable: 'downstream_issue',
  LimitReached: 'exceeds_license',
  ManifestInvalid: 'invalid_request',
  ManifestNotFound: 'not_found',
  ManifestTooLarge: 'invalid_request',
  ManifestTypeUnsupported: 'invalid_request',
  NameInvalid: 'invalid_request',
  NameReserved: 'invalid_request',
  NameTaken: 'invalid_request',
  NamespaceNotFound: 'not_found',
  NotAnImageManifest: 'invalid_request',
  NotAnOrganization: 'invalid_request',
  PolicyNotFound: 'not_found',
  QuotaExceeded: 'exceeds_license',
  ReleaseNotFound: 'not_found',
  ReleaseRefused: 'conflict',
  ReleaseUndone: 'conflict',
  RepositoryNotFound: 'not_found',
  RepositoryReadOnly: 'read_only',
  RetargetFailed: 'not_found',
  RobotNotAllowed: 'invalid_request',
  TagHasExpiration: 'invalid_request',
  TagImmutable: 'tag_immutable',
  TagNameInvalid: 'invalid_request',
  TagNotFound: 'not_found',
  TimeInFuture: 'invalid_request',
  UnknownLocation: 'invalid_request',
  UploadConflict: 'conflict',
  UploadRange: 'invalid_request',
};
