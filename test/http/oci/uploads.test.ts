import { describe, it } from 'vitest';

import type { Bytes } from '../../../src/model/bytes.ts';
import { computeDigest } from '../../../src/model/digest.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  type Answer,
  locationOf,
  pick,
  refusal,
  send,
  startUpload,
  unannounced,
  withQuery,
} from '../../support/http.ts';

const NAME = 'acme/app';
const UPLOADS = `/v2/${NAME}/blobs/uploads/`;
const MIB = 1024 * 1024;
const HEADERS = [
  'location',
  'range',
  'docker-upload-uuid',
  'oci-chunk-min-length',
  'oci-chunk-max-length',
  'content-length',
];

/** What an answer says of a session: where it is, and the last byte it has. */
function sessionHeaders(session: string, range: string): Record<string, string> {
  return {
    location: session,
    range,
    'docker-upload-uuid': session.slice(UPLOADS.length),
    'oci-chunk-min-length': '5242880',
    'oci-chunk-max-length': '94371840',
  };
}

async function patch(session: string, bytes: Bytes, contentRange?: string): Promise<Answer> {
  const headers = contentRange === undefined ? {} : { 'Content-Range': contentRange };
  return send('PATCH', session, { headers, body: bytes });
}

async function close(
  session: string,
  digest: string,
  call: Parameters<typeof send>[2] = {},
): Promise<Answer> {
  return send('PUT', withQuery(session, { digest }), call);
}

/** What an answer says of a blob, and what its location gives. */
async function outcomeOf(answer: Answer) {
  const { status, text } = answer;
  const pulled = status === 201 ? await send('GET', locationOf(answer)) : answer;
  const bytes = await computeDigest('sha256', pulled.bytes);
  return { status, text, ...pick(answer, 'location', 'docker-content-digest'), bytes };
}

/** The same of a blob that was stored. */
async function stored(bytes: Bytes, algorithm: 'sha256' | 'sha512' = 'sha256') {
  const digest = await computeDigest(algorithm, bytes);
  return {
    status: 201,
    text: '',
    location: `/v2/${NAME}/blobs/${digest}`,
    'docker-content-digest': digest,
    bytes: await computeDigest('sha256', bytes),
  };
}

