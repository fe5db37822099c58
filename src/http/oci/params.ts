import { type Digest, parseDigest } from '../../model/digest.ts';
import { TAG_PAGE_SIZE_DEFAULT, TAG_PAGE_SIZE_MAX } from '../../model/limits.ts';
import { type TagName, parseTagName } from '../../model/names.ts';
import { parseRfc3339 } from '../../model/rfc3339.ts';
import type { EpochMs } from '../../model/time.ts';
import { badTime, OciError } from './errors.ts';

/** What a manifest is asked for by; a colon tells the two apart, tags have none. */
export type Reference =
  | { readonly kind: 'digest'; readonly digest: Digest }
  | { readonly kind: 'tag'; readonly tagName: TagName };

/**
 * The reference of a manifest that is to be read or deleted. A name that no tag can have is a tag
 * that is not there.
 */
export function parseReference(text: string): Reference {
  if (text.includes(':')) {
    return { kind: 'digest', digest: requireDigest(text) };
  }
  const tagName = parseTagName(text);
  if (tagName === null) {
    throw new OciError(404, {
      code: 'MANIFEST_UNKNOWN',
      message: `no tag can be called '${text}'`,
    });
  }
  return { kind: 'tag', tagName };
}

/** A digest in a path or a query. Refuses with 400 `DIGEST_INVALID`. */
export function requireDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (digest === null) {
    throw new OciError(400, {
      code: 'DIGEST_INVALID',
      message: 'a digest is sha256: and 64, or sha512: and 128 lower-case hexadecimal digits',
    });
  }
  return digest;
}

/**
 * The moment that a `Berth-At` header names; null where there is none. Refuses with 400
 * `MANIFEST_INVALID` what is no RFC 3339 time.
 */
export function parseMoment(text: string | undefined): EpochMs | null {
  const momentMs = text === undefined ? null : parseRfc3339(text.trim());
  if (text !== undefined && momentMs === null) {
    throw badTime('Berth-At is a time as RFC 3339 writes it: 2026-11-01T12:00:00Z');
  }
  return momentMs;
}

/** The number of names on a page: 100 where `n` is no number, 1000 at most, 0 at least. */
export function parsePageSize(text: string | undefined): number {
  const size = text === undefined || !/^-?\d+$/.test(text.trim()) ? NaN : Number(text);
  return Number.isNaN(size)
    ? TAG_PAGE_SIZE_DEFAULT
    : Math.min(Math.max(size, 0), TAG_PAGE_SIZE_MAX);
}

/** A `Content-Length`, or null where there is none. */
export function parseContentLength(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** Which bytes of an upload a body holds, both ends included. */
export interface ContentRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The distribution-spec's own form of `Content-Range`: two offsets and no unit. Null where there
 * is none. Refuses with 400 `BLOB_UPLOAD_INVALID` what has another form.
 */
export function parseContentRange(text: string | undefined): ContentRange | null {
  if (text === undefined) {
    return null;
  }
  const [, first, last] = /^(\d{1,15})-(\d{1,15})$/.exec(text.trim()) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first)) {
    throw new OciError(400, {
      code: 'BLOB_UPLOAD_INVALID',
      message: 'Content-Range is the first and the last offset of the chunk: 0-5242879',
    });
  }
  return { first: Number(first), last: Number(last) };
}

/** What a `Range` header asks of a blob: a part that is there, one that is not, or the whole. */
export type BlobRange =
  | { readonly kind: 'part'; readonly offset: number; readonly length: number }
  | { readonly kind: 'unsatisfiable' }
  | { readonly kind: 'whole' };

/**
 * Reads a `Range` header against a blob of so many bytes (RFC 9110 14). Several ranges, another
 * unit or a form that is none mean the whole, as if the header were not there; a range that lies
 * beyond the end, or whose ends are in the wrong order, cannot be satisfied.
 */
export function parseRange(header: string | undefined, sizeBytes: number): BlobRange {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  const [, firstText = '', lastText = ''] = match ?? [];
  if (match === null || (firstText === '' && lastText === '')) {
    return { kind: 'whole' };
  }
  if (firstText === '') {
    const length = Math.min(Number(lastText), sizeBytes);
    return length === 0
      ? { kind: 'unsatisfiable' }
      : { kind: 'part', offset: sizeBytes - length, length };
  }
  const offset = Number(firstText);
  const last = lastText === '' ? sizeBytes - 1 : Math.min(Number(lastText), sizeBytes - 1);
  return offset >= sizeBytes || last < offset
    ? { kind: 'unsatisfiable' }
    : { kind: 'part', offset, length: last - offset + 1 };
}
