import { describe, it } from 'vitest';

import { type Bytes, encodeUtf8 } from '../../src/model/bytes.ts';
import { computeDigest, type DigestAlgorithm } from '../../src/model/digest.ts';
import { uniqueBytes } from '../support/content.ts';
import {
  type Answer,
  locationOf,
  refusal,
  send,
  startUpload,
  unannounced,
  uploadBlob,
  withQuery,
} from '../support/http.ts';

const NAME = 'conformance/repo1';
const OTHER = 'conformance/repo2';
const UPLOADS = `/v2/${NAME}/blobs/uploads/`;
/** Small, as the suite's own chunks are before it has seen a minimum. */
const CHUNK = 1024;

interface Blob {
  readonly bytes: Bytes;
  readonly digest: string;
}

async function aBlob(algorithm: DigestAlgorithm, size = 3 * CHUNK - 5): Promise<Blob> {
  const bytes = uniqueBytes(size);
  return { bytes, digest: await computeDigest(algorithm, bytes) };
}

function patch(session: string, bytes: Bytes, first: number): Promise<Answer> {
  const range = `${first}-${first + bytes.byteLength - 1}`;
  return send('PATCH', session, { headers: { 'Content-Range': range }, body: bytes });
}

function put(session: string, digest: string, body: BodyInit | null = null): Promise<Answer> {
  return send('PUT', withQuery(session, { digest }), { body });
}

function mount(query: string): Promise<Answer> {
  return send('POST', `${UPLOADS}?${query}`);
}

/** Sends the whole as chunks; the last one stays behind if `rest` is wanted. */
async function sendChunks(session: string, bytes: Bytes, until = bytes.byteLength) {
  let location = session;
  for (let first = 0; first < until; first += CHUNK) {
    location = locationOf(await patch(location, bytes.slice(first, first + CHUNK), first));
  }
  return location;
}

/** What an upload answered, and what its location then gives. */
async function stored(closed: Answer): Promise<Blob & { readonly status: number }> {
  const digest = closed.headers.get('Docker-Content-Digest') ?? '';
  const { bytes } = await send('GET', locationOf(closed));
  return { status: closed.status, digest, bytes };
}

const storedAs = (blob: Blob) => ({ status: 201, ...blob });

/** The ways of pushing a blob, each with the digest that the client claims. */
const WAYS: Readonly<Record<string, (bytes: Bytes, digest: string) => Promise<Answer>>> = {
  'post only': (bytes, digest) => send('POST', withQuery(UPLOADS, { digest }), { body: bytes }),
  'post+put': async (bytes, digest) => put(await startUpload(NAME), digest, bytes),
  chunked: async (bytes, digest) => put(await sendChunks(await startUpload(NAME), bytes), digest),
  'chunked and put chunk': async (bytes, digest) => {
    const held = Math.max(0, Math.floor((bytes.byteLength - 1) / CHUNK)) * CHUNK;
    const session = await sendChunks(await startUpload(NAME), bytes, held);
    return send('PUT', withQuery(session, { digest }), {
      headers: { 'Content-Range': `${held}-${bytes.byteLength - 1}` },
      body: bytes.slice(held),
    });
  },
  stream: async (bytes, digest) => {
    const patched = await send('PATCH', await startUpload(NAME), { body: unannounced(bytes) });
    return put(locationOf(patched), digest);
  },
};

