/** Bytes that nothing else can see change: backed by a buffer of their own. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

/** The text as UTF-8. */
export function encodeUtf8(text: string): Bytes {
  // The runtime's encoder always makes a plain buffer; its type does not say so.
  return encoder.encode(text) as Bytes;
}
