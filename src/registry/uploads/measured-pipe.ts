import type { UncompressedSize } from './uncompressed-size.ts';

const READ_BYTES = 64 * 1024;

/**
 * Pipes a byte stream, and shows its bytes to `size` as long as there is something to learn of
 * them; from then on the runtime pipes, without waking the Worker for each piece. As in `pipeTo`, a
 * failure of either side, or the signal, ends both. Holds one read at a time.
 */
export async function pipeMeasured(
  body: ReadableStream<Uint8Array>,
  writable: WritableStream<Uint8Array>,
  { size, signal }: { size: UncompressedSize; signal: AbortSignal },
): Promise<void> {
  const hasEnded = !size.isOver && (await pipeShowing(body, writable, { size, signal }));
  await (hasEnded ? writable.close() : body.pipeTo(writable, { signal }));
}

/** Pipes until the size is over or the body has ended; whether it has. */
async function pipeShowing(
  body: ReadableStream<Uint8Array>,
  writable: WritableStream<Uint8Array>,
  { size, signal }: { size: UncompressedSize; signal: AbortSignal },
): Promise<boolean> {
  const reader = body.getReader({ mode: 'byob' });
  const writer = writable.getWriter();
  const end = async (reason: unknown): Promise<void> => {
    await Promise.allSettled([reader.cancel(reason), writer.abort(reason)]);
  };
  const endBySignal = (): void => {
    void end(signal.reason);
  };
  signal.addEventListener('abort', endBySignal);
  try {
    let buffer = new ArrayBuffer(READ_BYTES);
    while (!size.isOver) {
      signal.throwIfAborted();
      const read = await reader.readAtLeast(READ_BYTES, new Uint8Array(buffer));
      // A cancelled read looks like the end of the body.
      signal.throwIfAborted();
      if (read.value !== undefined) {
        buffer = read.value.buffer;
        await Promise.all([writer.write(read.value), size.add(read.value)]);
      }
      if (read.done) {
        return true;
      }
    }
    return false;
  } catch (error) {
    await end(error);
    throw error;
  } finally {
    signal.removeEventListener('abort', endBySignal);
    reader.releaseLock();
    writer.releaseLock();
  }
}
