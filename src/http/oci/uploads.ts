import type { Context } from 'hono';

import type { Blob, BlobUpload } from '../../model/datatypes.ts';
import { type Digest, isDigestAlgorithm } from '../../model/digest.ts';
import { isRegistryError } from '../../model/errors.ts';
import { UPLOAD_PART_BYTES } from '../../model/limits.ts';
import { parseRepositoryName, type RepositoryName } from '../../model/names.ts';
import { requireAccess, whichMayPull } from '../auth/access.ts';
import { hasToken, isClosed } from '../auth/namespaces.ts';
import type { AppEnv } from '../scope.ts';
import { OciError, toOciError } from './errors.ts';
import { parseContentLength, parseContentRange, requireDigest } from './params.ts';
import { repositoryForPush } from './repositories.ts';

type StartContext = Context<AppEnv, '/v2/:name/blobs/uploads'>;
type UploadContext = Context<AppEnv, '/v2/:name/blobs/uploads/:upload'>;

/** end-4, end-11: begins an upload; mounts a blob or takes it whole, where it can. */
export async function startUpload(c: StartContext): Promise<Response> {
  const asked = c.req.param('name');
  const mountFrom = c.req.query('from') ?? null;
  const { name } = await requireAccess(c, { name: asked, action: 'push', mountFrom });
  const { mount, digest } = c.req.query();
  requireKnownAlgorithm(c.req.query('digest-algorithm'));
  if (mount !== undefined) {
    const mounted = await mountBlob(c, { name, digest: requireDigest(mount), mountFrom });
    if (mounted !== null) {
      return created(c, { asked, blob: mounted });
    }
  } else if (digest !== undefined) {
    return uploadInOneRequest(c, { asked, name, digest: requireDigest(digest) });
  }
  return answerUpload(c, { asked, upload: await beginUpload(c, name), status: 202 });
}

/** end-4c: what the client means to close the upload with. Every known algorithm can be. */
function requireKnownAlgorithm(algorithm: string | undefined): void {
  if (algorithm !== undefined && !isDigestAlgorithm(algorithm)) {
    throw new OciError(400, {
      code: 'DIGEST_INVALID',
      message: `digests are sha256 or sha512, not '${algorithm}'`,
    });
  }
}

/** The blob, if the caller may read it where it is; null means that it must be uploaded. */
async function mountBlob(
  c: StartContext,
  { name, digest, mountFrom }: { name: RepositoryName; digest: Digest; mountFrom: string | null },
): Promise<Blob | null> {
  const { scope } = c.var;
  const source = await findSource(c, { digest, mountFrom });
  const resolved = source && (await scope.operations.resolveBlob(source, digest));
  if (!resolved?.blob || isClosed(c, resolved.repository)) {
    return null;
  }
  const target = await repositoryForPush(c, name);
  const { pushLeaseSec } = scope.settings;
  const isMounted = await scope.registry.mountBlobIntoRepository(
    resolved.blob,
    target,
    pushLeaseSec,
  );
  return isMounted ? resolved.blob : null;
}

/** The repository that is named, or else any that has the blob; one that the caller may read. */
async function findSource(
  c: StartContext,
  { digest, mountFrom }: { digest: Digest; mountFrom: string | null },
): Promise<RepositoryName | null> {
  const named = mountFrom === null ? null : parseRepositoryName(mountFrom);
  const sources =
    mountFrom === null ? await c.var.scope.operations.findBlobSources(digest) : named && [named];
  const [source] = sources?.length ? await whichMayPull(c, sources) : [];
  return source ?? null;
}

/** end-4b. A body whose length nobody knows is received as a chunk. */
async function uploadInOneRequest(
  c: StartContext,
  { asked, name, digest }: { asked: string; name: RepositoryName; digest: Digest },
): Promise<Response> {
  const { operations } = c.var.scope;
  const body = bodyOf(c);
  const length = parseContentLength(c.req.header('Content-Length'));
  if (length === null) {
    const { uploadId } = await beginUpload(c, name);
    const blob = await operations.finishUpload(name, uploadId, { digest, body, offset: 0, length });
    return created(c, { asked, blob: blob ?? unknownUpload() });
  }
  const whole = { digest, body, length };
  const enabledOnly = !hasToken(c);
  const blob =
    (await operations.uploadWhole(name, whole, { enabledOnly })) ??
    (await repositoryForPush(c, name).then(() =>
      operations.uploadWhole(name, whole, { enabledOnly }),
    ));
  return created(c, { asked, blob: blob ?? unknownUpload() });
}

/** An open upload, in a repository that is made if there is none. */
async function beginUpload(c: StartContext, name: RepositoryName): Promise<BlobUpload> {
  const { scope } = c.var;
  const enabledOnly = !hasToken(c);
  const started = await scope.operations.startUpload(name, { enabledOnly });
  if (started !== null) {
    return started;
  }
  await repositoryForPush(c, name);
  return (await scope.operations.startUpload(name, { enabledOnly })) ?? unknownUpload();
}

