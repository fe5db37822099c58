import { env } from 'cloudflare:workers';
import { describe, it, vi } from 'vitest';

import { gated } from '../support/gate.ts';
import { type Answer, errorsOf, imageIn, pushImage, send, uploadBlob } from '../support/http.ts';
import { isolateWith } from '../support/isolate.ts';

/** What is written to the error log while something runs. */
async function errorLog(run: () => Promise<unknown>): Promise<readonly Record<string, unknown>[]> {
  const spy = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  try {
    await run();
    return spy.mock.calls.map(([line]) => JSON.parse(String(line)) as Record<string, unknown>);
  } finally {
    spy.mockRestore();
  }
}

const DIGEST = `sha256:${'0'.repeat(64)}`;
const REQUESTS: readonly (readonly [string, string])[] = [
  ['GET', '/v2/'],
  ['GET', '/v2/auth?scope=repository:acme/app:pull'],
  ['POST', '/v2/auth'],
  ['GET', '/v2/acme/app/manifests/v1'],
  ['PUT', '/v2/acme/app/manifests/v1'],
  ['DELETE', '/v2/acme/app/manifests/v1'],
  ['GET', `/v2/acme/app/blobs/${DIGEST}`],
  ['POST', '/v2/acme/app/blobs/uploads/'],
  ['PATCH', '/v2/acme/app/blobs/uploads/x'],
  ['GET', '/v2/acme/app/tags/list'],
  ['GET', '/v2/NOT/A/NAME'],
  ['GET', '/oauth2/federation/robot/token'],
  ['GET', '/health/instance'],
  ['GET', '/health/endtoend'],
  ['GET', '/'],
];

const MISTAKES: readonly (readonly [string, string | undefined])[] = [
  ['ADMIN_PASSWORD', undefined],
  ['ADMIN_PASSWORD', ''],
  ['TOKEN_SIGNING_KEY', undefined],
  ['TOKEN_SIGNING_KEY', ''],
  ['TOKEN_SIGNING_KEY', '{"kty":"EC","d":"half a secret"}'],
  ['TOKEN_SIGNING_KEY_PREVIOUS', '{"kty":"EC","x":"half a secret"}'],
  ['READ_CONSISTENCY', 'maybe-a-secret'],
  ['RESERVED_LABEL_PREFIXES', 'com.acme'],
  ['IMMUTABLE_TAGS', 'yes'],
  ['SPARSE_INDEX', ''],
  ['LEGACY_IMAGE_READS', '1'],
  ['PUSH_LEASE_SEC', '-1'],
  ['PUSH_LEASE_SEC', '0'],
  ['PUSH_LEASE_SEC', '99999999999999'],
  ['PUSH_TEMP_TAG_EXPIRATION_SEC', '1h'],
  ['REMOVED_TAG_EXPIRATION_SEC', '2w'],
  ['MAX_BLOB_BYTES', '20GB'],
  ['UPLOAD_CHUNK_BYTES_MAX', '1.5'],
  ['TOKEN_TTL_SEC', '59'],
  ['TOKEN_TTL_SEC', '3661'],
  ['OIDC_ISSUERS', 'http://gitlab.example.com'],
  ['OIDC_AUDIENCE', 'registry example'],
];

describe('a mistake of the operator', () => {
  for (const [setting, value] of MISTAKES) {
    it(`${setting}=${value} makes every answer 503 with a sentence about it`, async ({
      expect,
    }) => {
      const ask = await isolateWith({ [setting]: value });
      await errorLog(async () => {
        for (const [method, path] of REQUESTS) {
          for (const call of [{}, { authorization: null }]) {
            const answer = await ask(method, path, call);
            expect([path, answer.status]).toEqual([path, 503]);
            const [entry, ...others] = errorsOf(answer);
            expect([entry?.code, others]).toEqual(['UNAVAILABLE', []]);
            expect(entry?.message).toMatch(new RegExp(`^The \\w+ ${setting} is not .*[^.]\\.$`));
            expect(answer.text).not.toContain('secret"');
            expect(answer.text).not.toContain('maybe-a-secret');
            expect(answer.headers.get('Docker-Distribution-API-Version')).toBe(
              path.startsWith('/v2/') ? 'registry/2.0' : null,
            );
          }
        }
      });
    });
  }

  it('is not made by leaving every setting out', async ({ expect }) => {
    const ask = await isolateWith({
      IMMUTABLE_TAGS: undefined,
      IMMUTABLE_TAGS_CAN_EXPIRE: undefined,
      SPARSE_INDEX: undefined,
      READ_CONSISTENCY: undefined,
    });
    expect((await ask('GET', '/v2/')).status).toBe(200);
  });

  it('is logged with the request, without the value', async ({ expect }) => {
    const ask = await isolateWith({ READ_CONSISTENCY: 'maybe-a-secret' });
    const lines = await errorLog(() => ask('GET', '/v2/', { headers: { 'X-Request-Id': 'r-1' } }));
    expect(lines.map(({ requestId }) => requestId)).toEqual(['r-1']);
    expect(JSON.stringify(lines)).not.toContain('maybe-a-secret');
  });
});

