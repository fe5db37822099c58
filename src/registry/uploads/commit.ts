import type { Blob, BlobUpload } from '../../model/datatypes.ts';
import type { Digest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import { TOMBSTONE_GRACE_MS } from '../../model/limits.ts';
import { addSeconds } from '../../model/time.ts';
import { Batch } from '../../storage/d1/batch.ts';
import { lowerLeaseHintStatement } from '../../storage/d1/gc-hints.ts';
import {
  buryLostObjectStatement,
  buryTailsStatement,
  buryUnusedObjectStatement,
  deleteCommittedUploadStatement,
  insertBlobOfUploadStatement,
  leaseBlobOfUploadStatement,
  leasedBlobStatement,
  repairBlobStatement,
  resizeRepairedInNamespacesStatement,
  resizeRepairedInRepositoriesStatement,
} from '../../storage/d1/upload-endings.ts';
import { claimByIdStatement, uploadByIdStatement } from '../../storage/d1/uploads.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { UploadClaim } from './claim.ts';

/** What came in one request with the commit, of which the upload's row knows nothing yet. */
export interface CountedBytes {
  readonly byteCount: number;
  /** How many bytes they are unpacked; null: unknown. */
  readonly uncompressedByteCount: number | null;
}

/** What the batch that makes an upload a blob is told. */
export interface BlobRecord {
  readonly digest: Digest;
  /** How long the blob is leased to the upload's repository, in seconds. */
  readonly expirationSec: number;
  /** What was received, where the upload's row does not say it. */
  readonly counted?: CountedBytes | null;
  /** The key of the digest's existing blob, if its object turned out to be lost. */
  readonly lostKey?: string | null;
}

/**
 * Makes an upload whose object is whole a blob leased to its repository, in one batch under its
 * claim; null if the upload or its repository is gone. A blob that exists stays as it is and the
 * upload's object is buried, unless the blob's own object was lost: then it takes the upload's.
 */
export async function recordBlob(
  upload: BlobUpload,
  record: BlobRecord,
  deps: RegistryDeps,
): Promise<Blob | null> {
  const claimToken = upload.claimToken ?? (await claimForRecord(upload, deps));
  if (claimToken === null) {
    return null;
  }
  const { digest, expirationSec, counted = null, lostKey = null } = record;
  const byteCount = counted?.byteCount ?? null;
  const uncompressedByteCount = counted?.uncompressedByteCount ?? null;
  const nowMs = deps.clock.nowMs();
  const expiresMs = addSeconds(nowMs, expirationSec);
  const held = { uploadId: upload.uploadId, claimToken };
  const burial = { nowMs, dueMs: nowMs + TOMBSTONE_GRACE_MS };
  const uuid = deps.ids.uuid();
  const { repositoryId } = upload;
  return sendAgain(async (isAgain) => {
    const batch = new Batch();
    if (lostKey !== null) {
      batch.add(buryLostObjectStatement({ ...held, ...burial, digest, lostKey }));
      const repair = { ...held, digest, lostKey, byteCount };
      batch.add(resizeRepairedInRepositoriesStatement(repair));
      batch.add(resizeRepairedInNamespacesStatement(repair));
      batch.add(repairBlobStatement(repair));
    }
    const bytes = { byteCount, uncompressedByteCount };
    batch.add(insertBlobOfUploadStatement({ ...held, uuid, digest, nowMs, ...bytes }));
    batch.add(leaseBlobOfUploadStatement({ ...held, digest, nowMs, expiresMs }));
    batch.add(lowerLeaseHintStatement({ repositoryId, expiresMs }));
    batch.add(buryUnusedObjectStatement({ ...held, ...burial }));
    batch.add(buryTailsStatement({ ...held, ...burial }));
    const deleted = batch.add(deleteCommittedUploadStatement(held));
    const leased = batch.add(leasedBlobStatement({ digest, repositoryId, expiresMs }));
    const results = await batch.run(deps.database.primary);
    // The deletion alone proves nothing if the repository is being deleted, nor does a lease alone:
    // an older one may be there although the upload was cancelled meanwhile.
    return results.firstOf(deleted) !== null || isAgain ? results.firstOf(leased) : null;
  });
}

/** Claims an upload that its caller did not; null if it is gone. Errors: UploadConflict. */
async function claimForRecord(
  { uploadId }: BlobUpload,
  deps: RegistryDeps,
): Promise<string | null> {
  const claim = new UploadClaim({ uploadId, token: deps.ids.uuid() }, deps);
  const [claimed, found] = await sendAgain(() =>
    deps.database.primary.batch([
      claimByIdStatement({
        ...claim.held,
        claimUntilMs: claim.untilMs,
        nowMs: deps.clock.nowMs(),
      }),
      uploadByIdStatement({ uploadId }),
    ]),
  );
  if (claimed.length === 0 && found.length > 0) {
    throw new RegistryError('UploadConflict', { uploadId });
  }
  return claimed.length === 0 ? null : claim.token;
}
