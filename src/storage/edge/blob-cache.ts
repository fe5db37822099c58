import type { Bytes } from '../../model/bytes.ts';
import type { Digest } from '../../model/digest.ts';
import { type LocationCache, type LocationCacheOptions, orMiss } from './location-cache.ts';

/** Bytes of small blobs, kept in the location that was asked. Whatever goes wrong is a miss. */
export interface BlobCache {
  /** The whole blob, if what is kept is its own and as long as it is; null for a miss. */
  get(blob: { readonly digest: Digest; readonly sizeBytes: number }): Promise<Bytes | null>;
  /** Keeps the whole blob for as long as the cache was opened with. */
  put(digest: Digest, bytes: Bytes): Promise<void>;
}

/** The Cache API takes URLs for keys; nothing is ever asked of this host. */
const KEY_ORIGIN = 'https://blobs.berth.internal/v1/';

const etagOf = (digest: Digest) => `"${digest}"`;

/** Opens the cache of this location; a lifetime of zero seconds turns it off. */
export function openBlobCache(cache: LocationCache, options: LocationCacheOptions): BlobCache {
  return {
    get: ({ digest, sizeBytes }) =>
      orMiss(options, async () => {
        const response = await cache.match(KEY_ORIGIN + digest);
        if (response?.headers.get('ETag') !== etagOf(digest)) {
          return null;
        }
        // A write that died may have left a part, under the length of the whole.
        const bytes = new Uint8Array(await response.arrayBuffer());
        return bytes.byteLength === sizeBytes ? bytes : null;
      }),
    async put(digest, bytes) {
      const headers = { 'Cache-Control': `max-age=${options.ttlSec}`, ETag: etagOf(digest) };
      await orMiss(options, () => cache.put(KEY_ORIGIN + digest, new Response(bytes, { headers })));
    },
  };
}
