import { SHA256 } from '@stablelib/sha256';

import { type Digest, digestOf } from '../../model/digest.ts';

/**
 * A SHA-256 that can be put down and taken up again, because the chunks of one upload come in
 * requests that share nothing but a database row. The runtime's own hashes cannot save their state.
 *
 * The text form is base64 of: one byte that is the format's version, the eight words of the state
 * and the number of bytes hashed, all big-endian, and the bytes of the block that is not full yet.
 */
export class RunningHash {
  readonly #hash: SHA256;

  private constructor(hash: SHA256) {
    this.#hash = hash;
  }

  static empty(): RunningHash {
    return new RunningHash(new SHA256());
  }

  /** Takes up a hash that {@link serialize} put down. */
  static restore(text: string): RunningHash {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    if (bytes.byteLength < HEADER_BYTES || view.getUint8(0) !== FORMAT_VERSION) {
      throw new TypeError('not the state of a running hash');
    }
    const bytesHashed = Number(view.getBigUint64(COUNT_OFFSET));
    const buffer = new Uint8Array(BLOCK_BYTES * 2);
    buffer.set(bytes.subarray(HEADER_BYTES));
    const state = Int32Array.from({ length: STATE_WORDS }, (_, word) =>
      view.getInt32(STATE_OFFSET + word * 4),
    );
    const bufferLength = bytesHashed % BLOCK_BYTES;
    return new RunningHash(new SHA256().restoreState({ state, buffer, bufferLength, bytesHashed }));
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** The state as text; the hash can go on. */
  serialize(): string {
    const { state, buffer, bufferLength, bytesHashed } = this.#hash.saveState();
    const bytes = new Uint8Array(HEADER_BYTES + bufferLength);
    const view = new DataView(bytes.buffer);
    view.setUint8(0, FORMAT_VERSION);
    for (const [word, value] of state.entries()) {
      view.setInt32(STATE_OFFSET + word * 4, value);
    }
    view.setBigUint64(COUNT_OFFSET, BigInt(bytesHashed));
    if (buffer !== undefined) {
      bytes.set(buffer.subarray(0, bufferLength), HEADER_BYTES);
    }
    return btoa(String.fromCharCode(...bytes));
  }

  /** The digest of everything hashed. The hash is at its end then. */
  digest(): Digest {
    return digestOf('sha256', this.#hash.digest());
  }
}

const FORMAT_VERSION = 1;
const STATE_WORDS = 8;
const BLOCK_BYTES = 64;
const STATE_OFFSET = 1;
const COUNT_OFFSET = STATE_OFFSET + STATE_WORDS * 4;
const HEADER_BYTES = COUNT_OFFSET + 8;
