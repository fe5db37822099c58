import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';

import type { AnyRegistryError } from '../../model/errors.ts';
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
  unsupported_media_type: { status: 415, description: 'A body is JSON.' },
  too_many_requests: { status: 429, description: 'The same request may succeed a little later.' },
  server_error: { status: 500, description: 'Something went wrong here; the log has more.' },
  downstream_issue: { status: 520, description: 'Another server did not answer as it should.' },
  read_only: { status: 503, description: 'The repository takes no writes in its state.' },
  not_configured: { status: 503, description: 'A secret or setting of the registry is missing.' },
} as const satisfies Record<string, { status: number; description: string }>;

export type ManagementErrorType = keyof typeof MANAGEMENT_ERRORS;

/** A refusal of the management API. */
export class ManagementError extends Error {
  readonly type: ManagementErrorType;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    type: ManagementErrorType,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = 'ManagementError';
    this.type = type;
    this.headers = headers;
  }
}

/** The answer to a refusal, in the form that Quay's clients read. */
export function answerManagementError(c: Context<AppEnv>, error: ManagementError): Response {
  const { type, message, headers } = error;
  const { status } = MANAGEMENT_ERRORS[type];
  const body = {
    status,
    title: type,
    type: `${new URL(c.req.url).origin}/api/v1/error/${type}`,
    detail: message,
    error_type: type,
    error_message: message,
  };
  // 520 is none of HTTP's, but what clients of this API know.
  return c.json(body, status as ContentfulStatusCode, headers);
}

/** The domain's refusal as the management API says it; every code has an arm. */
export function toManagementError(error: AnyRegistryError): ManagementError {
  return new ManagementError(typeOf(error), error.message);
}

function typeOf(error: AnyRegistryError): ManagementErrorType {
  switch (error.code) {
    case 'RepositoryNotFound':
    case 'TagNotFound':
    case 'ManifestNotFound':
    case 'PolicyNotFound':
      return 'not_found';
    case 'RetargetFailed':
      return error.detail.reason === 'cross-repository' ? 'invalid_request' : 'not_found';
    case 'RepositoryReadOnly':
      return 'read_only';
    case 'TagImmutable':
      return 'tag_immutable';
    case 'UploadConflict':
    case 'BlobInUse':
      return 'conflict';
    case 'Conflict':
      return 'too_many_requests';
    case 'QuotaExceeded':
      return 'exceeds_license';
    case 'IssuerUnavailable':
      return 'downstream_issue';
    case 'BlobTooLarge':
    case 'BlobUnknown':
    case 'BodyLength':
    case 'DigestMismatch':
    case 'DuplicatePolicy':
    case 'ExpirationOutOfRange':
    case 'HeldByPullDaysOutOfRange':
    case 'ImmutableLabel':
    case 'InvalidFilter':
    case 'InvalidLabelKey':
    case 'InvalidMediaType':
    case 'InvalidPolicy':
    case 'InvalidQuota':
    case 'InvalidTrustRule':
    case 'ManifestInvalid':
    case 'ManifestTooLarge':
    case 'ManifestTypeUnsupported':
    case 'NotAnImageManifest':
    case 'TagHasExpiration':
    case 'TagNameInvalid':
    case 'TimeInFuture':
    case 'UnknownLocation':
    case 'UploadRange':
      return 'invalid_request';
  }
}
