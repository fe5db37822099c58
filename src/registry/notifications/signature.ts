import { encodeUtf8 } from '../../model/bytes.ts';

/** What the key is for; credentials of imports and ids of legacy images come from the same secret. */
const KEY_USE = 'berth: signature of a webhook';
const KEY_BYTES = 32;
/** How secrets and signatures begin (Standard Webhooks 1.0, symmetric). */
const SECRET_PREFIX = 'whsec_';
const SIGNATURE_VERSION = 'v1';

/** What is signed, and when. */
export interface SignedMessage {
  readonly messageId: string;
  readonly timestampSec: number;
  readonly body: string;
}

/**
 * The secret that a receiver verifies by: `whsec_` and 32 bytes in base64. HKDF makes it from the
 * registry's secret for this notification alone, so it is kept nowhere.
 */
export async function webhookSecret(notificationUuid: string, secret: string): Promise<string> {
  return SECRET_PREFIX + toBase64(await keyOf(notificationUuid, secret));
}

/** The headers that say what a message is and prove where it is from (Standard Webhooks 1.0). */
export async function signedHeaders(
  { messageId, timestampSec, body }: SignedMessage,
  notificationUuid: string,
  secret: string,
): Promise<Readonly<Record<string, string>>> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const bytes = await keyOf(notificationUuid, secret);
  const key = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign']);
  const content = encodeUtf8(`${messageId}.${timestampSec}.${body}`);
  const signature = new Uint8Array(await crypto.subtle.sign('HMAC', key, content));
  return {
    'webhook-id': messageId,
    'webhook-timestamp': String(timestampSec),
    'webhook-signature': `${SIGNATURE_VERSION},${toBase64(signature)}`,
  };
}

async function keyOf(notificationUuid: string, secret: string): Promise<Uint8Array<ArrayBuffer>> {
  const base = await crypto.subtle.importKey('raw', encodeUtf8(secret), 'HKDF', false, [
    'deriveBits',
  ]);
  const derivation = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: encodeUtf8(notificationUuid),
    info: encodeUtf8(KEY_USE),
  };
  return new Uint8Array(await crypto.subtle.deriveBits(derivation, base, KEY_BYTES * 8));
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
