import type { JsonObject } from '../../model/datatypes.ts';
import { parseDigest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import { UPLOAD_PART_BYTES } from '../../model/limits.ts';
import { R2_LOCATION } from '../../model/locations.ts';
import {
  insertUploadStatement,
  type NewUploadValues,
  type StoredUpload,
  updateUploadStatement,
  uploadByIdStatement,
  uploadStatement,
} from '../../storage/d1/uploads.ts';
import { blobKey } from '../../storage/r2/paths.ts';
import type { RegistryDeps } from '../deps.ts';
import type { BlobUploads } from '../interface.ts';
import { sendAgain } from '../send-again.ts';
import { cancelUpload } from './cancel.ts';
import { recordBlob } from './commit.ts';
import { RunningHash } from './running-hash.ts';

/**
 * The uploads of the interface: rows only. What receives bytes and checks digests stands in
 * `uploader.ts`, and comes here for none of it.
 */
export function createBlobUploads(deps: RegistryDeps): BlobUploads {
  const { database } = deps;
  return {
    async createBlobUpload(repository, uploadId, locationName, storageMetadata) {
      if (locationName !== R2_LOCATION) {
        throw new RegistryError('UnknownLocation', { locationName });
      }
      const repositoryId = repository.id;
      return sendAgain(async () => {
        const values = newUpload(uploadId, { storageMetadata, deps });
        const [inserted, found] = await database.primary.batch([
          insertUploadStatement({ ...values, repositoryId }),
          uploadByIdStatement({ uploadId }),
        ]);
        const upload = inserted[0] ?? found[0];
        if (upload === undefined) {
          return null;
        }
        if (inserted.length === 0 && !isUntouched(upload, repositoryId)) {
          throw new RegistryError('UploadConflict', { uploadId });
        }
        return upload.snapshot;
      });
    },

    async lookupBlobUpload(repository, uploadId) {
      const found = await database.primary.first(
        uploadStatement({ uploadId, repositoryId: repository.id }),
      );
      return found?.snapshot ?? null;
    },

    async updateBlobUpload(upload, received) {
      const { uploadId, version, claimToken = null } = upload;
      const [updated, found] = await database.primary.batch([
        updateUploadStatement({
          uploadId,
          version,
          snapshotClaim: claimToken,
          byteCount: received.byteCount,
          uncompressedByteCount: received.uncompressedByteCount,
          chunkCount: received.chunkCount,
          shaState: received.shaState,
          storageMetadata: JSON.stringify(received.storageMetadata),
          nowMs: deps.clock.nowMs(),
        }),
        uploadByIdStatement({ uploadId }),
      ]);
      if (updated[0] === undefined && found.length > 0) {
        throw new RegistryError('UploadConflict', { uploadId });
      }
      return updated[0]?.snapshot ?? null;
    },

    async deleteBlobUpload({ uploadId }) {
      await cancelUpload({ uploadId, onlyClaim: null }, deps);
    },

    async commitBlobUpload(upload, digest, expirationSec) {
      const parsed = parseDigest(digest);
      if (parsed === null) {
        throw new RegistryError('DigestMismatch', { expected: digest, actual: null });
      }
      return recordBlob(upload, { digest: parsed, expirationSec }, deps);
    },
  };
}

/** The row of an upload that has received nothing; its object key is drawn for it alone. */
export function newUpload(
  uploadId: string,
  {
    storageMetadata,
    claim = null,
    deps,
  }: {
    storageMetadata: JsonObject;
    claim?: { readonly token: string; readonly untilMs: number } | null;
    deps: RegistryDeps;
  },
): NewUploadValues {
  return {
    uploadId,
    objectKey: blobKey(deps.ids.uuid()),
    location: R2_LOCATION,
    partSize: UPLOAD_PART_BYTES,
    shaState: RunningHash.empty().serialize(),
    storageMetadata: JSON.stringify(storageMetadata),
    state: claim === null ? 'open' : 'committing',
    claimToken: claim?.token ?? null,
    claimUntilMs: claim?.untilMs ?? null,
    nowMs: deps.clock.nowMs(),
  };
}

function isUntouched({ snapshot }: StoredUpload, repositoryId: number): boolean {
  return snapshot.repositoryId === repositoryId && snapshot.version === 0;
}
