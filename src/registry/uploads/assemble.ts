import type { Blob } from '../../model/datatypes.ts';
import { algorithmOf, type Digest, digestOf } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import type { StoredUpload } from '../../storage/d1/uploads.ts';
import {
  ChecksumMismatch,
  MultipartBroken,
  MultipartGone,
  type UploadedPart,
} from '../../storage/r2/blob-store.ts';
import type { RegistryDeps } from '../deps.ts';
import { cancelUpload } from './cancel.ts';
import { lapseClaim, type UploadClaim } from './claim.ts';
import { type CountedBytes, recordBlob } from './commit.ts';
import { pipeMeasured } from './measured-pipe.ts';
import { readTail } from './receive.ts';
import { RunningHash } from './running-hash.ts';
import { UncompressedSize } from './uncompressed-size.ts';

/** A blob that comes in one request. */
export interface WholeBody {
  readonly digest: Digest;
  readonly body: ReadableStream<Uint8Array>;
  readonly length: number;
}

/** An upload under a commit's claim, and what the same round trip told. */
export interface Committing {
  readonly upload: StoredUpload;
  readonly claim: UploadClaim;
  readonly parts: readonly UploadedPart[];
  /** The blob that the digest has already, wherever it is visible. */
  readonly existing: Blob | null;
  readonly digest: Digest;
  readonly deps: RegistryDeps;
}

/** Puts a whole body into R2 under its digest, and records the blob. */
export async function receiveWhole(
  committing: Committing,
  { digest, body, length }: WholeBody,
): Promise<Blob | null> {
  const { claim, existing, deps } = committing;
  const maxBytes = deps.settings.maxBlobBytes;
  if (length > maxBytes) {
    await cancel(committing);
    throw new RegistryError('BlobTooLarge', { uploadedBytes: length, maxBytes });
  }
  const isKnown = existing !== null && existing.uncompressedSize !== null;
  const size = isKnown ? UncompressedSize.unasked() : UncompressedSize.ofBlob(length);
  try {
    await claim.during((lost) => putWhole(committing, { digest, body, length, size, lost }));
    const uncompressedByteCount = await size.finish();
    return await record(committing, { byteCount: length, uncompressedByteCount });
  } catch (error) {
    await cancel(committing);
    throw error instanceof ChecksumMismatch
      ? new RegistryError('DigestMismatch', { expected: digest, actual: null })
      : error;
  } finally {
    size.giveUp();
  }
}

/** The body straight into R2, which wants to know its length and gets no other. */
async function putWhole(
  { upload, deps }: Committing,
  { digest, body, length, size, lost }: WholeBody & { size: UncompressedSize; lost: AbortSignal },
): Promise<void> {
  const sized = new FixedLengthStream(length);
  const unread = new AbortController();
  const put = deps.blobStore.put(upload.objectKey, sized.readable, digest);
  // Nobody reads any more then, and the pipe would wait for ever.
  put.catch(() => {
    unread.abort();
  });
  const signal = AbortSignal.any([lost, unread.signal]);
  const piped = pipeMeasured(body, sized.writable, { size, signal });
  const outcomes = await Promise.allSettled([put, piped]);
  const failures = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
  );
  // A body of another length fails both in some order, and not both tell why.
  if (failures.some(isLengthError)) {
    throw new RegistryError('BodyLength', { expectedBytes: length, actualBytes: null });
  }
  if (failures.length > 0) {
    throw failures[0];
  }
}

/** The runtime has no class for it. */
function isLengthError(reason: unknown): boolean {
  return reason instanceof TypeError && reason.message.includes('FixedLengthStream');
}

/** Commits what chunks brought: the running hash decides, then the object is put together. */
export async function commitReceived(committing: Committing): Promise<Blob | null> {
  const { upload, digest, claim, deps } = committing;
  const isRunning = algorithmOf(digest) === 'sha256';
  if (isRunning) {
    await demandDigest(RunningHash.restore(upload.snapshot.shaState).digest(), committing);
  }
  try {
    if (upload.partCount === 0 || upload.r2UploadId === null) {
      await putTail(committing);
    } else {
      await assembleParts(committing, upload.r2UploadId);
      if (!isRunning) {
        await demandDigest(await hashStored(committing), committing);
      }
    }
    return await record(committing, null);
  } catch (error) {
    await lapseClaim(claim, deps);
    throw error;
  }
}

