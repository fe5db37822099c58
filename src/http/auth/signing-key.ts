import { calculateJwkThumbprint, importJWK } from 'jose';
import { z } from 'zod';

import { ConfigurationError } from '../configuration-error.ts';
import type { AuthDeps } from './dependencies.ts';

/** The algorithm of every token: ECDSA on P-256 with SHA-256 (RFC 7518, 3.4). */
export const SIGNING_ALGORITHM = 'ES256';

/** The key pair that tokens are signed and verified with. */
export interface SigningKey {
  /** The JWK's own `kid`, or else its RFC 7638 thumbprint. */
  readonly id: string;
  readonly privateKey: ImportedKey;
  readonly publicKey: ImportedKey;
}
type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

/** Members that are not named here, such as `alg` or `key_ops`, are dropped. */
const PRIVATE_JWK = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
  kid: z.string().min(1).optional(),
});

/**
 * The key of the last secret seen, which is imported once in an isolate's life. It holds the key
 * and not its promise: a promise belongs to the request that made it, and ends with it.
 */
let imported: { readonly text: string; readonly key: SigningKey } | null = null;

/**
 * The key pair in the secret `TOKEN_SIGNING_KEY`.
 *
 * @throws ConfigurationError if the secret is missing, or is no private EC P-256 key as JWK
 */
export async function requireSigningKey({
  tokenSigningKey: text,
}: Pick<AuthDeps, 'tokenSigningKey'>): Promise<SigningKey> {
  if (text === undefined || text === '') {
    throw signingKeyError('is not set');
  }
  if (imported?.text !== text) {
    imported = { text, key: await importSigningKey(text) };
  }
  return imported.key;
}

async function importSigningKey(text: string): Promise<SigningKey> {
  const parsed = PRIVATE_JWK.safeParse(parseJson(text));
  if (!parsed.success) {
    throw signingKeyError('is not a private EC P-256 key');
  }
  const { d, kid, ...publicJwk } = parsed.data;
  try {
    return {
      id: kid ?? (await calculateJwkThumbprint(publicJwk)),
      privateKey: await importJWK({ ...publicJwk, d }, SIGNING_ALGORITHM),
      publicKey: await importJWK(publicJwk, SIGNING_ALGORITHM),
    };
  } catch {
    throw signingKeyError('is not a valid private EC P-256 key');
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
