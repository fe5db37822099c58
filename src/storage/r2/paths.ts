/**
 * The tree of keys in the bucket:
 *
 *     blobs/<uuid>                     the bytes of a blob, or of an upload that may become one
 *     blobs/empty-layer                the shared empty layer; the one key that is fixed
 *     manifests/<uuid>                 the body of a manifest above 1,000,000 bytes
 *     uploads/<upload>/tail-<claim>    the last bytes of an upload, fewer than a part
 *
 * No key is derived from a digest and none is used twice. Deletes in R2 carry no condition and may
 * arrive late, so a key that came back to life could lose its new bytes.
 */

/** The key for the bytes of a new blob; `uuid` is drawn for it alone. */
export function blobKey(uuid: string): string {
  return `blobs/${uuid}`;
}

export const EMPTY_BLOB_KEY = 'blobs/empty-layer';

/** The key for a manifest's body; `uuid` is drawn for it alone. */
export function manifestBodyKey(uuid: string): string {
  return `manifests/${uuid}`;
}

/** The key for the tail of an upload, which only the holder of this claim writes. */
export function uploadTailKey(uploadId: string, claimToken: string): string {
  return `uploads/${uploadId}/tail-${claimToken}`;
}
