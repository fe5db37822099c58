import { createGunzip, createInflate, type Inflater } from 'node:zlib';

import { INFLATE_INPUT_BYTES_MAX, INFLATE_OUTPUT_BYTES_MAX } from '../../model/limits.ts';

/**
 * So much is unpacked without a break. 32 KiB become 33 MiB at most, in some 10 ms; and the runtime
 * goes one call deeper for each full piece of output, which are 132 of them then.
 */
const SLICE_BYTES = 32 * 1024;
/** A piece of output. With 64 KiB, unpacking takes a fifth longer. */
const PIECE_BYTES = 256 * 1024;

/**
 * Learns how many bytes a blob has when it is unpacked, from its bytes as they go by: of a whole
 * gzip stream, of one member or several, or a whole zlib stream, and of nothing else. It stops at
 * {@link INFLATE_INPUT_BYTES_MAX} and {@link INFLATE_OUTPUT_BYTES_MAX}; what it stops at, or does
 * not understand, has no known size. It never fails, since an upload must not fail by it.
 *
 * The runtime's `DecompressionStream` would not do: it unpacks all that is written to it at once,
 * read or not, so 2 MB could fill the memory with 2 GB; and of several members it takes the first.
 */
export class UncompressedSize {
  #inflater: Inflater | null = null;
  #isOver: boolean;
  #inputBytes = 0;
  #outputBytes = 0;
  #wake: () => void = () => undefined;

  private constructor(isOver: boolean) {
    this.#isOver = isOver;
  }

  /** For a blob of this length in bytes, or of one that is not known. */
  static ofBlob(length: number | null): UncompressedSize {
    return new UncompressedSize(length !== null && length > INFLATE_INPUT_BYTES_MAX);
  }

  /** For a body whose size does not matter. */
  static unasked(): UncompressedSize {
    return new UncompressedSize(true);
  }

  /** Whether nothing can be learnt any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Takes the next bytes of the blob, which must stay as they are until the promise is settled. The
   * first two, which tell the form, must come together.
   */
  async add(bytes: Uint8Array): Promise<void> {
    if (this.#isOver || bytes.byteLength === 0) {
      return;
    }
    this.#inflater ??= this.#open(bytes);
    if (this.#inflater === null || this.#inputBytes + bytes.byteLength > INFLATE_INPUT_BYTES_MAX) {
      this.giveUp();
      return;
    }
    for (let at = 0; at < bytes.byteLength && !this.#isOver; at += SLICE_BYTES) {
      await this.#inflate(this.#inflater, bytes.subarray(at, at + SLICE_BYTES));
    }
  }

  /** The size in bytes, once the blob has ended; null: it cannot be known. */
  async finish(): Promise<number | null> {
    const inflater = this.#inflater;
    if (inflater === null || this.#isOver) {
      return null;
    }
    await this.#untilAwake(() => inflater.end());
    return this.#isOver ? null : this.#outputBytes;
  }

  /** Lets go of everything; the size stays unknown. */
  giveUp(): void {
    this.#isOver = true;
    this.#inflater?.destroy();
    this.#wake();
  }

  #open(firstBytes: Uint8Array): Inflater | null {
    const options = { chunkSize: PIECE_BYTES };
    const inflater = isGzip(firstBytes)
      ? createGunzip(options)
      : isZlib(firstBytes)
        ? createInflate(options)
        : null;
    return (
      inflater
        ?.on('data', (piece) => {
          this.#count(piece);
        })
        .on('error', () => {
          this.giveUp();
        })
        .on('close', () => {
          this.#wake();
        }) ?? null
    );
  }

  #count(piece: Uint8Array<ArrayBuffer>): void {
    this.#outputBytes += piece.byteLength;
    if (piece.byteOffset + piece.byteLength === piece.buffer.byteLength) {
      // Nothing more comes in this buffer. Left to the collector, 64 MiB come together before it
      // runs.
      piece.buffer.transfer(0);
    }
    if (this.#outputBytes > INFLATE_OUTPUT_BYTES_MAX) {
      this.giveUp();
    }
  }

  async #inflate(inflater: Inflater, slice: Uint8Array): Promise<void> {
    this.#inputBytes += slice.byteLength;
    await this.#untilAwake((wake) => inflater.write(slice, wake));
    if (inflater.bytesWritten !== this.#inputBytes) {
      // The stream ended before the blob did.
      this.giveUp();
    }
  }

  async #untilAwake(begin: (wake: () => void) => void): Promise<void> {
    try {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        begin(resolve);
      });
    } catch {
      // Data that are broken are told by an event. Whatever else it is, the blob is none the worse.
      this.giveUp();
    }
  }
}

/** RFC 1952, 2.3.1. */
function isGzip([first, second]: Uint8Array): boolean {
  return first === 0x1f && second === 0x8b;
}

/** RFC 1950, 2.2: the method, the size of the window, and a check that is a multiple of 31. */
function isZlib([first = 0, second = 0]: Uint8Array): boolean {
  return (first & 0x0f) === 8 && first >> 4 <= 7 && (first * 256 + second) % 31 === 0;
}
