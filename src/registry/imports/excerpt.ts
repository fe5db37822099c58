/** How a reading of a source's body went. */
export interface Excerpt {
  /** A byte stream of the wanted bytes, as far as they come. It ends early and never fails. */
  readonly body: ReadableStream<Uint8Array>;
  /** What the source's body failed with, once the excerpt has ended; null: it did not. */
  readonly failure: () => unknown;
  /** Stops reading. */
  readonly stop: () => Promise<void>;
}

/**
 * Cuts a piece out of a body: `skipBytes` are left out, at most `takeBytes` follow. What breaks off
 * is only shorter, so that what has come of it can be kept; the next piece begins behind it.
 */
export function excerptOf(
  source: ReadableStream<Uint8Array>,
  { skipBytes, takeBytes }: { readonly skipBytes: number; readonly takeBytes: number },
): Excerpt {
  const reader = source.getReader();
  let toSkip = skipBytes;
  let toTake = takeBytes;
  let failure: unknown = null;

  /** The next bytes that are wanted; null: there are no more. */
  async function next(): Promise<Uint8Array | null> {
    while (toTake > 0) {
      const { done, value } = await reader.read();
      if (done) {
        return null;
      }
      const wanted = value.subarray(toSkip, toSkip + toTake);
      toSkip -= Math.min(toSkip, value.byteLength);
      toTake -= wanted.byteLength;
      if (wanted.byteLength > 0) {
        return wanted;
      }
    }
    await reader.cancel();
    return null;
  }

  const body: ReadableStream<Uint8Array> = new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      const bytes = await next().catch((error: unknown) => {
        failure = error;
        return null;
      });
      if (bytes === null) {
        controller.close();
        // A reader that brought its own buffer gets it back empty.
        controller.byobRequest?.respond(0);
      } else {
        controller.enqueue(bytes);
      }
    },
  });
  return { body, failure: () => failure, stop: () => reader.cancel() };
}