describe('a setting', () => {
  it('is told to clients and kept', async ({ expect }) => {
    const ask = await isolateWith({ UPLOAD_CHUNK_BYTES_MAX: '7000000', MAX_BLOB_BYTES: '10' });
    const started = await ask('POST', '/v2/acme/app/blobs/uploads/');
    expect(started.headers.get('OCI-Chunk-Max-Length')).toBe('7000000');
    const session = started.headers.get('Location') ?? '';
    const patched = await ask('PATCH', session, { body: 'eleven byte' });
    expect([patched.status, errorsOf(patched)]).toEqual([
      413,
      [
        {
          code: 'SIZE_INVALID',
          message: 'a blob may have at most 10 bytes, this one has at least 11',
          detail: { maxBytes: 10 },
        },
      ],
    ]);
    expect((await ask('GET', session)).status).toBe(404);
    const whole = `/v2/acme/app/blobs/uploads/?digest=${DIGEST}`;
    expect((await ask('POST', whole, { body: 'eleven byte' })).status).toBe(413);
  });
});

describe('a failure that nobody foresaw', () => {
  it('is 500 with a fixed sentence and the id that the log has', async ({ expect }) => {
    const image = await pushImage('acme/app', 'v1');
    const blob = await uploadBlob('acme/app');
    const fresh = await imageIn('acme/app');
    await env.DB.batch([
      env.DB.prepare('ALTER TABLE tag RENAME COLUMN name TO broken_name'),
      env.DB.prepare('ALTER TABLE blob RENAME COLUMN digest TO broken_digest'),
      env.DB.prepare('ALTER TABLE blob_upload RENAME COLUMN uuid TO broken_uuid'),
    ]);
    const calls: readonly (readonly [string, string, string | Uint8Array<ArrayBuffer> | null])[] = [
      ['GET', '/v2/acme/app/manifests/v1', null],
      ['GET', `/v2/acme/app/blobs/${blob}`, null],
      ['GET', '/v2/acme/app/tags/list', null],
      ['PUT', '/v2/acme/app/manifests/secret-tag', fresh.bytes],
      ['DELETE', '/v2/acme/app/manifests/v1', null],
      ['DELETE', `/v2/acme/app/blobs/${blob}`, null],
      ['POST', '/v2/acme/app/blobs/uploads/', null],
      ['PATCH', '/v2/acme/app/blobs/uploads/x', 'x'],
      ['PUT', `/v2/acme/app/blobs/uploads/x?digest=${blob}`, 'x'],
    ];
    for (const [method, path, body] of calls) {
      const headers = { 'Content-Type': image.mediaType };
      let answer: Answer | null = null;
      const lines = await errorLog(async () => {
        answer = await send(method, path, { headers, body });
      });
      const { status, text, headers: sent } = answer ?? (await send('GET', path));
      const id = sent.get('X-Request-Id');
      expect([method, path, status, text]).toEqual([
        method,
        path,
        500,
        JSON.stringify({
          errors: [
            {
              code: 'UNKNOWN',
              message: `something went wrong here; the log has more under request ${id}`,
            },
          ],
        }),
      ]);
      const [line] = lines.filter(({ requestId }) => requestId === id);
      expect([line?.['level'], line?.['event']]).toEqual(['error', 'error']);
      expect(JSON.stringify(line)).toContain('D1_ERROR');
    }
  });

  it('of a store is told by the health check', async ({ expect }) => {
    const ask = await isolateWith({
      ...gated(env, ({ store }, run) =>
        store === 'r2' ? Promise.reject(new Error('the bucket is away')) : run(),
      ),
    });
    const answer = await ask('GET', '/health/endtoend', { authorization: null });
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      503,
      {
        data: { services: { worker: true, database: true, storage: false, cache: true } },
        status_code: 503,
      },
    ]);
  });
});
