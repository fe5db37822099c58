import type { Bytes } from '../model/bytes.ts';
import type { Blob } from '../model/datatypes.ts';
import { algorithmOf, computeDigest } from '../model/digest.ts';
import { BLOB_KEPT_BYTES_MAX } from '../model/limits.ts';
import type { RegistryDeps } from './deps.ts';

/** Gives what blobs are made of. */
export interface BlobBytes {
  /**
   * The bytes of a blob, or of a part of it that lies within; null if its object is lost. A small
   * blob comes whole from the location that kept it, or from R2, and is kept then; a large one is
   * a stream. Callers have made sure that whoever asks may have it: one copy is for all
   * repositories. Throws if a small blob's object does not have the blob's digest.
   */
  openBlob(
    blob: Blob,
    range?: { readonly offset: number; readonly length: number },
  ): Promise<Bytes | ReadableStream<Uint8Array> | null>;
}

export function createBlobBytes(deps: RegistryDeps): BlobBytes {
  return {
    async openBlob(blob, range) {
      if (blob.compressedSize > BLOB_KEPT_BYTES_MAX) {
        return deps.blobStore.open(blob.objectKey, range);
      }
      const bytes = await readSmallBlob(blob, deps);
      return bytes && range ? bytes.subarray(range.offset, range.offset + range.length) : bytes;
    },
  };
}

/**
 * The whole blob, whatever part of it was asked for: R2 charges for the call, and what is kept
 * serves every part. It is in memory before any of it is sent, so a client that goes away cuts
 * nothing off that is kept.
 */
async function readSmallBlob(
  { digest, compressedSize: sizeBytes, objectKey }: Blob,
  { blobStore, keptBlobs, defer }: RegistryDeps,
): Promise<Bytes | null> {
  const kept = await keptBlobs.get({ digest, sizeBytes });
  if (kept !== null) {
    return kept;
  }
  const bytes = await blobStore.read(objectKey);
  if (bytes === null) {
    return null;
  }
  if ((await computeDigest(algorithmOf(digest), bytes)) !== digest) {
    throw new Error(`the object ${objectKey} does not have the bytes of ${digest}`);
  }
  defer(keptBlobs.put(digest, bytes));
  return bytes;
}
