import type { Blob, BlobUpload } from '../../model/datatypes.ts';
import type { RepositoryName } from '../../model/names.ts';
import { uploadQuotaStatement } from '../../storage/d1/quota.ts';
import { insertUploadByNameStatement, uploadByNameStatement } from '../../storage/d1/uploads.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import type { WholeBody } from './assemble.ts';
import { cancelUpload } from './cancel.ts';
import { appendChunk, type Chunk } from './chunk.ts';
import { type Closing, finishUpload, uploadWhole } from './finish.ts';
import { requireRoomForUpload } from './quota.ts';
import { newUpload } from './sessions.ts';

interface EnabledOnly {
  /** Whether a disabled namespace is to be taken for one that has no such repository. */
  readonly enabledOnly?: boolean;
}

/**
 * Receives blobs: the bytes into R2, what they are into D1. Beside the interface, whose upload
 * methods are about rows. Uploads are reached by their repository's name, which saves a look-up
 * each time; null means that there is no such repository, or no such upload in it.
 *
 * An upload is `open`, or held by one writer's claim while it is `writing` a chunk or `committing`;
 * it ends as a blob or cancelled. Bytes pass through the Worker once and in bounded memory.
 */
export interface BlobUploader {
  /**
   * Begins an upload; null also where the repository's state takes no pushes.
   * Errors: QuotaExceeded.
   */
  startUpload(name: RepositoryName, options?: EnabledOnly): Promise<BlobUpload | null>;
  /** An upload as its row has it. */
  uploadStatus(name: RepositoryName, uploadId: string): Promise<BlobUpload | null>;
  /**
   * Appends a body. What was received before stays as it was if the body fails.
   * Errors: UploadRange, UploadConflict, BlobTooLarge and QuotaExceeded (cancel), BodyLength.
   */
  appendChunk(name: RepositoryName, uploadId: string, chunk: Chunk): Promise<BlobUpload | null>;
  /**
   * Ends an upload, with a last body or none, as the blob of a digest leased to its repository.
   * Errors: those of a chunk; DigestMismatch (cancels).
   */
  finishUpload(name: RepositoryName, uploadId: string, closing: Closing): Promise<Blob | null>;
  /**
   * Receives a blob whose length and digest are known in one go; R2 itself checks the digest.
   * Errors: DigestMismatch, BlobTooLarge, QuotaExceeded, BodyLength.
   */
  uploadWhole(name: RepositoryName, whole: WholeBody, options?: EnabledOnly): Promise<Blob | null>;
  /** Gives an upload up; false if there is none. */
  cancelUpload(name: RepositoryName, uploadId: string): Promise<boolean>;
}

export function createBlobUploader(deps: RegistryDeps): BlobUploader {
  const { database, ids } = deps;
  const find = (name: RepositoryName, uploadId: string) =>
    database.primary.first(uploadByNameStatement({ ...name, uploadId }));
  return {
    async startUpload(name, { enabledOnly = false } = {}) {
      const [[inserted], [quota = null]] = await sendAgain(() => {
        const values = newUpload(ids.uuid(), { storageMetadata: {}, deps });
        return database.primary.batch([
          insertUploadByNameStatement({ ...values, ...name, enabledOnly: Number(enabledOnly) }),
          uploadQuotaStatement({ ...name }),
        ]);
      });
      if (inserted === undefined) {
        return null;
      }
      const { uploadId } = inserted.snapshot;
      const asked = { name, quota, announcedBytes: 0 };
      await requireRoomForUpload({ uploadId, onlyClaim: null }, asked, deps);
      return inserted.snapshot;
    },
    uploadStatus: async (name, uploadId) => (await find(name, uploadId))?.snapshot ?? null,
    appendChunk: (name, uploadId, chunk) => appendChunk({ name, uploadId }, chunk, deps),
    finishUpload: (name, uploadId, closing) => finishUpload({ name, uploadId }, closing, deps),
    uploadWhole: (name, whole, { enabledOnly = false } = {}) =>
      uploadWhole(name, { ...whole, enabledOnly }, deps),
    async cancelUpload(name, uploadId) {
      const found = await find(name, uploadId);
      return found !== null && cancelUpload({ uploadId, onlyClaim: null }, deps);
    },
  };
}
