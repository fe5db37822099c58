import type { BlobUpload } from '../../model/datatypes.ts';
import { isRegistryError, RegistryError } from '../../model/errors.ts';
import { uploadQuotaStatement } from '../../storage/d1/quota.ts';
import {
  claimForChunkStatement,
  insertPartsStatement,
  recordChunkStatement,
  recordMultipartStatement,
  type StoredUpload,
  uploadByIdStatement,
  uploadByNameStatement,
} from '../../storage/d1/uploads.ts';
import { uploadTailKey } from '../../storage/r2/paths.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import type { UploadAddress } from './address.ts';
import { cancelUpload } from './cancel.ts';
import { refuseClaim, releaseClaim, UploadClaim } from './claim.ts';
import { requireRoomForUpload } from './quota.ts';
import { receiveChunk, type ReceivedChunk } from './receive.ts';

/** A body to append. */
export interface Chunk {
  /** A byte stream. */
  readonly body: ReadableStream<Uint8Array>;
  /** The offset that the client says its first byte has; null: wherever the upload stands. */
  readonly offset: number | null;
  /** The announced length in bytes, or null. */
  readonly length: number | null;
}

/** Appends a body to an upload: claims it, receives, and records all of it or nothing. */
export async function appendChunk(
  address: UploadAddress,
  chunk: Chunk,
  deps: RegistryDeps,
): Promise<BlobUpload | null> {
  const claim = new UploadClaim({ uploadId: address.uploadId, token: deps.ids.uuid() }, deps);
  const upload = await claimForChunk(address, { claim, chunk, deps });
  if (upload === null) {
    return null;
  }
  try {
    const received = await receive(upload, { chunk, claim, deps });
    return await record(upload, { received, claim, deps });
  } catch (error) {
    await giveUp(error, { claim, deps });
    throw error;
  }
}

/**
 * The upload, held by the claim; null if there is none. Errors: UploadRange, UploadConflict,
 * QuotaExceeded (cancels).
 */
async function claimForChunk(
  { name, uploadId }: UploadAddress,
  { claim, chunk, deps }: Holding & { chunk: Chunk },
): Promise<StoredUpload | null> {
  const { offset, length } = chunk;
  const [claimed, found, quotas] = await sendAgain(() =>
    deps.database.primary.batch([
      claimForChunkStatement({
        ...name,
        ...claim.held,
        claimUntilMs: claim.untilMs,
        nowMs: deps.clock.nowMs(),
        offset,
      }),
      uploadByNameStatement({ ...name, uploadId }),
      uploadQuotaStatement({ ...name }),
    ]),
  );
  const [upload] = claimed;
  if (upload !== undefined) {
    await requireRoomForUpload(
      { uploadId, onlyClaim: claim.token },
      { name, quota: quotas[0] ?? null, announcedBytes: length ?? 0 },
      deps,
    );
    return upload;
  }
  const [current] = found;
  if (current === undefined) {
    return null;
  }
  const expectedOffset = current.snapshot.byteCount;
  if (offset !== null && offset !== expectedOffset) {
    throw new RegistryError('UploadRange', { uploadId, expectedOffset });
  }
  return refuseClaim({ name, uploadId }, deps);
}

interface Holding {
  readonly claim: UploadClaim;
  readonly deps: RegistryDeps;
}

async function receive(
  upload: StoredUpload,
  { chunk, claim, deps }: Holding & { chunk: Chunk },
): Promise<ReceivedChunk> {
  const { body, length } = chunk;
  const maxBytes = deps.settings.maxBlobBytes;
  const announced = upload.snapshot.byteCount + (length ?? 0);
  if (announced > maxBytes) {
    throw new RegistryError('BlobTooLarge', { uploadedBytes: announced, maxBytes });
  }
  const { blobStore, database } = deps;
  return receiveChunk(upload, body, {
    claim,
    blobStore,
    maxBytes,
    length,
    async openMultipart() {
      const r2UploadId = await blobStore.createMultipart(upload.objectKey);
      const recorded = await sendAgain(() =>
        database.primary.first(recordMultipartStatement({ ...claim.held, r2UploadId })),
      );
      if (recorded === null) {
        throw new RegistryError('UploadConflict', { uploadId: claim.uploadId });
      }
      return r2UploadId;
    },
  });
}

/** Writes the tail, then moves the row over the chunk and gives the claim up, in one batch. */
async function record(
  upload: StoredUpload,
  { received, claim, deps }: Holding & { received: ReceivedChunk },
): Promise<BlobUpload | null> {
  const { uploadId, token } = claim;
  const tailSize = received.tail.byteLength;
  const tailKey = tailSize === 0 ? null : uploadTailKey(uploadId, token);
  if (tailKey !== null) {
    await claim.keep();
    await deps.blobStore.put(tailKey, received.tail);
  }
  return sendAgain(async () => {
    const [, recorded, found] = await deps.database.primary.batch([
      insertPartsStatement({ ...claim.held, parts: JSON.stringify(received.parts) }),
      recordChunkStatement({
        ...claim.held,
        byteCount: received.byteCount,
        uncompressedByteCount: received.uncompressedByteCount,
        partCount: upload.partCount + received.parts.length,
        tailKey,
        tailSize,
        shaState: received.shaState,
        nowMs: deps.clock.nowMs(),
      }),
      uploadByIdStatement({ uploadId }),
    ]);
    const after = recorded[0] ?? found[0];
    if (after === undefined) {
      return null;
    }
    // Every claim raises the version and this batch does not: an open row of our version is what
    // an earlier sending left.
    const isOurs = after.snapshot.version === upload.snapshot.version;
    if (!isOurs || after.snapshot.state !== 'open') {
      throw new RegistryError('UploadConflict', { uploadId });
    }
    return after.snapshot;
  });
}

/** After a failure: a blob that is too large is cancelled, everything else may be tried again. */
async function giveUp(error: unknown, { claim, deps }: Holding): Promise<void> {
  if (isRegistryError(error) && error.code === 'BlobTooLarge') {
    await cancelUpload({ uploadId: claim.uploadId, onlyClaim: claim.token }, deps);
    return;
  }
  await releaseClaim(claim, deps);
}
