import type { Digest } from '../../model/digest.ts';

/** The entity tag of content: its digest, quoted. Strong, since equal digests are equal bytes. */
export function entityTag(digest: Digest): string {
  return `"${digest}"`;
}

/**
 * Whether an `If-None-Match` header names the content that would be sent, so that 304 says enough
 * (RFC 9110 13.1.2). Tags are compared weakly, as that header wants; `*` names anything.
 */
export function isUnchanged(ifNoneMatch: string | undefined, digest: Digest): boolean {
  return (
    ifNoneMatch !== undefined &&
    ifNoneMatch
      .split(',')
      .map((tag) => tag.trim().replace(/^W\//, ''))
      .some((tag) => tag === '*' || tag === entityTag(digest))
  );
}

/** Of an answer's headers, those that a 304 repeats (RFC 9110 15.4.5). */
export function conditionalHeaders(
  headers: Readonly<Record<string, string>>,
): Record<string, string> {
  const { 'Content-Type': _type, 'Content-Length': _length, ...kept } = headers;
  return kept;
}
