import { calculateJwkThumbprint, importJWK } from 'jose';
import { z } from 'zod';

import { ConfigurationError } from '../../configuration-error.ts';
import type { AuthDeps } from './dependencies.ts';

/** The algorithm of every token: ECDSA on P-256 with SHA-256 (RFC 7518, 3.4). */
export const SIGNING_ALGORITHM = 'ES256';

/** The keys that tokens are signed and verified with. */
export interface SigningKeys {
  /** What signs every new token. */
  readonly signing: {
    /** The JWK's own `kid`, or else its RFC 7638 thumbprint. */
    readonly id: string;
    readonly privateKey: ImportedKey;
  };
  /** What verifies, by key id: that key, and the previous one where there is one. */
  readonly verifying: ReadonlyMap<string, ImportedKey>;
}
export type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

/** The secrets that hold keys. */
export type KeySecrets = Pick<AuthDeps, 'tokenSigningKey' | 'tokenSigningKeyPrevious'>;

/** Members that are not named here, such as `alg` or `key_ops`, are dropped. */
const PUBLIC_JWK = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  kid: z.string().min(1).optional(),
});
const PRIVATE_JWK = PUBLIC_JWK.extend({ d: z.string() });

/**
 * The keys of the last secrets seen, which are imported once in an isolate's life. It holds the keys
 * and not their promise: a promise belongs to the request that made it, and ends with it.
 */
let imported: { readonly secrets: KeySecrets; readonly keys: SigningKeys } | null = null;

/**
 * The key pair in the secret `TOKEN_SIGNING_KEY`, and the public key in `TOKEN_SIGNING_KEY_PREVIOUS`,
 * which is optional: while the one takes over from the other, tokens of both are good.
 *
 * @throws ConfigurationError if the first is missing, or either is no EC P-256 key as JWK, or two
 *   different keys have one `kid`
 */
export async function requireSigningKeys({
  tokenSigningKey,
  tokenSigningKeyPrevious,
}: KeySecrets): Promise<SigningKeys> {
  const known = imported?.secrets;
  if (
    imported === null ||
    known?.tokenSigningKey !== tokenSigningKey ||
    known?.tokenSigningKeyPrevious !== tokenSigningKeyPrevious
  ) {
    const secrets = { tokenSigningKey, tokenSigningKeyPrevious };
    imported = { secrets, keys: await importKeys(secrets) };
  }
  return imported.keys;
}

async function importKeys({
  tokenSigningKey,
  tokenSigningKeyPrevious,
}: KeySecrets): Promise<SigningKeys> {
  const current = await importSigningKey(tokenSigningKey);
  const verifying = new Map([[current.id, current.publicKey]]);
  if (tokenSigningKeyPrevious !== undefined && tokenSigningKeyPrevious !== '') {
    const previous = await importPreviousKey(tokenSigningKeyPrevious);
    if (previous.id === current.id && previous.thumbprint !== current.thumbprint) {
      throw previousKeyError('is another key with the `kid` of TOKEN_SIGNING_KEY');
    }
    verifying.set(previous.id, previous.publicKey);
  }
  return { signing: current, verifying };
}

async function importSigningKey(text: string | undefined) {
  if (text === undefined || text === '') {
    throw signingKeyError('is not set');
  }
  const parsed = PRIVATE_JWK.safeParse(parseJson(text));
  if (!parsed.success) {
    throw signingKeyError('is not a private EC P-256 key');
  }
  const { d, kid, ...publicJwk } = parsed.data;
  try {
    const thumbprint = await calculateJwkThumbprint(publicJwk);
    return {
      id: kid ?? thumbprint,
      thumbprint,
      privateKey: await importJWK({ ...publicJwk, d }, SIGNING_ALGORITHM),
      publicKey: await importJWK(publicJwk, SIGNING_ALGORITHM),
    };
  } catch {
    throw signingKeyError('is not a valid private EC P-256 key');
  }
}

/** Nothing is signed with it any more, so its public half is enough. */
async function importPreviousKey(text: string) {
  const parsed = PUBLIC_JWK.safeParse(parseJson(text));
  if (!parsed.success) {
    throw previousKeyError('is not an EC P-256 key');
  }
  const { kid, ...publicJwk } = parsed.data;
  try {
    const thumbprint = await calculateJwkThumbprint(publicJwk);
    const publicKey = await importJWK(publicJwk, SIGNING_ALGORITHM);
    return { id: kid ?? thumbprint, thumbprint, publicKey };
  } catch {
    throw previousKeyError('is not a valid EC P-256 key');
  }
}

/** The JSON value, or `undefined`, which no schema here takes, for text that is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function signingKeyError(problem: string): ConfigurationError {
  return new ConfigurationError({
    setting: 'TOKEN_SIGNING_KEY',
    message:
      `The secret TOKEN_SIGNING_KEY ${problem}: set it to a private EC P-256 key as JSON text ` +
      '(a JWK) with `wrangler secret put TOKEN_SIGNING_KEY`, or in .dev.vars on a laptop.',
  });
}

function previousKeyError(problem: string): ConfigurationError {
  return new ConfigurationError({
    setting: 'TOKEN_SIGNING_KEY_PREVIOUS',
    message:
      `The secret TOKEN_SIGNING_KEY_PREVIOUS ${problem}: set it to the key that signed tokens ` +
      'before, as JSON text (a JWK), with `wrangler secret put TOKEN_SIGNING_KEY_PREVIOUS`, or ' +
      'delete it.',
  });
}