/** end-13: how far an upload is. */
export async function getUpload(c: UploadContext): Promise<Response> {
  const asked = c.req.param('name');
  const { name } = await requireAccess(c, { name: asked, action: 'push' });
  const upload = await c.var.scope.operations.uploadStatus(name, c.req.param('upload'));
  return answerUpload(c, { asked, upload: upload ?? unknownUpload(), status: 204 });
}

/** end-5: appends a chunk, or a stream of unknown length. */
export async function patchUpload(c: UploadContext): Promise<Response> {
  const asked = c.req.param('name');
  const { name } = await requireAccess(c, { name: asked, action: 'push' });
  const { offset, length } = announcedBytes(c);
  const uploadId = c.req.param('upload');
  const upload = await keepingSession(asked, () =>
    c.var.scope.operations.appendChunk(name, uploadId, { body: bodyOf(c), offset, length }),
  );
  return answerUpload(c, { asked, upload: upload ?? unknownUpload(), status: 202 });
}

/** end-6: ends an upload as a blob. */
export async function putUpload(c: UploadContext): Promise<Response> {
  const asked = c.req.param('name');
  const { name } = await requireAccess(c, { name: asked, action: 'push' });
  const digestText = c.req.query('digest');
  if (digestText === undefined) {
    throw new OciError(400, {
      code: 'BLOB_UPLOAD_INVALID',
      message: 'the digest of the blob is missing: ?digest=sha256:…',
    });
  }
  const digest = requireDigest(digestText);
  const { offset, length } = announcedBytes(c);
  // A length without a body is told of where the body ends too early.
  const body = length === null ? c.req.raw.body : length === 0 ? null : bodyOf(c);
  const blob = await keepingSession(asked, () =>
    c.var.scope.operations.finishUpload(name, c.req.param('upload'), {
      digest,
      body,
      offset,
      length,
    }),
  );
  return created(c, { asked, blob: blob ?? unknownUpload() });
}

/** end-14: gives an upload up. */
export async function deleteUpload(c: UploadContext): Promise<Response> {
  const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'push' });
  const isCancelled = await c.var.scope.operations.cancelUpload(name, c.req.param('upload'));
  return isCancelled ? c.body(null, 204) : unknownUpload();
}

/** What the headers say of the body. Refuses with 400 `SIZE_INVALID` if they disagree. */
function announcedBytes(c: UploadContext): { offset: number | null; length: number | null } {
  const length = parseContentLength(c.req.header('Content-Length'));
  const range = parseContentRange(c.req.header('Content-Range'));
  if (range === null) {
    return { offset: null, length };
  }
  const rangeLength = range.last - range.first + 1;
  if (length !== null && length !== rangeLength) {
    throw new OciError(400, {
      code: 'SIZE_INVALID',
      message: `Content-Range has ${rangeLength} bytes, Content-Length ${length}`,
    });
  }
  return { offset: range.first, length: rangeLength };
}

/** A chunk out of order leaves the session as it is, and the answer says where that stands. */
async function keepingSession<Result>(asked: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (!isRegistryError(error) || error.code !== 'UploadRange') {
      throw error;
    }
    const { uploadId, expectedOffset } = error.detail;
    const { status, entries } = toOciError(error);
    throw new OciError(
      status,
      entries,
      sessionHeaders(asked, { uploadId, byteCount: expectedOffset }),
    );
  }
}

function answerUpload(
  c: StartContext | UploadContext,
  { asked, upload, status }: { asked: string; upload: BlobUpload; status: 202 | 204 },
): Response {
  return c.body(null, status, {
    ...sessionHeaders(asked, upload),
    'OCI-Chunk-Min-Length': String(UPLOAD_PART_BYTES),
    'OCI-Chunk-Max-Length': String(c.var.scope.settings.uploadChunkBytesMax),
  });
}

function sessionHeaders(
  asked: string,
  { uploadId, byteCount }: Pick<BlobUpload, 'uploadId' | 'byteCount'>,
): Record<string, string> {
  return {
    Location: `/v2/${asked}/blobs/uploads/${uploadId}`,
    'Docker-Upload-UUID': uploadId,
    // The last byte held; there is no form for "none yet".
    Range: `0-${Math.max(byteCount - 1, 0)}`,
  };
}

function created(
  c: StartContext | UploadContext,
  { asked, blob }: { asked: string; blob: Blob },
): Response {
  return c.body(null, 201, {
    Location: `/v2/${asked}/blobs/${blob.digest}`,
    'Docker-Content-Digest': blob.digest,
  });
}

function bodyOf(c: StartContext | UploadContext): ReadableStream<Uint8Array> {
  return c.req.raw.body ?? new Blob([]).stream();
}

function unknownUpload(): never {
  throw new OciError(404, {
    code: 'BLOB_UPLOAD_UNKNOWN',
    message: 'the repository has no such upload',
  });
}