describe.for(['sha256', 'sha512'] as const)('the %s blob test', (algorithm) => {
  it('get-missing is 404', async ({ expect }) => {
    await uploadBlob(NAME);
    const path = `/v2/${NAME}/blobs/${(await aBlob(algorithm)).digest}`;
    expect(refusal(await send('GET', path))).toBe('404 BLOB_UNKNOWN');
    expect((await send('HEAD', path)).status).toBe(404);
  });

  it.for(Object.entries(WAYS))('%s stores the blob', async ([, push], { expect }) => {
    const blob = await aBlob(algorithm);
    expect(await stored(await push(blob.bytes, blob.digest))).toEqual(storedAs(blob));
  });

  it('chunked single stores the blob', async ({ expect }) => {
    const blob = await aBlob(algorithm, CHUNK - 3);
    const session = await sendChunks(await startUpload(NAME), blob.bytes);
    expect(await stored(await put(session, blob.digest))).toEqual(storedAs(blob));
  });

  it('mount, mount anonymous and mount missing', async ({ expect }) => {
    const blob = await aBlob(algorithm);
    await uploadBlob(OTHER, blob.bytes, algorithm);
    expect(await stored(await mount(`mount=${blob.digest}&from=${OTHER}`))).toEqual(storedAs(blob));
    const second = await aBlob(algorithm);
    await uploadBlob(OTHER, second.bytes, algorithm);
    expect(await stored(await mount(`mount=${second.digest}`))).toEqual(storedAs(second));
    const { digest } = await aBlob(algorithm);
    expect((await mount(`mount=${digest}&from=${OTHER}`)).status).toBe(202);
  });

  it('post cancel is 204, and the session is gone', async ({ expect }) => {
    const session = await startUpload(NAME);
    expect((await send('DELETE', session)).status).toBe(204);
    expect(refusal(await send('GET', session))).toBe('404 BLOB_UPLOAD_UNKNOWN');
  });

  it('chunked out-of-order is 416, keeps the session, and goes on', async ({ expect }) => {
    for (const closesWithChunk of [false, true]) {
      const blob = await aBlob(algorithm);
      const session = await startUpload(NAME);
      const early = await patch(session, blob.bytes.slice(CHUNK, 2 * CHUNK), CHUNK);
      expect(early.status).toBe(416);
      const held = await sendChunks(session, blob.bytes, CHUNK);
      const lastAt = 2 * CHUNK;
      const last = blob.bytes.slice(lastAt);
      const gap = closesWithChunk
        ? await send('PUT', withQuery(held, { digest: blob.digest }), {
            headers: { 'Content-Range': `${lastAt}-${blob.bytes.byteLength - 1}` },
            body: last,
          })
        : await patch(held, last, lastAt);
      expect(gap.status).toBe(416);
      const status = await send('GET', session);
      expect([status.status, status.headers.get('Range')]).toEqual([204, `0-${CHUNK - 1}`]);
      const next = await patch(locationOf(status), blob.bytes.slice(CHUNK, lastAt), CHUNK);
      const whole = await patch(locationOf(next), last, lastAt);
      expect(await stored(await put(locationOf(whole), blob.digest))).toEqual(storedAs(blob));
    }
  });

  it('range requests', async ({ expect }) => {
    const { bytes, digest } = await aBlob(algorithm, 2048);
    await uploadBlob(NAME, bytes, algorithm);
    const ask = (range: string) =>
      send('GET', `/v2/${NAME}/blobs/${digest}`, { headers: { Range: `bytes=${range}` } });
    for (const [range, first, last] of [
      ['500-1499', 500, 1499],
      ['500-', 500, 2047],
      ['-500', 1548, 2047],
      ['2000-5000', 2000, 2047],
    ] as const) {
      const answer = await ask(range);
      expect([range, answer.status]).toEqual([range, 206]);
      expect(answer.headers.get('Content-Range')).toBe(`bytes ${first}-${last}/2048`);
      expect(answer.bytes).toEqual(bytes.slice(first, last + 1));
    }
    for (const range of ['500-0', '5000-10000']) {
      expect((await ask(range)).status).toBe(416);
    }
  });

  it('empty and emptyJSON are stored', async ({ expect }) => {
    for (const text of ['', '{}']) {
      const bytes = encodeUtf8(text);
      const blob = { bytes, digest: await computeDigest(algorithm, bytes) };
      const closed = await put(await startUpload(NAME), blob.digest, bytes);
      expect(await stored(closed)).toEqual(storedAs(blob));
    }
  });

  it.for(Object.entries(WAYS))('bad digest %s is 400', async ([, push], { expect }) => {
    const [sent, claimed] = [await aBlob(algorithm), await aBlob(algorithm)];
    expect(refusal(await push(sent.bytes, claimed.digest))).toBe('400 DIGEST_INVALID');
    expect((await send('HEAD', `/v2/${NAME}/blobs/${claimed.digest}`)).status).toBe(404);
  });
});
