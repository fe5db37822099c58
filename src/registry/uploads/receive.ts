import type { Bytes } from '../../model/bytes.ts';
import { RegistryError } from '../../model/errors.ts';
import type { StoredUpload } from '../../storage/d1/uploads.ts';
import type { BlobStore, UploadedPart } from '../../storage/r2/blob-store.ts';
import type { UploadClaim } from './claim.ts';
import { RunningHash } from './running-hash.ts';
import { UncompressedSize } from './uncompressed-size.ts';

/** A read gives at least so much unless the body ends, so that few reads cost a turn each. */
const READ_BYTES_MIN = 64 * 1024;

/** What came of a chunk: to be recorded all at once, or not at all. */
export interface ReceivedChunk {
  readonly byteCount: number;
  /** Known only of a blob that came whole as one chunk; an empty chunk changes nothing. */
  readonly uncompressedByteCount: number | null;
  /** The parts that this chunk filled. */
  readonly parts: readonly UploadedPart[];
  /** What is left over, fewer bytes than a part. */
  readonly tail: Bytes;
  readonly shaState: string;
}

export interface ReceiveOptions {
  readonly claim: UploadClaim;
  readonly blobStore: BlobStore;
  readonly maxBytes: number;
  /** The announced length of the body in bytes, or null. */
  readonly length: number | null;
  /** Opens the multipart upload when a first part is full, and records it. */
  readonly openMultipart: () => Promise<string>;
}

/**
 * Reads a body to its end, hashing it and cutting it into parts of one size: the tail of the
 * earlier chunks first. Holds two parts in memory at most, one filling and one on its way to R2.
 *
 * Errors: BlobTooLarge, BodyLength, UploadConflict.
 */
export async function receiveChunk(
  upload: StoredUpload,
  body: ReadableStream<Uint8Array>,
  options: ReceiveOptions,
): Promise<ReceivedChunk> {
  const parts = new PartWriter(upload, options);
  const isFirst = upload.snapshot.byteCount === 0;
  const size = isFirst ? UncompressedSize.ofBlob(options.length) : UncompressedSize.unasked();
  try {
    return await cutIntoParts(upload, body, { ...options, parts, size });
  } catch (error) {
    await parts.abandon();
    throw error;
  } finally {
    size.giveUp();
  }
}

async function cutIntoParts(
  upload: StoredUpload,
  body: ReadableStream<Uint8Array>,
  options: ReceiveOptions & { parts: PartWriter; size: UncompressedSize },
): Promise<ReceivedChunk> {
  const { claim, blobStore, maxBytes, length, parts, size } = options;
  const hash = RunningHash.restore(upload.snapshot.shaState);
  const start = upload.snapshot.byteCount;
  const reader = body.getReader({ mode: 'byob' });
  let buffer = await firstBuffer(upload, blobStore);
  let filled = upload.tailSize;
  let received = 0;
  for (;;) {
    await claim.keep();
    const space = upload.partSize - filled;
    const read = await reader.readAtLeast(
      Math.min(READ_BYTES_MIN, space),
      new Uint8Array(buffer, filled, space),
    );
    if (read.value !== undefined) {
      // Reading takes the buffer away and gives it back under another name.
      buffer = read.value.buffer;
      hash.update(read.value);
      await size.add(read.value);
      filled += read.value.byteLength;
      received += read.value.byteLength;
    }
    if (start + received > maxBytes) {
      throw new RegistryError('BlobTooLarge', { uploadedBytes: start + received, maxBytes });
    }
    if (read.done) {
      break;
    }
    if (filled === upload.partSize) {
      await parts.write(buffer);
      buffer = new ArrayBuffer(upload.partSize);
      filled = 0;
    }
  }
  if (length !== null && received !== length) {
    throw new RegistryError('BodyLength', { expectedBytes: length, actualBytes: received });
  }
  const { uncompressedByteCount } = upload.snapshot;
  return {
    byteCount: start + received,
    uncompressedByteCount: received === 0 ? uncompressedByteCount : await size.finish(),
    parts: await parts.finish(),
    tail: new Uint8Array(buffer.transfer(filled)),
    shaState: hash.serialize(),
  };
}

/** A part's buffer that begins with the tail of the chunks before. */
async function firstBuffer(upload: StoredUpload, blobStore: BlobStore): Promise<ArrayBuffer> {
  const buffer = new ArrayBuffer(upload.partSize);
  if (upload.tailKey !== null) {
    new Uint8Array(buffer).set(await readTail(upload, blobStore));
  }
  return buffer;
}

/** The recorded tail of an upload; none if nothing is left over. */
export async function readTail(
  { tailKey, tailSize, snapshot }: StoredUpload,
  blobStore: BlobStore,
): Promise<Bytes> {
  if (tailKey === null) {
    return new Uint8Array();
  }
  const tail = await blobStore.read(tailKey);
  if (tail?.byteLength !== tailSize) {
    throw new Error(`the tail of upload ${snapshot.uploadId} is not what its row says`);
  }
  return tail;
}

/** Sends full parts to R2 in order, one at a time while the next one fills. */
class PartWriter {
  readonly #upload: StoredUpload;
  readonly #options: ReceiveOptions;
  readonly #written: UploadedPart[] = [];
  #underWay: { readonly part: Promise<UploadedPart>; readonly buffer: ArrayBuffer } | null = null;
  #multipartId: string | null;

  constructor(upload: StoredUpload, options: ReceiveOptions) {
    this.#upload = upload;
    this.#options = options;
    this.#multipartId = upload.r2UploadId;
  }

  /** Takes the buffer over, which is gone when R2 has the part. */
  async write(buffer: ArrayBuffer): Promise<void> {
    await this.#settle();
    const { claim, blobStore, openMultipart } = this.#options;
    await claim.keep();
    this.#multipartId ??= await openMultipart();
    const number = this.#upload.partCount + this.#written.length + 1;
    const part = blobStore.uploadPart(this.#upload.objectKey, this.#multipartId, {
      number,
      bytes: new Uint8Array(buffer),
    });
    // A failure is seen when the part is settled; until then it must not count as unhandled.
    part.catch(() => undefined);
    this.#underWay = { part, buffer };
  }

  async finish(): Promise<readonly UploadedPart[]> {
    await this.#settle();
    return this.#written;
  }

  /** After a failure: waits for what is on its way, so that nothing of ours lands later. */
  async abandon(): Promise<void> {
    await this.#underWay?.part.catch(() => undefined);
  }

  async #settle(): Promise<void> {
    if (this.#underWay !== null) {
      const { part, buffer } = this.#underWay;
      this.#written.push(await part);
      // Freed here and now: left to the collector, 64 MiB of parts come together before it runs.
      buffer.transfer(0);
      this.#underWay = null;
    }
  }
}
