import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  type Answer,
  type Call,
  errorsOf,
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
const BYTES = uniqueBytes(100);
const DIGEST = await computeDigest('sha256', BYTES);
const WRONG = `sha256:${'0'.repeat(64)}`;

/** A session that has the first 40 bytes. */
async function begun(): Promise<string> {
  const session = await startUpload(NAME);
  await send('PATCH', session, { body: BYTES.slice(0, 40) });
  return session;
}

async function put(session: string, digest: string, call: Call = {}): Promise<Answer> {
  return send('PUT', withQuery(session, { digest }), call);
}

const rest = { body: BYTES.slice(40) };

describe('a chunk that is not the next one', () => {
  it('is 416, says where the session stands, and leaves it so', async ({ expect }) => {
    const session = await begun();
    for (const [range, size] of [
      ['41-100', 60],
      ['39-98', 60],
      ['0-39', 40],
      ['99999999-99999999', 1],
    ] as const) {
      for (const [method, path] of [
        ['PATCH', session],
        ['PUT', withQuery(session, { digest: DIGEST })],
      ] as const) {
        const refused = await send(method, path, {
          headers: { 'Content-Range': range },
          body: uniqueBytes(size),
        });
        expect([method, range, refusal(refused)]).toEqual([
          method,
          range,
          '416 BLOB_UPLOAD_INVALID',
        ]);
        const where = {
          location: session,
          range: '0-39',
          'docker-upload-uuid': session.slice(UPLOADS.length),
        };
        const names = ['location', 'range', 'docker-upload-uuid'];
        expect(pick(refused, ...names)).toEqual(where);
        const status = await send('GET', session);
        expect([status.status, pick(status, ...names)]).toEqual([204, where]);
      }
    }
    const headers = { 'Content-Range': '40-99' };
    expect((await put(session, DIGEST, { headers, ...rest })).status).toBe(201);
  });

  it('is 416 on an untouched session too', async ({ expect }) => {
    const session = await startUpload(NAME);
    for (const path of [session, withQuery(session, { digest: DIGEST })]) {
      const method = path === session ? 'PATCH' : 'PUT';
      const headers = { 'Content-Range': '100-199' };
      const refused = await send(method, path, { headers, body: BYTES });
      expect(refusal(refused)).toBe('416 BLOB_UPLOAD_INVALID');
      expect(refused.headers.get('Range')).toBe('0-0');
    }
    expect((await put(session, DIGEST, { body: BYTES })).status).toBe(201);
  });
});

describe('a Content-Range', () => {
  it('that is none is 400 BLOB_UPLOAD_INVALID, and the session lives', async ({ expect }) => {
    const session = await begun();
    for (const range of [
      'bytes 40-99/100',
      'bytes=40-99',
      '40-',
      '-99',
      '40',
      '99-40',
      '40-99/100',
      '0x28-0x63',
      '40-99,40-99',
      '40-9999999999999999999',
      '-40-99',
      '4 0-99',
    ]) {
      for (const path of [session, withQuery(session, { digest: DIGEST })]) {
        const method = path === session ? 'PATCH' : 'PUT';
        const refused = await send(method, path, { headers: { 'Content-Range': range }, ...rest });
        expect([range, refusal(refused)]).toEqual([range, '400 BLOB_UPLOAD_INVALID']);
      }
    }
    expect((await put(session, DIGEST, rest)).status).toBe(201);
  });

  it('that is not as long as the body is 400 SIZE_INVALID, and the session lives', async ({
    expect,
  }) => {
    const session = await begun();
    for (const range of ['40-98', '40-100', '40-40']) {
      for (const body of [rest.body, unannounced(rest.body)]) {
        const headers = { 'Content-Range': range };
        const refused = await send('PATCH', session, { headers, body });
        expect([range, refusal(refused)]).toEqual([range, '400 SIZE_INVALID']);
      }
      const headers = { 'Content-Range': range };
      expect(refusal(await put(session, DIGEST, { headers, ...rest }))).toBe('400 SIZE_INVALID');
      const streamed = { headers, body: unannounced(rest.body) };
      expect(refusal(await put(session, DIGEST, streamed))).toBe('400 SIZE_INVALID');
      expect(refusal(await put(session, DIGEST, { headers }))).toBe('400 SIZE_INVALID');
    }
    expect((await send('GET', session)).headers.get('Range')).toBe('0-39');
    expect((await put(session, DIGEST, rest)).status).toBe(201);
  });

  it('of a whole blob that is not as long as the stream is 400 SIZE_INVALID', async ({
    expect,
  }) => {
    for (const range of ['0-98', '0-199']) {
      const session = await startUpload(NAME);
      const headers = { 'Content-Range': range };
      const refused = await put(session, DIGEST, { headers, body: unannounced(BYTES) });
      expect([range, refusal(refused)]).toEqual([range, '400 SIZE_INVALID']);
    }
  });
});

