import {
  AUDIT_LOG_DAYS_DEFAULT,
  BLOB_BYTES_MAX,
  PULL_REPORT_INTERVAL_SEC_DEFAULT,
  PUSH_LEASE_SEC,
  PUSH_TEMP_TAG_SEC,
  TIME_MACHINE_WINDOW_SEC_DEFAULT,
  UPLOAD_CHUNK_BYTES_MAX,
} from '../model/limits.ts';

/** What an operator decides about the domain. Each is a Worker variable, in upper case. */
export interface RegistrySettings {
  /** Whether immutable tags are protected. Off, the flag is kept but ignored. */
  readonly immutableTags: boolean;
  /** Whether a tag may be immutable and have an end. */
  readonly immutableTagsCanExpire: boolean;
  /** Whether an index may be pushed before its children. */
  readonly sparseIndex: boolean;
  /** Whether signatures end with the last tag of what they sign. */
  readonly cosignCascade: boolean;
  /** Whether deleting the tag of an index ends the temporary tags of its children. */
  readonly resetChildManifestExpiration: boolean;
  /** Whether who may write may also put tags beyond recovery before the window has passed. */
  readonly permanentTagDeletion: boolean;
  /** How long a manifest pushed by digest is kept without a tag, in seconds. */
  readonly pushTempTagExpirationSec: number;
  /** How long a committed or mounted blob is kept without a manifest, in seconds. */
  readonly pushLeaseSec: number;
  /** Beginnings of labels' keys that cannot be given through the API, beside those that never can. */
  readonly reservedLabelPrefixes: readonly string[];
  /** The largest blob, in bytes. */
  readonly maxBlobBytes: number;
  /** The largest chunk that clients are told to send, in bytes. */
  readonly uploadChunkBytesMax: number;
  /** Whether what is public may be pulled without credentials. */
  readonly anonymousPull: boolean;
  /** Whether the catalog shows what is public to who gives no credentials. */
  readonly publicCatalog: boolean;
  /** The time machine's window of new namespaces, in seconds. */
  readonly removedTagExpirationSec: number;
  /** How far reports of pulls from one isolate are apart, in seconds; 0: pulls are not counted. */
  readonly pullReportIntervalSec: number;
  /** The OpenID issuers whose tokens robots may trust; none: nobody logs in with such a token. */
  readonly oidcIssuers: readonly string[];
  /** For how many days it is remembered who did what. */
  readonly auditLogDays: number;
  /** Which part of the pulls of manifests is written down with who did them, 0 to 1. */
  readonly auditPullSample: number;
  /** Whether images may be imported from hosts that are not of the public internet, or without TLS. */
  readonly importPrivateAddresses: boolean;
  /** The same of notifications: whether they may be sent to such hosts. */
  readonly notificationPrivateAddresses: boolean;
}

export const DEFAULT_SETTINGS: RegistrySettings = {
  immutableTags: true,
  immutableTagsCanExpire: false,
  sparseIndex: false,
  cosignCascade: true,
  resetChildManifestExpiration: false,
  permanentTagDeletion: false,
  pushTempTagExpirationSec: PUSH_TEMP_TAG_SEC,
  pushLeaseSec: PUSH_LEASE_SEC,
  reservedLabelPrefixes: [],
  maxBlobBytes: BLOB_BYTES_MAX,
  uploadChunkBytesMax: UPLOAD_CHUNK_BYTES_MAX,
  anonymousPull: true,
  publicCatalog: false,
  removedTagExpirationSec: TIME_MACHINE_WINDOW_SEC_DEFAULT,
  pullReportIntervalSec: PULL_REPORT_INTERVAL_SEC_DEFAULT,
  oidcIssuers: [],
  auditLogDays: AUDIT_LOG_DAYS_DEFAULT,
  auditPullSample: 0,
  importPrivateAddresses: false,
  notificationPrivateAddresses: false,
};
