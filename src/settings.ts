import { z } from 'zod';

import { ConfigurationError } from './configuration-error.ts';
import {
  ANSWER_TTL_SEC_DEFAULT,
  ISSUER_LENGTH_MAX,
  ISSUERS_MAX,
  TOKEN_TTL_SEC_DEFAULT,
} from './model/limits.ts';
import { DEFAULT_SETTINGS, type RegistrySettings } from './registry/settings.ts';

/** Everything that an operator decides by Worker variables. */
export interface Settings {
  readonly registry: RegistrySettings;
  /** Whether pulls may read a replica near them, or everything reads the primary. */
  readonly readConsistency: 'replica' | 'primary';
  readonly tokenTtlSec: number;
  /** How long a location keeps its answers to pulls by digest, in seconds; 0: not at all. */
  readonly answerTtlSec: number;
  /** Whether the tags of Docker's first registry API can be read. */
  readonly legacyImageReads: boolean;
  /** Whom the tokens of OpenID issuers must be meant for; null: the host that is asked. */
  readonly oidcAudience: string | null;
}

const flag = (byDefault: boolean) =>
  z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .default(byDefault);
const bytes = (byDefault: number) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,14}$/, 'expected a whole number above zero')
    .transform(Number)
    .default(byDefault);
/** Few enough digits that a time which is so far from now is still a time. */
const seconds = (byDefault: number) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,8}$/, 'expected a whole number above zero, of nine digits at most')
    .transform(Number)
    .default(byDefault);

const secondsOrZero = (byDefault: number) =>
  z
    .string()
    .regex(/^[0-9]{1,9}$/, 'expected a whole number of nine digits at most')
    .transform(Number)
    .default(byDefault);

/** An issuer is compared as text, so there is one way to write it: as its tokens do. */
function isIssuer(text: string): boolean {
  const { protocol, username, password, href } = URL.parse(text) ?? {};
  return (
    text.length <= ISSUER_LENGTH_MAX &&
    protocol === 'https:' &&
    username === '' &&
    password === '' &&
    !/[?#]/.test(text) &&
    (href === text || href === `${text}/`)
  );
}

const issuers = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((issuer) => issuer.trim())
      .filter(Boolean),
  )
  .refine(
    (list) => list.length <= ISSUERS_MAX && list.every(isIssuer),
    `expected at most ${ISSUERS_MAX} https URLs, as the tokens' iss has them, with commas between`,
  )
  .default([...DEFAULT_SETTINGS.oidcIssuers]);

/** Each ends in a dot, lest `com.acme` reserve `com.acme-tools` too. */
const labelPrefixes = z
  .string()
  .regex(
    /^(?:[a-z0-9.-]+\.(?:,[a-z0-9.-]+\.)*)?$/,
    'expected prefixes that end in a dot, with commas',
  )
  .transform((text) => text.split(',').filter((prefix) => prefix !== ''))
  .default([...DEFAULT_SETTINGS.reservedLabelPrefixes]);

const days = (byDefault: number) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/, 'expected a whole number of days above zero, below 10000')
    .transform(Number)
    .default(byDefault);

const fraction = (byDefault: number) =>
  z
    .string()
    .regex(/^(?:0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?)$/, 'expected a number from 0 to 1')
    .transform(Number)
    .default(byDefault);

