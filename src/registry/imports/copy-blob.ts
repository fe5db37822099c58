import { isRegistryError, RegistryError } from '../../model/errors.ts';
import {
  IMPORT_ANSWER_MS_MAX,
  IMPORT_CHUNK_BYTES,
  IMPORT_CHUNK_MS_MAX,
} from '../../model/import-limits.ts';
import { R2_LOCATION } from '../../model/locations.ts';
import { type ImportItem, setImportUploadStatement } from '../../storage/d1/import-items.ts';
import { createBlobMounts, createBlobReads } from '../blobs.ts';
import { createBlobUploads } from '../uploads/sessions.ts';
import { createBlobUploader } from '../uploads/uploader.ts';
import { excerptOf } from './excerpt.ts';
import { SourceRefused, SourceUnavailable } from './failures.ts';
import { checkpoint, finishItem, heldBy, type ImportJob } from './job.ts';

/** What a blob takes beside its chunks, and what a chunk takes, in statements to D1. */
const BLOB_STATEMENTS = 30;
const CHUNK_STATEMENTS = 10;

/**
 * Brings a blob, or as much of it as the run's limits allow; false: they ended before the blob. A
 * blob that the repository has is kept as it is. One that is anywhere else in the registry is fetched
 * all the same: a manifest that names its digest proves nothing about who may read it.
 */
export async function copyBlob(job: ImportJob, item: ImportItem): Promise<boolean> {
  const { budget, deps } = job;
  const { digest, sizeBytes } = item;
  const { maxBlobBytes } = deps.settings;
  if (sizeBytes > maxBlobBytes) {
    throw new RegistryError('BlobTooLarge', { uploadedBytes: sizeBytes, maxBytes: maxBlobBytes });
  }
  if (!budget.takeStatements(BLOB_STATEMENTS)) {
    return false;
  }
  if (await holdExisting(job, item)) {
    await finishItem(job, item);
    return true;
  }
  // What is brought stays until the import is over, however long the other blobs take.
  const pushLeaseSec = Math.max(deps.settings.pushLeaseSec, job.holdSec());
  const uploader = createBlobUploader({ ...deps, settings: { ...deps.settings, pushLeaseSec } });
  const { uploadId, byteCount } = await openUpload(job, item);
  let offset = byteCount;
  while (offset < sizeBytes) {
    if (job.bytes.bytesLeft <= 0 || !budget.takeStatements(CHUNK_STATEMENTS)) {
      return false;
    }
    const after = await copyChunk(job, item, { uploadId, offset });
    job.bytes.bytesLeft -= after - offset;
    offset = after;
    await checkpoint(job);
  }
  try {
    const closing = { digest, body: null, offset: null, length: null };
    if ((await uploader.finishUpload(job.name, uploadId, closing)) === null) {
      throw new SourceUnavailable(`the upload of blob ${digest} was given up; it begins again`);
    }
  } catch (error) {
    if (isRegistryError(error) && error.code === 'DigestMismatch') {
      throw new SourceRefused(`what the source gives as blob ${digest} is something else`);
    }
    throw error;
  }
  await finishItem(job, item);
  return true;
}

/** Whether the repository has the blob; if so, it keeps it as long as the import may take. */
async function holdExisting(
  { repository, holdSec, deps }: ImportJob,
  { digest }: ImportItem,
): Promise<boolean> {
  // On the primary: a replica may show what the repository has lost.
  const { database } = deps;
  const reads = createBlobReads({
    ...deps,
    database: { ...database, firstAnywhere: (statement) => database.primary.first(statement) },
  });
  const blob = await reads.getRepoBlobByDigest(repository, digest);
  return (
    blob !== null &&
    (await createBlobMounts(deps).mountBlobIntoRepository(blob, repository, holdSec()))
  );
}

/** The upload that receives a blob: the one begun before, or a new one. */
async function openUpload(
  job: ImportJob,
  { itemId, uploadUuid }: ImportItem,
): Promise<{ readonly uploadId: string; readonly byteCount: number }> {
  const { deps, repository } = job;
  const uploads = createBlobUploads(deps);
  const begun = uploadUuid && (await uploads.lookupBlobUpload(repository, uploadUuid));
  if (begun) {
    return begun;
  }
  // Named before it is made: one that nobody names would lie there until it is stale.
  const uploadId = deps.ids.uuid();
  await checkpoint(
    job,
    [setImportUploadStatement({ ...heldBy(job), itemId, uploadUuid: uploadId })],
    { isProgress: false },
  );
  const made = await uploads.createBlobUpload(repository, uploadId, R2_LOCATION, {});
  if (made === null) {
    throw new RegistryError('RepositoryNotFound', { name: repository.name });
  }
  return made;
}

/** Appends a chunk, or what comes of it in its time; gives where the next one begins. */
async function copyChunk(
  { client, name, deps }: ImportJob,
  { digest, sizeBytes }: ImportItem,
  { uploadId, offset }: { readonly uploadId: string; readonly offset: number },
): Promise<number> {
  const takeBytes = Math.min(IMPORT_CHUNK_BYTES, sizeBytes - offset);
  const range = { offset, lastByte: offset + takeBytes - 1, sizeBytes };
  const cutOff = new AbortController();
  const timer = setTimeout(() => {
    cutOff.abort(new DOMException('the chunk takes too long', 'TimeoutError'));
  }, IMPORT_ANSWER_MS_MAX + IMPORT_CHUNK_MS_MAX);
  try {
    const { body, skipBytes } = await client.blob(digest, range, cutOff.signal);
    const excerpt = excerptOf(body, { skipBytes, takeBytes });
    try {
      const chunk = { body: excerpt.body, offset, length: null };
      const after = await createBlobUploader(deps).appendChunk(name, uploadId, chunk);
      if (after === null) {
        throw new SourceUnavailable(`the upload of blob ${digest} was given up; it begins again`);
      }
      if (after.byteCount === offset) {
        const cause = excerpt.failure();
        throw new SourceUnavailable(`no more bytes of blob ${digest} come`, { cause });
      }
      return after.byteCount;
    } finally {
      await excerpt.stop().catch(() => undefined);
    }
  } finally {
    clearTimeout(timer);
  }
}
