import type { Digest } from '../../model/digest.ts';
import { RegistryError } from '../../model/errors.ts';
import type { RepositoryName, TagName } from '../../model/names.ts';
import { type PastTag, parsePastTag } from '../../model/past-tag.ts';
import type { RepositoryRef } from '../../model/references.ts';
import { formatRfc3339 } from '../../model/rfc3339.ts';
import type { EpochMs } from '../../model/time.ts';
import type { RegistryOperations } from '../../registry/index.ts';
import type { PulledBy } from '../../registry/pulls/record.ts';
import type { FoundManifest } from '../../registry/resolve.ts';
import type { FoundPastTag } from '../../registry/time-travel.ts';
import { OciError } from './errors.ts';
import type { Reference } from './params.ts';
import { nameUnknown } from './repositories.ts';

/** What a pull of a manifest found. */
export interface PulledManifest {
  readonly repository: RepositoryRef;
  readonly manifest: FoundManifest;
  readonly by: PulledBy;
  /** What is to be said of the tag that it was found by. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The header that a client names a moment by, and that an answer repeats it in. */
export const BERTH_AT_HEADER = 'Berth-At';

interface Pull {
  readonly name: RepositoryName;
  /** The moment that was asked for beside the reference; null: none was. */
  readonly atMs: EpochMs | null;
  readonly withBytes: boolean;
  readonly operations: RegistryOperations;
}

/**
 * The manifest that a reference names. A moment is the past of a tag; a digest means the same at
 * all times. Refuses with 404 `NAME_UNKNOWN` or `MANIFEST_UNKNOWN`, and with 400 `MANIFEST_INVALID`
 * a moment that is still to come.
 */
export async function pullManifest(reference: Reference, pull: Pull): Promise<PulledManifest> {
  if (reference.kind === 'digest') {
    return pullByDigest(reference.digest, pull);
  }
  const { tagName } = reference;
  const { atMs } = pull;
  const past = atMs === null ? parsePastTag(tagName) : { tagName, atMs };
  const pulled = await (past === null
    ? pullByTag(tagName, pull)
    : pullPastTag({ ...past, literalName: atMs === null ? tagName : null }, pull));
  return { ...pulled, headers: { Vary: BERTH_AT_HEADER, ...pulled.headers } };
}

async function pullByDigest(
  digest: Digest,
  { name, withBytes, operations }: Pull,
): Promise<PulledManifest> {
  const resolved = await operations.resolveManifest(name, digest, { withBytes });
  if (resolved === null) {
    throw nameUnknown(name);
  }
  if (resolved.manifest === null) {
    throw new RegistryError('ManifestNotFound', { digest });
  }
  const { repository, manifest } = resolved;
  return { repository, manifest, by: { kind: 'digest' }, headers: {} };
}

async function pullByTag(
  tagName: TagName,
  { name, withBytes, operations }: Pull,
): Promise<PulledManifest> {
  const resolved = await operations.resolveTag(name, tagName, { withBytes });
  if (resolved === null) {
    throw nameUnknown(name);
  }
  if (resolved.manifest === null) {
    throw resolved.hasEnded ? tagExpired(tagName) : new RegistryError('TagNotFound', { tagName });
  }
  const { repository, manifest, endsSoonMs } = resolved;
  const by = { kind: 'tag', tagName } as const;
  return { repository, manifest, by, headers: warnOfEnd(tagName, endsSoonMs) };
}

async function pullPastTag(
  past: PastTag & { readonly literalName: TagName | null },
  { name, withBytes, operations }: Pull,
): Promise<PulledManifest> {
  const resolved = await operations.resolvePastTag(name, past, { withBytes });
  if (resolved === null) {
    throw nameUnknown(name);
  }
  const { repository, found } = resolved;
  if (found === null) {
    throw noTagThen(past, resolved);
  }
  const { tag, manifest, isPast, endsSoonMs } = found;
  const headers = isPast ? describePast(past, tag) : warnOfEnd(tag.name, endsSoonMs);
  const by = isPast ? ({ kind: 'past' } as const) : ({ kind: 'tag', tagName: tag.name } as const);
  return { repository, manifest, by, headers };
}

/** Which moment was answered, and from when to when the tag pointed to this. */
function describePast({ atMs }: PastTag, { lifetimeStartMs, lifetimeEndMs }: FoundPastTag['tag']) {
  return Object.fromEntries(
    Object.entries({
      [BERTH_AT_HEADER]: formatRfc3339(atMs),
      'Berth-Tag-Start': formatRfc3339(lifetimeStartMs),
      'Berth-Tag-End': lifetimeEndMs === null ? null : formatRfc3339(lifetimeEndMs),
    }).filter((header): header is [string, string] => header[1] !== null),
  );
}

/** Tells who pulls a tag that it will not be there for long. */
function warnOfEnd(tagName: TagName, endsSoonMs: EpochMs | null): Record<string, string> {
  return endsSoonMs === null
    ? {}
    : { Warning: `299 - "tag '${tagName}' ends at ${formatRfc3339(endsSoonMs)}"` };
}

function tagExpired(tagName: string): OciError {
  return new OciError(404, {
    code: 'MANIFEST_UNKNOWN',
    message:
      `tag '${tagName}' was deleted or has expired; ` +
      'it may be restored while its repository keeps it',
    detail: { reason: 'TAG_EXPIRED' },
  });
}

function noTagThen(
  { tagName, atMs }: PastTag,
  { windowSec, windowStartMs }: { readonly windowSec: number; readonly windowStartMs: EpochMs },
): OciError {
  const at = formatRfc3339(atMs);
  const windowStart = formatRfc3339(windowStartMs);
  const isOutside = atMs < windowStartMs;
  return new OciError(404, {
    code: 'MANIFEST_UNKNOWN',
    message: isOutside
      ? `what tag '${tagName}' pointed to at ${at} is not kept; what ended after ${windowStart} is`
      : `tag '${tagName}' pointed to nothing at ${at}`,
    detail: { reason: isOutside ? 'OUTSIDE_WINDOW' : 'NO_TAG_THEN', at, windowStart, windowSec },
  });
}
