import type { Context } from 'hono';

import { parseManifest } from '../../image/parse.ts';
import { log } from '../../log.ts';
import type { Bytes } from '../../model/bytes.ts';
import type { Digest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import { MANIFEST_BYTES_MAX, TAGS_PER_PUSH_MAX } from '../../model/limits.ts';
import type { RepositoryName } from '../../model/names.ts';
import { type Quota, usedPercent } from '../../model/quota.ts';
import { recordAudit } from '../audit-log.ts';
import { readWithAccess, requireAccess } from '../auth/access.ts';
import { requireEnabledNamespaceOf } from '../auth/namespaces.ts';
import type { AppEnv } from '../scope.ts';
import { conditionalHeaders, entityTag, isUnchanged } from './conditional.ts';
import { denied, OciError } from './errors.ts';
import { parseMoment, parseReference } from './params.ts';
import { BERTH_AT_HEADER, type PulledManifest, pullManifest } from './pulled-manifest.ts';
import { requireServedRegion } from './regions.ts';
import {
  nameUnknown,
  repositoryForPush,
  requireRepository,
  requireWritable,
} from './repositories.ts';

type ManifestContext = Context<AppEnv, '/v2/:name/manifests/:reference'>;

/** end-3: a manifest by tag or digest, byte for byte as it was pushed. */
export async function getManifest(c: ManifestContext): Promise<Response> {
  const isHead = c.req.method === 'HEAD';
  const action = isHead ? 'probe' : 'pull';
  const reference = c.req.param('reference');
  const pulled = await readWithAccess(c, { name: c.req.param('name'), action }, async (name) =>
    pullReference(c, { name, reference, withBytes: !isHead }),
  );
  requireEnabledNamespaceOf(c, pulled.repository);
  await requireServedRegion(c, pulled.repository);
  const { info, bytes } = pulled.manifest;
  const headers = {
    'Content-Type': info.mediaType,
    'Content-Length': String(info.sizeBytes),
    'Docker-Content-Digest': info.digest,
    ETag: entityTag(info.digest),
    // Clients compute digests over what they receive; nothing between may change it.
    'Cache-Control': 'no-transform',
    ...pulled.headers,
  };
  if (isUnchanged(c.req.header('If-None-Match'), info.digest)) {
    return c.body(null, 304, conditionalHeaders(headers));
  }
  if (bytes === null) {
    return c.body(null, 200, headers);
  }
  // Asking whether there is something new, by HEAD or with what one has, is no pull.
  const { repository, by } = pulled;
  c.var.scope.operations.recordPull({ repository, manifest: info, by });
  if (Math.random() < c.var.scope.settings.auditPullSample) {
    const metadata = {
      ...(by.kind === 'tag' && { tag: by.tagName }),
      manifest_digest: info.digest,
    };
    recordAudit(c, { kind: 'pull_repo', repository, metadata });
  }
  return c.body(bytes, 200, headers);
}

async function pullReference(
  c: ManifestContext,
  asked: { readonly name: RepositoryName; readonly reference: string; readonly withBytes: boolean },
): Promise<PulledManifest> {
  const reference = parseReference(asked.reference);
  return pullManifest(reference, {
    name: asked.name,
    // A digest means the same at all times.
    atMs: reference.kind === 'tag' ? parseMoment(c.req.header(BERTH_AT_HEADER)) : null,
    withBytes: asked.withBytes,
    operations: c.var.scope.operations,
  });
}

/** end-7: stores a manifest under a tag, by its digest, or by its digest under several tags. */
export async function putManifest(c: ManifestContext): Promise<Response> {
  const asked = c.req.param('name');
  const { name } = await requireAccess(c, { name: asked, action: 'push' });
  const reference = c.req.param('reference');
  const isDigest = reference.includes(':');
  const tagNames = isDigest ? parseTagParameters(c) : [reference];
  const bytes = await readBody(c.req.raw.body, MANIFEST_BYTES_MAX);
  const parsed = await parseManifest(bytes, {
    contentType: c.req.header('Content-Type') ?? null,
    reference: isDigest ? reference : null,
  });
  const { scope } = c.var;
  const repository = await repositoryForPush(c, name);
  const { operations, settings } = scope;
  const { quotaToWarnOf } =
    tagNames.length === 0
      ? await operations.createManifestByDigest(
          repository,
          parsed,
          settings.pushTempTagExpirationSec,
        )
      : await operations.createManifestAndRetargetTags(repository, parsed, tagNames);
  recordAudit(c, {
    kind: 'push_repo',
    repository,
    metadata: {
      ...(tagNames.length === 1 && { tag: tagNames[0] ?? '' }),
      manifest_digest: parsed.digest,
      media_type: parsed.mediaType,
      ...(tagNames.length > 1 && { tags: tagNames }),
    },
  });
  return c.body(null, 201, {
    Location: `/v2/${asked}/manifests/${parsed.digest}`,
    'Docker-Content-Digest': parsed.digest,
    ...(parsed.subject === null ? {} : { 'OCI-Subject': parsed.subject.digest }),
    ...(isDigest && tagNames.length > 0 ? { 'OCI-Tag': tagNames.join(', ') } : {}),
    ...(quotaToWarnOf && warnOfQuota(c, name, quotaToWarnOf)),
  });
}

/** Tells who pushes that the namespace is above its quota's warning, and notes it in the log. */
function warnOfQuota(
  c: ManifestContext,
  { namespace, repository }: RepositoryName,
  quota: Quota,
): Record<string, string> {
  const { usedBytes, limitBytes } = quota;
  const percent = usedPercent(quota);
  log('info', {
    event: 'quota-warning',
    requestId: c.var.requestId,
    repository: `${namespace}/${repository}`,
    usedBytes,
    limitBytes,
  });
  return {
    Warning:
      `299 - "namespace '${namespace}' uses ${percent} % of its quota: ` +
      `${usedBytes} of ${limitBytes} bytes"`,
  };
}

/** end-7b: the tags that a push by digest sets. Refuses with 414 more than one batch takes. */
function parseTagParameters(c: ManifestContext): readonly string[] {
  const tagNames = [...new Set(c.req.queries('tag') ?? [])];
  if (tagNames.length > TAGS_PER_PUSH_MAX) {
    throw new OciError(414, {
      code: 'MANIFEST_INVALID',
      message: `one push sets ${TAGS_PER_PUSH_MAX} tags at most`,
      detail: { reason: 'TOO_MANY_TAGS' },
    });
  }
  return tagNames;
}

/**
 * The body in memory. Counted while it comes, because clients may not announce its length. What is
 * too much is read to its end all the same: a client that is still sending would lose the
 * connection before it sees the answer.
 */
async function readBody(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length <= maxBytes) {
      chunks.push(chunk);
    }
  }
  if (length > maxBytes) {
    throw new RegistryError('ManifestTooLarge', { maxBytes });
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** end-9: ends a tag, or all tags of a digest. */
export async function deleteManifest(c: ManifestContext): Promise<Response> {
  const { name } = await requireAccess(c, { name: c.req.param('name'), action: 'push' });
  const reference = parseReference(c.req.param('reference'));
  return reference.kind === 'tag'
    ? deleteByTag(c, { name, tagName: reference.tagName })
    : deleteByDigest(c, { name, digest: reference.digest });
}

async function deleteByTag(
  c: ManifestContext,
  { name, tagName }: { name: RepositoryName; tagName: string },
): Promise<Response> {
  const { scope } = c.var;
  const repository = await requireRepository(c, name);
  requireWritable(repository);
  const deleted = await scope.registry.deleteTag(repository, tagName);
  if (deleted === null) {
    throw new RegistryError('TagNotFound', { tagName });
  }
  recordAudit(c, {
    kind: 'delete_tag',
    repository,
    metadata: { tag: tagName, manifest_digest: deleted.manifestDigest },
  });
  await scope.operations.forgetManifest(name, deleted.manifestDigest);
  return c.body(null, 202);
}

async function deleteByDigest(
  c: ManifestContext,
  { name, digest }: { name: RepositoryName; digest: Digest },
): Promise<Response> {
  const { scope } = c.var;
  // What is deleted is decided by the database, not by an answer that was kept.
  await scope.operations.forgetManifest(name, digest);
  const resolved = await scope.operations.resolveManifest(name, digest, { withBytes: false });
  if (resolved === null) {
    throw nameUnknown(name);
  }
  requireEnabledNamespaceOf(c, resolved.repository);
  requireWritable(resolved.repository);
  if (resolved.manifest === null) {
    throw new RegistryError('ManifestNotFound', { digest });
  }
  const { tags, hiddenEnded, stillAvailable } = await scope.registry.deleteTagsForManifest(
    resolved.manifest.info,
  );
  if (tags.length + hiddenEnded > 0) {
    recordAudit(c, {
      kind: 'delete_tag',
      repository: resolved.repository,
      metadata: { manifest_digest: digest, tags: tags.map((tag) => tag.name) },
    });
  }
  await scope.operations.forgetManifest(name, digest);
  if (tags.length + hiddenEnded > 0) {
    return c.body(null, 202, stillAvailable ? { Warning: HELD_BY_INDEX } : {});
  }
  throw stillAvailable
    ? denied(405, {
        message: 'an index holds the manifest; delete the index first',
        detail: { reason: 'MANIFEST_IN_USE' },
      })
    : new RegistryError('ManifestNotFound', { digest });
}

const HELD_BY_INDEX =
  '299 - "the tags are gone, but an index holds the manifest: it can still be pulled by digest"';