describe('an upload', () => {
  it('begins with 202 and says where it goes on', async ({ expect }) => {
    for (const path of [UPLOADS, UPLOADS.slice(0, -1), `${UPLOADS}?unknown=1`]) {
      const started = await send('POST', path);
      expect([path, started.status, started.text]).toEqual([path, 202, '']);
      const session = locationOf(started);
      expect(session).toMatch(/^\/v2\/acme\/app\/blobs\/uploads\/[0-9a-f-]{36}$/);
      expect(pick(started, ...HEADERS)).toEqual(sessionHeaders(session, '0-0'));
    }
  });

  it('by POST and PUT is stored, of any size and by either algorithm', async ({ expect }) => {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      for (const size of [0, 1, 2, 70_000, 6 * MIB]) {
        const bytes = uniqueBytes(size);
        const digest = await computeDigest(algorithm, bytes);
        const session = await startUpload(NAME);
        expect(await outcomeOf(await close(session, digest, { body: bytes }))).toEqual(
          await stored(bytes, algorithm),
        );
      }
    }
  });

  it('by one POST is stored, announced or not', async ({ expect }) => {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      for (const bytes of [uniqueBytes(0), uniqueBytes(3000)]) {
        const path = `${UPLOADS}?digest=${await computeDigest(algorithm, bytes)}`;
        expect(await outcomeOf(await send('POST', path, { body: bytes }))).toEqual(
          await stored(bytes, algorithm),
        );
        expect(await outcomeOf(await send('POST', path, { body: unannounced(bytes) }))).toEqual(
          await stored(bytes, algorithm),
        );
      }
    }
  });

  it('of nothing is closed without any body', async ({ expect }) => {
    const bytes = uniqueBytes(0);
    const digest = await computeDigest('sha256', bytes);
    expect(await outcomeOf(await close(await startUpload(NAME), digest))).toEqual(
      await stored(bytes),
    );
    expect(await outcomeOf(await send('POST', `${UPLOADS}?digest=${digest}`))).toEqual(
      await stored(bytes),
    );
  });

  it('by chunks in order is stored, and says each time how far it is', async ({ expect }) => {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const bytes = uniqueBytes(3 * 5 * MIB - 5);
      const session = await startUpload(NAME);
      for (const first of [0, 5 * MIB, 10 * MIB]) {
        const chunk = bytes.slice(first, first + 5 * MIB);
        const last = first + chunk.byteLength - 1;
        const patched = await patch(session, chunk, `${first}-${last}`);
        expect([patched.status, patched.text]).toEqual([202, '']);
        expect(pick(patched, ...HEADERS)).toEqual(sessionHeaders(session, `0-${last}`));
        const status = await send('GET', session);
        expect([status.status, status.text]).toEqual([204, '']);
        expect(pick(status, ...HEADERS)).toEqual(sessionHeaders(session, `0-${last}`));
      }
      expect(await outcomeOf(await close(session, await computeDigest(algorithm, bytes)))).toEqual(
        await stored(bytes, algorithm),
      );
    }
  });

  it('by small chunks is stored, the last one in the PUT', async ({ expect }) => {
    const bytes = uniqueBytes(1000);
    const digest = await computeDigest('sha256', bytes);
    for (const lastRange of [{}, { 'Content-Range': '700-999' }]) {
      const session = await startUpload(NAME);
      await patch(session, bytes.slice(0, 1), '0-0');
      await patch(session, bytes.slice(1, 700), '1-699');
      const closed = await close(session, digest, { headers: lastRange, body: bytes.slice(700) });
      expect(await outcomeOf(closed)).toEqual(await stored(bytes));
    }
  });

  it('by streams without a length or a range is stored', async ({ expect }) => {
    const bytes = uniqueBytes(6 * MIB);
    const session = await startUpload(NAME);
    const halves = [bytes.slice(0, 2 * MIB), bytes.slice(2 * MIB)];
    for (const half of halves) {
      const patched = await send('PATCH', session, { body: unannounced(half) });
      expect(patched.status).toBe(202);
    }
    expect((await send('GET', session)).headers.get('Range')).toBe(`0-${6 * MIB - 1}`);
    expect(await outcomeOf(await close(session, await computeDigest('sha256', bytes)))).toEqual(
      await stored(bytes),
    );
  });

  it('by a PUT that streams without a length is stored', async ({ expect }) => {
    const bytes = uniqueBytes(2000);
    const digest = await computeDigest('sha256', bytes);
    const untouched = await startUpload(NAME);
    expect(await outcomeOf(await close(untouched, digest, { body: unannounced(bytes) }))).toEqual(
      await stored(bytes),
    );
    const begun = await startUpload(NAME);
    await patch(begun, bytes.slice(0, 700));
    expect(
      await outcomeOf(await close(begun, digest, { body: unannounced(bytes.slice(700)) })),
    ).toEqual(await stored(bytes));
  });

  it('is unchanged by an empty chunk', async ({ expect }) => {
    const bytes = uniqueBytes(10);
    const session = await startUpload(NAME);
    for (const range of ['0-0', '0-9', '0-9']) {
      expect((await send('PATCH', session)).status).toBe(202);
      if (range === '0-9') {
        await patch(session, bytes.slice(0, 0));
      } else {
        await patch(session, bytes);
      }
      expect((await send('GET', session)).headers.get('Range')).toBe('0-9');
    }
    expect(await outcomeOf(await close(session, await computeDigest('sha256', bytes)))).toEqual(
      await stored(bytes),
    );
  });

  it('is gone when it is closed or cancelled', async ({ expect }) => {
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);
    const closed = await startUpload(NAME);
    await close(closed, digest, { body: bytes });
    const cancelled = await startUpload(NAME);
    await patch(cancelled, bytes);
    const cancel = await send('DELETE', cancelled);
    expect([cancel.status, cancel.text]).toEqual([204, '']);
    for (const session of [closed, cancelled, `${UPLOADS}${crypto.randomUUID()}`, `${UPLOADS}x`]) {
      const answers = [
        await send('GET', session),
        await patch(session, bytes),
        await close(session, digest, { body: bytes }),
        await close(session, digest),
        await send('DELETE', session),
      ];
      expect(answers.map((answer) => refusal(answer))).toEqual(
        Array.from({ length: 5 }, () => '404 BLOB_UPLOAD_UNKNOWN'),
      );
      expect((await send('HEAD', session)).status).toBe(404);
    }
  });

  it('belongs to its repository', async ({ expect }) => {
    const session = await startUpload(NAME);
    await startUpload('acme/other');
    const elsewhere = session.replace(NAME, 'acme/other');
    expect(refusal(await send('GET', elsewhere))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect(refusal(await send('DELETE', elsewhere))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect((await send('GET', session)).status).toBe(204);
  });
});
