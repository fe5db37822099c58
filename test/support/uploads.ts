import { env } from 'cloudflare:workers';

import type { Bytes } from '../../src/model/bytes.ts';
import type { BlobUpload } from '../../src/model/datatypes.ts';
import type { Digest } from '../../src/model/digest.ts';
import type { RepositoryName } from '../../src/model/names.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { DAY_MS } from './clock.ts';
import { streamOf } from './content.ts';
import { openTestRegistry, type TestRegistry } from './registry.ts';

export function nameOf({ namespaceName, name }: RepositoryRef): RepositoryName {
  return { namespace: namespaceName, repository: name };
}

/** Begins an upload that is there afterwards. */
export async function anUpload(
  { operations }: Pick<TestRegistry, 'operations'>,
  repository: RepositoryRef,
): Promise<BlobUpload> {
  const upload = await operations.startUpload(nameOf(repository));
  if (upload === null) {
    throw new Error('the upload was not started');
  }
  return upload;
}

/** A body to append wherever the upload stands. */
export function chunkOf(bytes: Bytes, offset: number | null = null) {
  return { body: streamOf(bytes), offset, length: bytes.byteLength };
}

/** How to end an upload that has all its bytes. */
export function closingAs(digest: Digest) {
  return { digest, body: null, offset: null, length: null };
}

/** How to end an upload with a last body. */
export function closingWith(digest: Digest, bytes: Bytes, offset: number | null = null) {
  return { digest, ...chunkOf(bytes, offset) };
}

export function concat(...pieces: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

/** What R2 has under a key, or null. */
export async function objectAt(key: string): Promise<Bytes | null> {
  const object = await env.BUCKET.get(key);
  return object === null ? null : new Uint8Array(await object.arrayBuffer());
}

/** Whether the bytes of a blob are exactly these. Comparing five million by `toEqual` takes long. */
export async function isStored(
  blob: { readonly objectKey: string } | null,
  bytes: Bytes,
): Promise<boolean> {
  const stored = blob && (await objectAt(blob.objectKey));
  return (
    stored !== null &&
    stored.byteLength === bytes.byteLength &&
    crypto.subtle.timingSafeEqual(stored, bytes)
  );
}

export type Row = Record<string, string | number | null>;

/** The rows that a statement gives. */
export async function rowsOf(sql: string, ...values: unknown[]): Promise<readonly Row[]> {
  const { results } = await env.DB.prepare(sql)
    .bind(...values)
    .all<Row>();
  return results;
}

/** Every `kind key` that is buried, in order. */
export async function graves(): Promise<readonly string[]> {
  const rows = await rowsOf('SELECT kind, object_key FROM r2_tombstone ORDER BY kind, object_key');
  return rows.map(({ kind, object_key: key }) => `${kind} ${key}`);
}

/** Deletes whatever is buried: runs the drain at a time when every tombstone is due. */
export async function drainGraves(): Promise<void> {
  const { clock, housekeeping } = openTestRegistry();
  clock.advance(365 * DAY_MS);
  const { failures } = await housekeeping.drainTombstones();
  if (failures.length > 0) {
    throw new AggregateError(failures, 'the drain failed');
  }
}

/** Forgets every upload, blob and object, so that what is checked next is only what comes next. */
export async function forgetBlobs(): Promise<void> {
  await env.DB.batch(
    ['blob_upload', 'uploaded_blob', 'manifest_blob', 'blob', 'r2_tombstone', 'repository_gc'].map(
      (table) => env.DB.prepare(`DELETE FROM ${table}`),
    ),
  );
  const { objects } = await env.BUCKET.list();
  if (objects.length > 0) {
    await env.BUCKET.delete(objects.map(({ key }) => key));
  }
}
