import type { Bytes } from './bytes.ts';
import type { Digest } from './digest.ts';

/**
 * The layer of a history step that changed nothing: a gzip of an empty tar. Docker stopped
 * uploading it, yet manifests go on naming it; so it is visible in every repository without a
 * link, made when first named, and never collected.
 */
export const EMPTY_BLOB_DIGEST =
  'sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4' as Digest;

/** Its 32 bytes. */
export const EMPTY_BLOB_BYTES: Readonly<Bytes> = new Uint8Array([
  0x1f, 0x8b, 0x08, 0x00, 0x00, 0x09, 0x6e, 0x88, 0x00, 0xff, 0x62, 0x18, 0x05, 0xa3, 0x60, 0x14,
  0x8c, 0x58, 0x00, 0x08, 0x00, 0x00, 0xff, 0xff, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
]);
