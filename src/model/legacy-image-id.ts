import { type Bytes, encodeUtf8 } from './bytes.ts';
import { digestOf, hashBytesOf, hexOf, parseDigest } from './digest.ts';

/** A layer of a stored manifest; 0 is the leaf. */
export interface LayerPlace {
  readonly manifestId: number;
  readonly layerIndex: number;
}

/**
 * Writes places as the ids of Docker v1 images and reads them back. An id has the form of a
 * SHA-256: 64 lower-case hexadecimal digits. It is the same every time under one secret, tells
 * nothing without it, and nobody else can make one.
 */
export interface LegacyImageIds {
  encode(place: LayerPlace): Promise<string>;
  /** Null for a text that was not made with this secret. */
  decode(text: string): Promise<LayerPlace | null>;
}

const TAG_BYTES = 20;
const PAYLOAD_BYTES = 12;
const LAYER_INDEX_OFFSET = 8;

/** What one HMAC key is used for; the byte keeps the two uses apart. */
const TAG_USE = 1;
const MASK_USE = 2;

/**
 * Opens the ids under a secret. The 32 bytes of an id are an HMAC of the place, cut to 20 bytes,
 * and the place itself, 12 bytes, masked by an HMAC of those 20.
 */
export async function openLegacyImageIds(secret: string): Promise<LegacyImageIds> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', encodeUtf8(secret), algorithm, false, ['sign']);

  async function hmac(use: number, bytes: Bytes, length: number): Promise<Bytes> {
    const sum = await crypto.subtle.sign('HMAC', key, Uint8Array.of(use, ...bytes));
    return new Uint8Array(sum, 0, length);
  }

  /** Masks a place, and unmasks a masked one. */
  async function masked(place: Bytes, tag: Bytes): Promise<Bytes> {
    const mask = await hmac(MASK_USE, tag, PAYLOAD_BYTES);
    return place.map((byte, index) => byte ^ (mask[index] ?? 0));
  }

  return {
    async encode(place) {
      const payload = toPayload(place);
      const tag = await hmac(TAG_USE, payload, TAG_BYTES);
      return hexOf(digestOf('sha256', Uint8Array.of(...tag, ...(await masked(payload, tag)))));
    },

    async decode(text) {
      const digest = parseDigest(`sha256:${text}`);
      if (digest === null) {
        return null;
      }
      const bytes = hashBytesOf(digest);
      const tag = bytes.slice(0, TAG_BYTES);
      const payload = await masked(bytes.slice(TAG_BYTES), tag);
      const expected = await hmac(TAG_USE, payload, TAG_BYTES);
      return crypto.subtle.timingSafeEqual(tag, expected) ? toPlace(payload) : null;
    },
  };
}

function toPayload({ manifestId, layerIndex }: LayerPlace): Bytes {
  const payload = new Uint8Array(PAYLOAD_BYTES);
  const view = new DataView(payload.buffer);
  view.setBigUint64(0, BigInt(manifestId));
  view.setUint32(LAYER_INDEX_OFFSET, layerIndex);
  return payload;
}

function toPlace(payload: Bytes): LayerPlace {
  const view = new DataView(payload.buffer);
  return {
    manifestId: Number(view.getBigUint64(0)),
    layerIndex: view.getUint32(LAYER_INDEX_OFFSET),
  };
}
