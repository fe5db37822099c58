import type { Blob } from '../../model/datatypes.ts';
import type { Digest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import { TOMBSTONE_GRACE_MS } from '../../model/limits.ts';
import type { RepositoryName } from '../../model/names.ts';
import { blobByDigestStatement } from '../../storage/d1/blobs.ts';
import { uploadQuotaStatement } from '../../storage/d1/quota.ts';
import {
  buryAbandonedKeyStatement,
  claimForCommitStatement,
  insertUploadByNameStatement,
  uploadByNameStatement,
  uploadPartsStatement,
} from '../../storage/d1/uploads.ts';
import { blobKey } from '../../storage/r2/paths.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import type { UploadAddress } from './address.ts';
import { type Committing, commitReceived, receiveWhole, type WholeBody } from './assemble.ts';
import { appendChunk } from './chunk.ts';
import { refuseClaim, UploadClaim } from './claim.ts';
import { requireRoomForUpload } from './quota.ts';
import { newUpload } from './sessions.ts';

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
    const whole = await claimForCommit(address, { digest, untouchedBytes: length, deps });
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
  const claimed = await claimForCommit(address, { digest, untouchedBytes: null, deps });
  return claimed === 'touched' ? null : claimed && commitReceived(claimed);
}

/** Receives a blob in one go: the upload's row is born under the claim of its commit. */
export async function uploadWhole(
  name: RepositoryName,
  { enabledOnly, ...whole }: WholeBody & { readonly enabledOnly: boolean },
  deps: RegistryDeps,
): Promise<Blob | null> {
  const { digest, length } = whole;
  const maxBytes = deps.settings.maxBlobBytes;
  if (length > maxBytes) {
    throw new RegistryError('BlobTooLarge', { uploadedBytes: length, maxBytes });
  }
  const { upload, existing, quota, claim } = await sendAgain(async () => {
    const uploadId = deps.ids.uuid();
    const born = new UploadClaim({ uploadId, token: deps.ids.uuid() }, deps);
    const values = newUpload(uploadId, { storageMetadata: {}, claim: born, deps });
    const [inserted, blobs, quotas] = await deps.database.primary.batch([
      insertUploadByNameStatement({ ...values, ...name, enabledOnly: Number(enabledOnly) }),
      blobByDigestStatement({ digest }),
      uploadQuotaStatement({ ...name }),
    ]);
    return {
      upload: inserted[0] ?? null,
      existing: blobs[0] ?? null,
      quota: quotas[0] ?? null,
      claim: born,
    };
  });
  if (upload === null) {
    return null;
  }
  await requireRoomForUpload(
    { uploadId: claim.uploadId, onlyClaim: claim.token },
    { name, quota, announcedBytes: length },
    deps,
  );
  return receiveWhole({ upload, claim, parts: [], existing, digest, deps }, whole);
}

/**
 * The upload under a commit's claim; null if there is none, `touched` if it has received bytes and
 * one was wanted that a whole blob of `untouchedBytes` can be put into. Errors: UploadConflict,
 * QuotaExceeded (cancels).
 */
async function claimForCommit(
  { name, uploadId }: UploadAddress,
  {
    digest,
    untouchedBytes,
    deps,
  }: { digest: Digest; untouchedBytes: number | null; deps: RegistryDeps },
): Promise<Committing | 'touched' | null> {
  const untouchedOnly = untouchedBytes !== null;
  const claim = new UploadClaim({ uploadId, token: deps.ids.uuid() }, deps);
  const freshKey = blobKey(deps.ids.uuid());
  const [, claimed, blobs, quotas, parts = []] = await sendAgain(() => {
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
      uploadQuotaStatement({ ...name }),
      // What is untouched has no parts.
      ...(untouchedOnly ? [] : [uploadPartsStatement({ uploadId })]),
    ]);
  });
  const upload = claimed[0];
  if (upload !== undefined) {
    await requireRoomForUpload(
      { uploadId, onlyClaim: claim.token },
      { name, quota: quotas[0] ?? null, announcedBytes: untouchedBytes ?? 0 },
      deps,
    );
    return { upload, claim, parts, existing: blobs[0] ?? null, digest, deps };
  }
  const current = await deps.database.primary.first(uploadByNameStatement({ ...name, uploadId }));
  if (current === null) {
    return null;
  }
  if (untouchedOnly && current.snapshot.byteCount > 0) {
    return 'touched';
  }
  return refuseClaim({ name, uploadId }, deps);
}
