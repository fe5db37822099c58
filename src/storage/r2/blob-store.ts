import type { Bytes } from '../../model/bytes.ts';
import { type Digest, algorithmOf, hexOf } from '../../model/digest.ts';
import { StoreUnavailable } from '../../model/errors.ts';
import type { Meter } from '../meter.ts';

/** A part of an object, in bytes. */
interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface UploadedPart {
  readonly partNumber: number;
  readonly etag: string;
}

/** The bytes did not have the digest that they were stored under; R2 kept nothing. */
export class ChecksumMismatch extends Error {
  constructor(cause: unknown) {
    super('the object does not have the expected checksum', { cause });
    this.name = 'ChecksumMismatch';
  }
}

/** The multipart upload was completed, aborted, or never was. */
export class MultipartGone extends Error {
  constructor(cause: unknown) {
    super('no such multipart upload', { cause });
    this.name = 'MultipartGone';
  }
}

/** R2 does not have the parts that it was told to put together. */
export class MultipartBroken extends Error {
  constructor(cause: unknown) {
    super('the parts of the multipart upload are not those that were recorded', { cause });
    this.name = 'MultipartBroken';
  }
}

/** An object as a list shows it. */
export interface ListedObject {
  readonly key: string;
  readonly uploadedMs: number;
}

/** A page of objects in the order of their keys. */
export interface ObjectPage {
  readonly objects: readonly ListedObject[];
  /** False: the page reaches to the last object. */
  readonly hasMore: boolean;
}

/**
 * Objects in R2, by opaque keys. Every method is one R2 operation, and is counted. An error of R2 is
 * never an absence: one that passes is `StoreUnavailable`, of a read after it was asked twice. Nothing
 * else is sent again, for claims and graves are measured from when a write began.
 */
export interface BlobStore {
  /** The size in bytes, or null if there is no such object. */
  size(key: string): Promise<number | null>;
  /** The bytes as a stream, or null if there is no such object. */
  open(key: string, range?: ByteRange): Promise<ReadableStream<Uint8Array> | null>;
  /** The whole object in memory, or null; for objects whose size is bounded. */
  read(key: string): Promise<Bytes | null>;
  /**
   * Stores bytes, which R2 itself checks against the digest if one is given. A stream must have a
   * known length. Throws `ChecksumMismatch`.
   */
  put(key: string, body: Bytes | ReadableStream, digest?: Digest): Promise<void>;
  /** Begins a multipart upload and gives its id. */
  createMultipart(key: string): Promise<string>;
  uploadPart(
    key: string,
    uploadId: string,
    part: { number: number; bytes: Bytes },
  ): Promise<UploadedPart>;
  /** Puts the parts together and gives the object's size. Throws `Multipart{Gone,Broken}`. */
  completeMultipart(key: string, uploadId: string, parts: readonly UploadedPart[]): Promise<number>;
  /** Gives a multipart upload up; one that is gone already is as good. */
  abortMultipart(key: string, uploadId: string): Promise<void>;
  /** Deletes objects, {@link DELETE_KEYS_MAX} at most; those that are not there are as good. */
  delete(keys: readonly string[]): Promise<void>;
  /** Some keys that begin with the prefix, {@link DELETE_KEYS_MAX} at most; none: there are none. */
  list(prefix: string): Promise<readonly string[]>;
  /**
   * The objects whose keys begin with the prefix, from the one after `afterKey` on ('': from the
   * first), so many at most, {@link DELETE_KEYS_MAX} in any case.
   */
  page(prefix: string, from: { afterKey: string; limit: number }): Promise<ObjectPage>;
}

/** R2 lists and deletes so many objects by one call. */
export const DELETE_KEYS_MAX = 1000;

