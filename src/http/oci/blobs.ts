import type { Context } from 'hono';

import type { Bytes } from '../../model/bytes.ts';
import type { Blob } from '../../model/datatypes.ts';
import type { Digest } from '../../model/digest.ts';
import type { RepositoryName } from '../../model/names.ts';
import { readWithAccess, requireAccess } from '../auth/access.ts';
import { requireEnabledNamespaceOf } from '../auth/namespaces.ts';
import type { AppEnv, RequestScope } from '../scope.ts';
import { conditionalHeaders, entityTag, isUnchanged } from './conditional.ts';
import { OciError } from './errors.ts';
import { type BlobRange, parseRange, requireDigest } from './params.ts';
import { requireServedRegion } from './regions.ts';
import { nameUnknown, requireRepository, requireWritable } from './repositories.ts';

type BlobContext = Context<AppEnv, '/v2/:name/blobs/:digest'>;

/** A digest names the same bytes for ever. */
const BLOB_CACHE_CONTROL = 'max-age=31536000, no-transform';

/** end-2: a blob, or a part of it. */
export async function getBlob(c: BlobContext): Promise<Response> {
  const isHead = c.req.method === 'HEAD';
  const { name, digest, resolved } = await (isHead ? probeBlob(c) : readBlob(c));
  if (resolved === null) {
    throw nameUnknown(name);
  }
  requireEnabledNamespaceOf(c, resolved.repository);
  await requireServedRegion(c, resolved.repository);
  const { blob } = resolved;
  if (blob === null) {
    throw blobUnknown(digest);
  }
  if (isUnchanged(c.req.header('If-None-Match'), digest)) {
    return c.body(null, 304, conditionalHeaders(headersOf(blob)));
  }
  return isHead ? c.body(null, 200, headersOf(blob)) : sendBlob(c, { name, blob });
}

function readBlob(c: BlobContext) {
  const requirement = { name: c.req.param('name'), action: 'pull' } as const;
  return readWithAccess(c, requirement, async (name) => {
    const digest = requireDigest(c.req.param('digest'));
    return { name, digest, resolved: await c.var.scope.operations.resolveBlob(name, digest) };
  });
}

/** A pusher that is told a blob is there will not send it, so it is held until it is named. */
async function probeBlob(c: BlobContext) {
  const { name, mayPush } = await requireAccess(c, { name: c.req.param('name'), action: 'probe' });
  const digest = requireDigest(c.req.param('digest'));
  const { operations } = c.var.scope;
  const resolved = await (mayPush
    ? operations.resolveBlobForPush(name, digest)
    : operations.resolveBlob(name, digest));
  return { name, digest, resolved };
}

async function sendBlob(
  c: BlobContext,
  { name, blob }: { name: RepositoryName; blob: Blob },
): Promise<Response> {
  const size = blob.compressedSize;
  const range = parseRange(c.req.header('Range'), size);
  if (range.kind === 'unsatisfiable') {
    return c.body(null, 416, { 'Content-Range': `bytes */${size}` });
  }
  const body = await openBlob(c.var.scope, { name, blob, range });
  if (range.kind === 'whole') {
    return c.body(body, 200, headersOf(blob));
  }
  const { offset, length } = range;
  return c.body(body, 206, {
    ...headersOf(blob),
    'Content-Length': String(length),
    'Content-Range': `bytes ${offset}-${offset + length - 1}/${size}`,
  });
}

/** The bytes. An answer that was kept may name an object that a repair has replaced since. */
async function openBlob(
  { operations }: RequestScope,
  { name, blob, range }: { name: RepositoryName; blob: Blob; range: BlobRange },
): Promise<Bytes | ReadableStream<Uint8Array>> {
  const part = range.kind === 'part' ? range : undefined;
  const body = await operations.openBlob(blob, part);
  if (body !== null) {
    return body;
  }
  const { digest } = blob;
  await operations.forgetBlob(name, digest);
  const current = await operations.resolveBlob(name, digest);
  const repaired = current?.blob && (await operations.openBlob(current.blob, part));
  if (!repaired) {
    throw blobUnknown(digest);
  }
  return repaired;
}

function headersOf(blob: Blob): Record<string, string> {
  return {
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(blob.compressedSize),
    'Docker-Content-Digest': blob.digest,
    'Accept-Ranges': 'bytes',
    'Cache-Control': BLOB_CACHE_CONTROL,
    ETag: entityTag(blob.digest),
  };
}

/** end-10: takes a blob out of a repository. */
export async function deleteBlob(c: BlobContext): Promise<Response> {
  const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'push' });
  const digest = requireDigest(c.req.param('digest'));
  const { scope } = c.var;
  const repository = await requireRepository(c, name);
  requireWritable(repository);
  if ((await scope.operations.unlinkRepoBlob(repository, digest)) === null) {
    throw blobUnknown(digest);
  }
  await scope.operations.forgetBlob(name, digest);
  return c.body(null, 202);
}

function blobUnknown(digest: Digest): OciError {
  return new OciError(404, {
    code: 'BLOB_UNKNOWN',
    message: 'the repository does not have this blob',
    detail: { digest },
  });
}