/** Decided under the claim only: otherwise a wrong digest could cancel another one's commit. */
async function demandDigest(actual: Digest, committing: Committing): Promise<void> {
  if (actual !== committing.digest) {
    await refuseDigest(actual, committing);
  }
}

async function refuseDigest(actual: Digest | null, committing: Committing): Promise<never> {
  await cancel(committing);
  throw new RegistryError('DigestMismatch', { expected: committing.digest, actual });
}

/** Makes the object of the tail alone; R2 checks the digest, whichever it is. */
async function putTail(committing: Committing): Promise<void> {
  const { upload, claim, digest, deps } = committing;
  const tail = await readTail(upload, deps.blobStore);
  await claim.keep();
  try {
    await deps.blobStore.put(upload.objectKey, tail, digest);
  } catch (error) {
    if (error instanceof ChecksumMismatch) {
      await refuseDigest(null, committing);
    }
    throw error;
  }
}

/** Makes the object of the recorded parts, with the tail as the last. */
async function assembleParts(
  { upload, claim, parts, deps }: Committing,
  r2UploadId: string,
): Promise<void> {
  const { objectKey, partCount } = upload;
  const { blobStore } = deps;
  const expectedSize = upload.snapshot.byteCount;
  const tail = await readTail(upload, blobStore);
  await claim.keep();
  const size = await claim.during(async () => {
    try {
      const last =
        tail.byteLength === 0
          ? []
          : [
              await blobStore.uploadPart(objectKey, r2UploadId, {
                number: partCount + 1,
                bytes: tail,
              }),
            ];
      return await blobStore.completeMultipart(objectKey, r2UploadId, [...parts, ...last]);
    } catch (error) {
      if (error instanceof MultipartBroken) {
        // A part was overwritten by a writer that had lost its claim: no retry can mend that.
        await cancel({ claim, deps });
        throw new RegistryError('UploadConflict', { uploadId: claim.uploadId });
      }
      if (!(error instanceof MultipartGone)) {
        throw error;
      }
      // An earlier attempt may have got this far and died before it was recorded.
      return blobStore.size(objectKey);
    }
  });
  if (size !== expectedSize) {
    throw new Error(`object ${objectKey} has ${size} bytes, the upload received ${expectedSize}`);
  }
}

/** The SHA-512 of the finished object; the chunks were hashed as SHA-256. */
async function hashStored({ upload, claim, deps }: Committing): Promise<Digest> {
  return claim.during(async (lost) => {
    const stored = await deps.blobStore.open(upload.objectKey);
    if (stored === null) {
      throw new Error(`object ${upload.objectKey} is not there after it was written`);
    }
    const sink = new crypto.DigestStream('SHA-512');
    await stored.pipeTo(sink, { signal: lost });
    return digestOf('sha512', new Uint8Array(await sink.digest));
  });
}

async function record(
  { upload, existing, claim, digest, deps }: Committing,
  counted: CountedBytes | null,
): Promise<Blob | null> {
  const size = counted?.byteCount ?? upload.snapshot.byteCount;
  const lostKey = existing && (await findLostKey(existing, { size, deps }));
  await claim.keep();
  return recordBlob(
    upload.snapshot,
    { digest, expirationSec: deps.settings.pushLeaseSec, lostKey, counted },
    deps,
  );
}

/** The key of a blob whose object is missing or has another size; an error of R2 is neither. */
async function findLostKey(
  existing: Blob,
  { size, deps }: { size: number; deps: RegistryDeps },
): Promise<string | null> {
  const found = await deps.blobStore.size(existing.objectKey);
  return found === size ? null : existing.objectKey;
}

async function cancel({ claim, deps }: Pick<Committing, 'claim' | 'deps'>): Promise<void> {
  await cancelUpload({ uploadId: claim.uploadId, onlyClaim: claim.token }, deps);
}
