import { SECRET_LENGTH, SECRET_PREFIX_LENGTH } from '../../model/limits.ts';
import type { CredentialValues } from '../../storage/d1/credentials.ts';
import type { Ids } from '../deps.ts';

/** Capital letters and digits: what a client may put anywhere, and a double click selects whole. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
/** The largest multiple of the alphabet's size that a byte holds; what is above would not be fair. */
const FAIR_BYTES = 256 - (256 % ALPHABET.length);

const SECRET = new RegExp(`^[A-Z0-9]{${SECRET_LENGTH}}$`);

/** A new secret: random, and shown to nobody but who asked for it. */
export function drawSecret(): string {
  let secret = '';
  while (secret.length < SECRET_LENGTH) {
    const bytes = crypto.getRandomValues(new Uint8Array(SECRET_LENGTH));
    secret += Array.from(bytes)
      .filter((byte) => byte < FAIR_BYTES)
      .map((byte) => ALPHABET[byte % ALPHABET.length])
      .join('');
  }
  return secret.slice(0, SECRET_LENGTH);
}

/** A secret, and what is kept of it. The UUID tells a write that is sent again from another one. */
export async function drawCredential(
  ids: Ids,
): Promise<{ readonly secret: string; readonly values: CredentialValues }> {
  const secret = drawSecret();
  const prefix = secret.slice(0, SECRET_PREFIX_LENGTH);
  return { secret, values: { uuid: ids.uuid(), prefix, secretHash: await hashSecret(secret) } };
}

/** The part of a secret that it is found by; null for what is none of ours. */
export function secretPrefix(secret: string): string | null {
  return SECRET.test(secret) ? secret.slice(0, SECRET_PREFIX_LENGTH) : null;
}

/** What is kept of a secret: its SHA-256, hexadecimal. */
export async function hashSecret(secret: string): Promise<string> {
  return toHex(await digest(secret));
}

/**
 * Whether this is the secret of a hash, in a time that tells nothing. Null stands for the hash of a
 * secret that does not exist, which takes as long.
 */
export async function isSecretOf(secret: string, secretHash: string | null): Promise<boolean> {
  const expected = fromHex(secretHash ?? NO_HASH);
  return crypto.subtle.timingSafeEqual(await digest(secret), expected) && secretHash !== null;
}

const HASH_LENGTH = 64;
const NO_HASH = '0'.repeat(HASH_LENGTH);

function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
}

function toHex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
