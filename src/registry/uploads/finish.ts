import type { Blob } from '../../model/datatypes.ts';
import { algorithmOf, type Digest, digestOf } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import { TOMBSTONE_GRACE_MS } from '../../model/limits.ts';
import type { RepositoryName } from '../../model/names.ts';
import { blobByDigestStatement } from '../../storage/d1/blobs.ts';
import {
  buryAbandonedKeyStatement,
  claimForCommitStatement,
  insertUploadByNameStatement,
  type StoredUpload,
  uploadByNameStatement,
  uploadPartsStatement,
} from '../../storage/d1/uploads.ts';
import { ChecksumMismatch, MultipartGone, type UploadedPart } from '../../storage/r2/blob-store.ts';
import { blobKey } from '../../storage/r2/paths.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { cancelUpload } from './cancel.ts';
import { appendChunk } from './chunk.ts';
import { lapseClaim, UploadClaim } from './claim.ts';
import { recordBlob } from './commit.ts';
import { readTail } from './receive.ts';
import { RunningHash } from './running-hash.ts';
import { newUpload } from './sessions.ts';
import type { UploadAddress } from './uploader.ts';

/** How a client ends an upload. */
export interface Closing {
  readonly digest: Digest;
  /** The last bytes, as a byte stream; null: there are none. */
  readonly body: ReadableStream<Uint8Array> | null;
  /** The offset that the client says its first byte has; null: wherever the upload stands. */
  readonly offset: number | null;
  /** The announced length of the body in bytes, or null. */
  readonly length: number | null;
}

/** A blob that comes in one request. */
export interface WholeBody {
  readonly digest: Digest;
  readonly body: ReadableStream<Uint8Array>;
  readonly length: number;
}

/** An upload under a commit's claim, and what the same round trip told. */
interface Committing {
  readonly upload: StoredUpload;
  readonly claim: UploadClaim;
  readonly parts: readonly UploadedPart[];
  /** The blob that the digest has already, wherever it is visible. */
  readonly existing: Blob | null;
  readonly digest: Digest;
  readonly deps: RegistryDeps;
}

/**
 * Ends an upload. A body that is the whole blob goes straight to R2, which checks its digest; any
 * other is appended first and the running hash decides.
 */
export async function finishUpload(
  address: UploadAddress,
  { digest, body, offset, length }: Closing,
  deps: RegistryDeps,
): Promise<Blob | null> {
  if (body !== null && length !== null && (offset ?? 0) === 0) {
    const whole = await claimForCommit(address, { digest, untouchedOnly: true, deps });
    if (whole !== 'touched') {
      return whole && receiveWhole(whole, { digest, body, length });
    }
  }
  if (body !== null) {
    const appended = await appendChunk(address, { body, offset, length }, deps);
    if (appended === null) {
      return null;
    }
  }
  const claimed = await claimForCommit(address, { digest, untouchedOnly: false, deps });
  return claimed === 'touched' ? null : claimed && commitReceived(claimed);
}

/** Receives a blob in one go: the upload's row is born under the claim of its commit. */
export async function uploadWhole(
  name: RepositoryName,
  whole: WholeBody,
  deps: RegistryDeps,
): Promise<Blob | null> {
  const { digest, length } = whole;
  const maxBytes = deps.settings.maxBlobBytes;
  if (length > maxBytes) {
    throw new RegistryError('BlobTooLarge', { uploadedBytes: length, maxBytes });
  }
  const { upload, existing, claim } = await sendAgain(async () => {
    const uploadId = deps.ids.uuid();
    const born = new UploadClaim({ uploadId, token: deps.ids.uuid() }, deps);
    const values = newUpload(uploadId, { storageMetadata: {}, claim: born, deps });
    const [inserted, blobs] = await deps.database.primary.batch([
      insertUploadByNameStatement({ ...values, ...name }),
      blobByDigestStatement({ digest }),
    ]);
    return { upload: inserted[0] ?? null, existing: blobs[0] ?? null, claim: born };
  });
  if (upload === null) {
    return null;
  }
  return receiveWhole({ upload, claim, parts: [], existing, digest, deps }, whole);
}

/**
 * The upload under a commit's claim; null if there is none, `touched` if it has received bytes and
 * only an untouched one was wanted. Errors: UploadConflict.
 */
