import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { BLOB_KEPT_BYTES_MAX } from '../../../src/model/limits.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  aName,
  type Answer,
  bucketCost,
  refusal,
  requestOf,
  uploadBlob,
} from '../../support/http.ts';
import { isolateWith } from '../../support/isolate.ts';

const KEEPING = { ANSWER_TTL_SEC: '60' };

/** What the answer cost: round trips to the database, and at the bucket. */
function costOf(answer: Answer): string {
  const [, roundTrips = '?'] =
    /d1;desc="(\d+)/.exec(answer.headers.get('Server-Timing') ?? '') ?? [];
  return `${roundTrips} trips, ${bucketCost(answer)}`;
}

async function aBlob(sizeBytes = 2048) {
  const name = aName();
  const bytes = uniqueBytes(sizeBytes);
  const digest = await uploadBlob(name, bytes);
  return { name, bytes, digest, path: `/v2/${name}/blobs/${digest}` };
}

describe('a small blob that its location keeps', () => {
  it('is answered without the database and the bucket, in every form', async ({ expect }) => {
    const { path, bytes, digest } = await aBlob();
    const ask = await isolateWith(KEEPING);
    const cold = await ask('GET', path);
    expect([cold.status, costOf(cold)]).toEqual([200, '1 trips, 1 read, 0 written']);
    const forms: readonly (readonly [string, Record<string, string>, number, Uint8Array])[] = [
      ['GET', {}, 200, bytes],
      ['GET', { Range: 'bytes=500-1499' }, 206, bytes.slice(500, 1500)],
      ['GET', { Range: 'bytes=-1' }, 206, bytes.slice(2047)],
      ['GET', { Range: 'bytes=2048-' }, 416, new Uint8Array()],
      ['GET', { 'If-None-Match': `"${digest}"` }, 304, new Uint8Array()],
    ];
    for (const [method, headers, status, body] of forms) {
      const warm = await ask(method, path, { headers });
      expect([headers, warm.status, warm.bytes]).toEqual([headers, status, body]);
      expect([headers, costOf(warm)]).toEqual([headers, '0 trips, 0 read, 0 written']);
      if (status < 300) {
        expect(warm.headers.get('Content-Length')).toBe(String(body.byteLength));
      }
    }
  });

  it('is given from one copy to all repositories that have it, and to no other', async ({
    expect,
  }) => {
    const { path, bytes, digest } = await aBlob();
    const [other, stranger] = [aName(), aName()];
    await uploadBlob(other, bytes);
    await uploadBlob(stranger);
    const ask = await isolateWith(KEEPING);
    await ask('GET', path);
    const shared = await ask('GET', `/v2/${other}/blobs/${digest}`);
    expect([shared.bytes, costOf(shared)]).toEqual([bytes, '1 trips, 0 read, 0 written']);
    const refused = await ask('GET', `/v2/${stranger}/blobs/${digest}`);
    expect(refusal(refused)).toBe('404 BLOB_UNKNOWN');
    const unknown = await ask('GET', path, { authorization: null });
    expect(refusal(unknown)).toBe('401 UNAUTHORIZED');
  });

  it('is gone with the answer that said it is there', async ({ expect }) => {
    const { path } = await aBlob();
    const ask = await isolateWith(KEEPING);
    await ask('GET', path);
    expect((await ask('DELETE', path)).status).toBe(202);
    for (const headers of [{}, { Range: 'bytes=0-9' }]) {
      expect(refusal(await ask('GET', path, { headers }))).toBe('404 BLOB_UNKNOWN');
    }
  });

  it('is kept whole when the client goes away before its end', async ({ expect }) => {
    const { path, bytes } = await aBlob(BLOB_KEPT_BYTES_MAX);
    const ask = await isolateWith(KEEPING);
    const { default: worker } = await import('../../../src/index.ts');
    const context = createExecutionContext();
    const environment = { ...env, ...KEEPING } as Env;
    const response = await worker.fetch(requestOf('GET', path), environment, context);
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel('the client went away');
    await waitOnExecutionContext(context);
    const next = await ask('GET', path);
    expect(next.bytes).toEqual(bytes);
    expect(costOf(next)).toBe('0 trips, 0 read, 0 written');
  });
});

describe('a large blob', () => {
  it('comes from the bucket each time', async ({ expect }) => {
    const { path, bytes } = await aBlob(BLOB_KEPT_BYTES_MAX + 1);
    const ask = await isolateWith(KEEPING);
    await ask('GET', path);
    const again = await ask('GET', path);
    expect([again.bytes, costOf(again)]).toEqual([bytes, '0 trips, 1 read, 0 written']);
    const part = await ask('GET', path, { headers: { Range: 'bytes=-10' } });
    expect([part.status, part.bytes]).toEqual([206, bytes.slice(-10)]);
  });
});