/** Opens the bucket for one request. */
export function openBlobStore(bucket: R2Bucket, meter: Meter): BlobStore {
  const readTwice = readerOf(meter);
  return {
    ...openMultipart(bucket, meter),
    size: (key) => readTwice(async () => (await bucket.head(key))?.size ?? null),
    open: (key, range) =>
      readTwice(
        async () => (await bucket.get(key, range === undefined ? {} : { range }))?.body ?? null,
      ),
    read: (key) =>
      readTwice(async () => {
        const object = await bucket.get(key);
        return object === null ? null : new Uint8Array(await object.arrayBuffer());
      }),
    async put(key, body, digest) {
      meter.add('r2Writes');
      const checksum = digest === undefined ? {} : { [algorithmOf(digest)]: hexOf(digest) };
      await translated(() => bucket.put(key, body, checksum));
    },
    async delete(keys) {
      meter.add('r2Deletes');
      await translated(() => bucket.delete([...keys]));
    },
    async list(prefix) {
      meter.add('r2Writes');
      const { objects } = await translated(() => bucket.list({ prefix, limit: DELETE_KEYS_MAX }));
      return objects.map(({ key }) => key);
    },
    async page(prefix, { afterKey, limit }) {
      meter.add('r2Writes');
      const from = afterKey === '' ? {} : { startAfter: afterKey };
      const { objects, truncated } = await translated(() =>
        bucket.list({ prefix, limit, ...from }),
      );
      return {
        objects: objects.map(({ key, uploaded }) => ({ key, uploadedMs: uploaded.getTime() })),
        hasMore: truncated,
      };
    },
  };
}

type Multipart = Pick<
  BlobStore,
  'createMultipart' | 'uploadPart' | 'completeMultipart' | 'abortMultipart'
>;

function openMultipart(bucket: R2Bucket, meter: Meter): Multipart {
  return {
    async createMultipart(key) {
      meter.add('r2Writes');
      return (await translated(() => bucket.createMultipartUpload(key))).uploadId;
    },
    async uploadPart(key, uploadId, { number, bytes }) {
      meter.add('r2Writes');
      return translated(() =>
        bucket.resumeMultipartUpload(key, uploadId).uploadPart(number, bytes),
      );
    },
    async completeMultipart(key, uploadId, parts) {
      meter.add('r2Writes');
      const object = await translated(() =>
        bucket.resumeMultipartUpload(key, uploadId).complete([...parts]),
      );
      return object.size;
    },
    async abortMultipart(key, uploadId) {
      meter.add('r2Deletes');
      try {
        await translated(() => bucket.resumeMultipartUpload(key, uploadId).abort());
      } catch (error) {
        if (!(error instanceof MultipartGone)) {
          throw error;
        }
      }
    },
  };
}

/** Reads, and once more if that failed for a reason that passes. */
function readerOf(meter: Meter) {
  const readOnce = <Result>(read: () => Promise<Result>): Promise<Result> => {
    meter.add('r2Reads');
    return translated(read);
  };
  return async <Result>(read: () => Promise<Result>): Promise<Result> => {
    try {
      return await readOnce(read);
    } catch (error) {
      if (error instanceof StoreUnavailable) {
        return readOnce(read);
      }
      throw error;
    }
  };
}

/** R2 puts its error numbers into the message. */
const CHECKSUM_MISMATCH = /\(10037\)|checksum.*did not match/i;
const NO_SUCH_UPLOAD = /\(10024\)|multipart upload does not exist/i;

/** A part is too small, another one or missing, or of another size than the rest. */
const BROKEN_PARTS = /\((?:10011|10025|10048)\)/;

/** Failures of R2 itself, too many requests among them, and of the way there. */
const PASSES = /\((?:0|10001|10043|10054|10058)\)|Network connection lost|internal error/i;

async function translated<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    if (CHECKSUM_MISMATCH.test(message)) {
      throw new ChecksumMismatch(error);
    }
    if (NO_SUCH_UPLOAD.test(message)) {
      throw new MultipartGone(error);
    }
    if (BROKEN_PARTS.test(message)) {
      throw new MultipartBroken(error);
    }
    if (PASSES.test(message)) {
      throw new StoreUnavailable('bucket', message, error);
    }
    throw error;
  }
}