async function claimForCommit(
  { name, uploadId }: UploadAddress,
  { digest, untouchedOnly, deps }: { digest: Digest; untouchedOnly: boolean; deps: RegistryDeps },
): Promise<Committing | 'touched' | null> {
  const claim = new UploadClaim({ uploadId, token: deps.ids.uuid() }, deps);
  const freshKey = blobKey(deps.ids.uuid());
  const [, claimed, blobs, parts = []] = await sendAgain(() => {
    const nowMs = deps.clock.nowMs();
    const values = {
      ...name,
      ...claim.held,
      claimUntilMs: claim.untilMs,
      nowMs,
      freshKey,
      untouchedOnly: Number(untouchedOnly),
    };
    const dueMs = nowMs + TOMBSTONE_GRACE_MS;
    return deps.database.primary.batch([
      buryAbandonedKeyStatement({ ...values, dueMs }),
      claimForCommitStatement(values),
      blobByDigestStatement({ digest }),
      // What is untouched has no parts.
      ...(untouchedOnly ? [] : [uploadPartsStatement({ uploadId })]),
    ]);
  });
  const upload = claimed[0];
  if (upload !== undefined) {
    return { upload, claim, parts, existing: blobs[0] ?? null, digest, deps };
  }
  const current = await deps.database.primary.first(uploadByNameStatement({ ...name, uploadId }));
  if (current === null) {
    return null;
  }
  if (untouchedOnly && current.snapshot.byteCount > 0) {
    return 'touched';
  }
  throw new RegistryError('UploadConflict', { uploadId });
}

/** Puts a whole body into R2 under its digest, and records the blob. */
async function receiveWhole(
  committing: Committing,
  { digest, body, length }: WholeBody,
): Promise<Blob | null> {
  const { claim, deps } = committing;
  const maxBytes = deps.settings.maxBlobBytes;
  if (length > maxBytes) {
    await cancel(committing);
    throw new RegistryError('BlobTooLarge', { uploadedBytes: length, maxBytes });
  }
  try {
    await claim.during((lost) => putWhole(committing, { digest, body, length, lost }));
    return await record(committing, { byteCount: length });
  } catch (error) {
    await cancel(committing);
    throw error instanceof ChecksumMismatch
      ? new RegistryError('DigestMismatch', { expected: digest, actual: null })
      : error;
  }
}

/** The body straight into R2, which wants to know its length and gets no other. */
async function putWhole(
  { upload, deps }: Committing,
  { digest, body, length, lost }: WholeBody & { lost: AbortSignal },
): Promise<void> {
  const sized = new FixedLengthStream(length);
  const unread = new AbortController();
  const put = deps.blobStore.put(upload.objectKey, sized.readable, digest);
  // Nobody reads any more then, and the pipe would wait for ever.
  put.catch(() => {
    unread.abort();
  });
  const signal = AbortSignal.any([lost, unread.signal]);
  const outcomes = await Promise.allSettled([put, body.pipeTo(sized.writable, { signal })]);
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
async function commitReceived(committing: Committing): Promise<Blob | null> {
  const { upload, digest, claim, deps } = committing;
  if (algorithmOf(digest) === 'sha256') {
    await demandDigest(RunningHash.restore(upload.snapshot.shaState).digest(), committing);
  }
  try {
    await assemble(committing);
    if (algorithmOf(digest) === 'sha512') {
      await demandDigest(await hashStored(committing), committing);
    }
    return await record(committing, {});
  } catch (error) {
    await lapseClaim(claim, deps);
    throw error;
  }
}

/** Decided under the claim only: otherwise a wrong digest could cancel another one's commit. */
async function demandDigest(actual: Digest, committing: Committing): Promise<void> {
  if (actual !== committing.digest) {
    await cancel(committing);
    throw new RegistryError('DigestMismatch', { expected: committing.digest, actual });
  }
}

/** Makes the object whole: the tail alone, or the recorded parts with the tail as the last. */
async function assemble({ upload, claim, parts, deps }: Committing): Promise<void> {
  const { objectKey, r2UploadId, partCount } = upload;
  const { blobStore } = deps;
  const expectedSize = upload.snapshot.byteCount;
  const tail = await readTail(upload, blobStore);
  await claim.keep();
  if (partCount === 0 || r2UploadId === null) {
    await blobStore.put(objectKey, tail);
    return;
  }
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
  { byteCount }: { byteCount?: number },
): Promise<Blob | null> {
  const size = byteCount ?? upload.snapshot.byteCount;
  const lostKey = existing && (await findLostKey(existing, { size, deps }));
  await claim.keep();
  return recordBlob(
    upload.snapshot,
    {
      digest,
      expirationSec: deps.settings.pushLeaseSec,
      lostKey,
      ...(byteCount === undefined ? {} : { byteCount }),
    },
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

async function cancel({ claim, deps }: Committing): Promise<void> {
  await cancelUpload({ uploadId: claim.uploadId, onlyClaim: claim.token }, deps);
}