/** The variables by name. One that is not set has its default. */
const variables = z.object({
  IMMUTABLE_TAGS: flag(DEFAULT_SETTINGS.immutableTags),
  IMMUTABLE_TAGS_CAN_EXPIRE: flag(DEFAULT_SETTINGS.immutableTagsCanExpire),
  SPARSE_INDEX: flag(DEFAULT_SETTINGS.sparseIndex),
  COSIGN_CASCADE: flag(DEFAULT_SETTINGS.cosignCascade),
  RESET_CHILD_MANIFEST_EXPIRATION: flag(DEFAULT_SETTINGS.resetChildManifestExpiration),
  PERMANENT_TAG_DELETION: flag(DEFAULT_SETTINGS.permanentTagDeletion),
  PUSH_TEMP_TAG_EXPIRATION_SEC: seconds(DEFAULT_SETTINGS.pushTempTagExpirationSec),
  PUSH_LEASE_SEC: seconds(DEFAULT_SETTINGS.pushLeaseSec),
  RESERVED_LABEL_PREFIXES: labelPrefixes,
  MAX_BLOB_BYTES: bytes(DEFAULT_SETTINGS.maxBlobBytes),
  UPLOAD_CHUNK_BYTES_MAX: bytes(DEFAULT_SETTINGS.uploadChunkBytesMax),
  ANONYMOUS_PULL: flag(DEFAULT_SETTINGS.anonymousPull),
  PUBLIC_CATALOG: flag(DEFAULT_SETTINGS.publicCatalog),
  REMOVED_TAG_EXPIRATION_SEC: secondsOrZero(DEFAULT_SETTINGS.removedTagExpirationSec),
  PULL_REPORT_INTERVAL_SEC: secondsOrZero(DEFAULT_SETTINGS.pullReportIntervalSec),
  AUDIT_LOG_DAYS: days(DEFAULT_SETTINGS.auditLogDays),
  AUDIT_PULL_SAMPLE: fraction(DEFAULT_SETTINGS.auditPullSample),
  IMPORT_PRIVATE_ADDRESSES: flag(DEFAULT_SETTINGS.importPrivateAddresses),
  NOTIFICATION_PRIVATE_ADDRESSES: flag(DEFAULT_SETTINGS.notificationPrivateAddresses),
  READ_CONSISTENCY: z.enum(['replica', 'primary']).default('replica'),
  TOKEN_TTL_SEC: seconds(TOKEN_TTL_SEC_DEFAULT),
  ANSWER_TTL_SEC: secondsOrZero(ANSWER_TTL_SEC_DEFAULT),
  LEGACY_IMAGE_READS: flag(false),
  OIDC_ISSUERS: issuers,
  OIDC_AUDIENCE: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'expected 1 to 255 characters without spaces')
    .nullable()
    .default(null),
});

/** Reads the settings from a Worker's environment. Throws `ConfigurationError` naming a bad one. */
export function readSettings(environment: object): Settings {
  const { data, error } = variables.safeParse(environment);
  if (error !== undefined) {
    const [issue] = error.issues;
    const setting = String(issue?.path[0]);
    throw new ConfigurationError({
      setting,
      message: `The variable ${setting} is not usable: ${issue?.message}.`,
    });
  }
  return {
    registry: {
      immutableTags: data.IMMUTABLE_TAGS,
      immutableTagsCanExpire: data.IMMUTABLE_TAGS_CAN_EXPIRE,
      sparseIndex: data.SPARSE_INDEX,
      cosignCascade: data.COSIGN_CASCADE,
      resetChildManifestExpiration: data.RESET_CHILD_MANIFEST_EXPIRATION,
      permanentTagDeletion: data.PERMANENT_TAG_DELETION,
      pushTempTagExpirationSec: data.PUSH_TEMP_TAG_EXPIRATION_SEC,
      pushLeaseSec: data.PUSH_LEASE_SEC,
      reservedLabelPrefixes: data.RESERVED_LABEL_PREFIXES,
      maxBlobBytes: data.MAX_BLOB_BYTES,
      uploadChunkBytesMax: data.UPLOAD_CHUNK_BYTES_MAX,
      anonymousPull: data.ANONYMOUS_PULL,
      publicCatalog: data.PUBLIC_CATALOG,
      removedTagExpirationSec: data.REMOVED_TAG_EXPIRATION_SEC,
      pullReportIntervalSec: data.PULL_REPORT_INTERVAL_SEC,
      oidcIssuers: data.OIDC_ISSUERS,
      auditLogDays: data.AUDIT_LOG_DAYS,
      auditPullSample: data.AUDIT_PULL_SAMPLE,
      importPrivateAddresses: data.IMPORT_PRIVATE_ADDRESSES,
      notificationPrivateAddresses: data.NOTIFICATION_PRIVATE_ADDRESSES,
    },
    readConsistency: data.READ_CONSISTENCY,
    tokenTtlSec: data.TOKEN_TTL_SEC,
    answerTtlSec: data.ANSWER_TTL_SEC,
    legacyImageReads: data.LEGACY_IMAGE_READS,
    oidcAudience: data.OIDC_AUDIENCE,
  };
}
