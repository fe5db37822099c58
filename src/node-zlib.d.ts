/** What is used of the runtime's `node:zlib`, which the platform's types do not have. */
declare module 'node:zlib' {
  /** A stream that unpacks. It works while `write` runs, and holds one piece of output at a time. */
  export interface Inflater {
    /** How many bytes the engine took in. What follows the end of the data it leaves. */
    readonly bytesWritten: number;
    on(event: 'data', listener: (piece: Uint8Array<ArrayBuffer>) => void): this;
    on(event: 'error' | 'close', listener: () => void): this;
    /** Calls back once all that came of the bytes was given out; never after an error. */
    write(bytes: Uint8Array, written: () => void): boolean;
    end(): this;
    destroy(): this;
  }

  /** Several members one after the other are unpacked as one. */
  export function createGunzip(options: { readonly chunkSize: number }): Inflater;
  export function createInflate(options: { readonly chunkSize: number }): Inflater;
}