describe('the digest of a closing PUT', () => {
  it('that is missing or malformed leaves the session alive', async ({ expect }) => {
    const session = await begun();
    const missing = await send('PUT', session, rest);
    expect([missing.status, errorsOf(missing)]).toEqual([
      400,
      [
        {
          code: 'BLOB_UPLOAD_INVALID',
          message: 'the digest of the blob is missing: ?digest=sha256:…',
        },
      ],
    ]);
    for (const digest of [
      '',
      'sha256',
      'sha256:',
      'sha256:baddigeststring',
      DIGEST.toUpperCase(),
      DIGEST.slice(0, -1),
      `${DIGEST}0`,
      `sha512:${DIGEST.slice(7)}`,
      `sha384:${'0'.repeat(96)}`,
      `md5:${'0'.repeat(32)}`,
      `${DIGEST} `,
      `sha256:${'é'.repeat(64)}`,
    ]) {
      const refused = await put(session, digest, rest);
      expect([digest, refusal(refused)]).toEqual([digest, '400 DIGEST_INVALID']);
    }
    expect((await send('GET', session)).headers.get('Range')).toBe('0-39');
    expect((await put(session, DIGEST, rest)).status).toBe(201);
  });

  it('that the bytes do not have is 400 and ends the session', async ({ expect }) => {
    const wrong512 = `sha512:${'0'.repeat(128)}`;
    for (const digest of [WRONG, wrong512]) {
      const whole = await startUpload(NAME);
      const streamed = await startUpload(NAME);
      const chunked = await begun();
      const received = await begun();
      await send('PATCH', received, rest);
      const refused: [string, Answer][] = [
        [whole, await put(whole, digest, { body: BYTES })],
        [streamed, await put(streamed, digest, { body: unannounced(BYTES) })],
        [chunked, await put(chunked, digest, rest)],
        [received, await put(received, digest)],
      ];
      for (const [index, [session, answer]] of refused.entries()) {
        expect([digest, index, refusal(answer)]).toEqual([digest, index, '400 DIGEST_INVALID']);
        expect(refusal(await send('GET', session))).toBe('404 BLOB_UPLOAD_UNKNOWN');
      }
      for (const body of [BYTES, unannounced(BYTES)]) {
        const post = await send('POST', `${UPLOADS}?digest=${digest}`, { body });
        expect(refusal(post)).toBe('400 DIGEST_INVALID');
      }
      expect((await send('HEAD', `/v2/${NAME}/blobs/${digest}`)).status).toBe(404);
    }
    expect((await send('HEAD', `/v2/${NAME}/blobs/${DIGEST}`)).status).toBe(404);
  });

  it('that is malformed in a POST begins nothing', async ({ expect }) => {
    for (const query of ['?digest=', '?digest=x', '?mount=x', '?mount=&from=acme/other']) {
      const refused = await send('POST', `${UPLOADS}${query}`, { body: BYTES });
      expect([query, refusal(refused)]).toEqual([query, '400 DIGEST_INVALID']);
    }
  });
});

describe('a body that ends too early, or goes on', () => {
  it('is 400 SIZE_INVALID and leaves what was received', async ({ expect }) => {
    const session = await begun();
    for (const length of ['59', '61', '1000']) {
      const lying = { headers: { 'Content-Length': length }, body: unannounced(rest.body) };
      const patched = await send('PATCH', session, lying);
      expect([length, refusal(patched)]).toEqual([length, '400 SIZE_INVALID']);
    }
    expect((await send('GET', session)).headers.get('Range')).toBe('0-39');
    const patched = await send('PATCH', session, rest);
    expect(patched.headers.get('Range')).toBe('0-99');
    expect(locationOf(patched)).toBe(session);
    expect((await put(session, DIGEST)).status).toBe(201);
  });

  it('is 400 SIZE_INVALID where the blob came whole', async ({ expect }) => {
    for (const length of ['99', '101']) {
      const headers = { 'Content-Length': length };
      const session = await startUpload(NAME);
      const closed = await put(session, DIGEST, { headers, body: unannounced(BYTES) });
      expect([length, refusal(closed)]).toEqual([length, '400 SIZE_INVALID']);
      const post = { headers, body: unannounced(BYTES) };
      const posted = await send('POST', `${UPLOADS}?digest=${DIGEST}`, post);
      expect([length, refusal(posted)]).toEqual([length, '400 SIZE_INVALID']);
    }
    expect((await send('HEAD', `/v2/${NAME}/blobs/${DIGEST}`)).status).toBe(404);
  });
});

describe('an upload whose repository takes no pushes any more', () => {
  it('is 403 DENIED, and stands where it stood', async ({ expect }) => {
    const session = await begun();
    await env.DB.prepare('UPDATE repository SET state = 1').run();
    const closing = withQuery(session, { digest: DIGEST });
    for (const refused of [
      await send('PATCH', session, rest),
      await send('PUT', closing, rest),
      await send('PUT', closing),
      await send('POST', UPLOADS),
    ]) {
      expect(refusal(refused)).toBe('403 DENIED');
      expect(errorsOf(refused)[0]?.detail).toEqual({ reason: 'READ_ONLY' });
    }
    await env.DB.prepare('UPDATE repository SET state = 0').run();
    expect((await put(session, DIGEST, rest)).status).toBe(201);
  });
});
