import type { Brand } from './brand.ts';
import type { Bytes } from './bytes.ts';

/** The digest algorithms that content may be named by. */
const DIGEST_ALGORITHMS = ['sha256', 'sha512'] as const;
export type DigestAlgorithm = (typeof DIGEST_ALGORITHMS)[number];

/**
 * A content digest this registry can compute and compare: `sha256:` and 64, or `sha512:` and
 * 128 lower-case hexadecimal digits. Equality is equality of the text; the same bytes under two
 * algorithms are two digests. Made by {@link parseDigest} only.
 */
export type Digest = Brand<string, 'Digest'>;

const HEX_LENGTHS: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 };
const LOWER_HEX = /^[0-9a-f]+$/;
/** OCI image-spec descriptor grammar: the algorithm may be a compound such as `multihash+base58`. */
const DIGEST_GRAMMAR = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([A-Za-z0-9=_-]+)$/;

/**
 * The text as a {@link Digest}, or `null` if it breaks the grammar, names an algorithm that is not
 * one of {@link DIGEST_ALGORITHMS}, or has another length or case than that algorithm's hex form.
 */
export function parseDigest(text: string): Digest | null {
  const algorithm = digestAlgorithmOf(text);
  if (algorithm === null) {
    return null;
  }
  const encoded = text.slice(algorithm.length + 1);
  return encoded.length === HEX_LENGTHS[algorithm] && LOWER_HEX.test(encoded)
    ? (text as Digest)
    : null;
}

/**
 * Whether the text has the syntax of a digest of any algorithm, registered or not. Layers that are
 * fetched from elsewhere may be named by algorithms that this registry does not compute.
 */
export function hasDigestSyntax(text: string): boolean {
  const match = DIGEST_GRAMMAR.exec(text);
  if (match === null) {
    return false;
  }
  const algorithm = match[1];
  return algorithm === 'sha256' || algorithm === 'sha512' ? parseDigest(text) !== null : true;
}

/** Whether the text names one of the algorithms. */
export function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return (DIGEST_ALGORITHMS as readonly string[]).includes(text);
}

/** The algorithm of a digest that {@link parseDigest} made. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The hexadecimal part of a digest. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The digest with this algorithm and these raw hash bytes (32 for sha256, 64 for sha512). */
export function digestOf(algorithm: DigestAlgorithm, hash: Uint8Array): Digest {
  const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${algorithm}:${hex}` as Digest;
}

/** The digest of bytes held in memory. */
export async function computeDigest(algorithm: DigestAlgorithm, bytes: Bytes): Promise<Digest> {
  const name = algorithm === 'sha512' ? 'SHA-512' : 'SHA-256';
  return digestOf(algorithm, new Uint8Array(await crypto.subtle.digest(name, bytes)));
}

/** The raw hash bytes that a digest writes out. */
export function hashBytesOf(digest: Digest): Bytes {
  const hex = hexOf(digest);
  const bytes = new Uint8Array(hex.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16);
  }
  return bytes;
}

function digestAlgorithmOf(text: string): DigestAlgorithm | null {
  return DIGEST_ALGORITHMS.find((algorithm) => text.startsWith(`${algorithm}:`)) ?? null;
}
