import { encodeUtf8 } from '../../model/bytes.ts';

/** What the source is logged in to with. */
export interface SourceCredentials {
  readonly username: string;
  readonly password: string;
}

const NONCE_BYTES = 12;
/** What the key is for; the same secret makes the ids of legacy images, by HMAC. */
const KEY_USE = 'berth: credentials of an import';

/**
 * Credentials as they are kept while an import lasts: AES-256-GCM under a key that HKDF derives from
 * the secret for this import alone, so what is copied to another row cannot be opened there. Base64
 * of nonce and ciphertext.
 */
export async function sealCredentials(
  { username, password }: SourceCredentials,
  importUuid: string,
  secret: string,
): Promise<string> {
  const key = await keyOf(importUuid, secret);
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const plain = encodeUtf8(JSON.stringify([username, password]));
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce }, key, plain);
  return btoa(String.fromCharCode(...nonce, ...new Uint8Array(sealed)));
}

/** The credentials again; null if the secret is another one than they were sealed with. */
export async function openCredentials(
  sealed: string,
  importUuid: string,
  secret: string,
): Promise<SourceCredentials | null> {
  const key = await keyOf(importUuid, secret);
  const bytes = Uint8Array.from(atob(sealed), (character) => character.charCodeAt(0));
  const iv = bytes.subarray(0, NONCE_BYTES);
  try {
    const plain = await crypto.subtle.decrypt(
      { name: 'AES-GCM', iv },
      key,
      bytes.subarray(NONCE_BYTES),
    );
    const [username, password] = JSON.parse(new TextDecoder().decode(plain)) as [string, string];
    return { username, password };
  } catch (error) {
    if (error instanceof DOMException && error.name === 'OperationError') {
      return null;
    }
    throw error;
  }
}

async function keyOf(importUuid: string, secret: string): Promise<CryptoKey> {
  const base = await crypto.subtle.importKey('raw', encodeUtf8(secret), 'HKDF', false, [
    'deriveKey',
  ]);
  return crypto.subtle.deriveKey(
    {
      name: 'HKDF',
      hash: 'SHA-256',
      salt: encodeUtf8(importUuid),
      info: encodeUtf8(KEY_USE),
    },
    base,
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt', 'decrypt'],
  );
}
