import { describe, it, vi } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import type { QuotaLimits } from '../../../src/model/quota.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  errorsOf,
  imageIn,
  indexOf,
  putManifest,
  refusal,
  send,
  startUpload,
  unannounced,
  withQuery,
} from '../../support/http.ts';
import { limitsOf } from '../../support/quota.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { select } from '../../support/stage.ts';

const NAME = 'acme/app';
const UPLOADS = `/v2/${NAME}/blobs/uploads/`;
const BYTES = uniqueBytes(101);

/** The namespace with a quota, before anything is pushed. */
async function withQuota(limitBytes: number, limits: Partial<QuotaLimits> = {}) {
  const { operations } = openTestRegistry();
  await startUpload(NAME);
  return operations.setQuota('acme', limitsOf(limitBytes, limits));
}

const detail = (usedBytes: number, addedBytes: number) => ({
  reason: 'QUOTA_EXCEEDED',
  limitBytes: 100,
  rejectPercent: 100,
  usedBytes,
  addedBytes,
});

describe('a push above the quota of its namespace', () => {
  it('of a manifest is 403 DENIED with the figures, and stores nothing', async ({ expect }) => {
    const image = await imageIn(NAME);
    await withQuota(100);
    for (const reference of ['latest', image.digest, `${image.digest}?tag=a&tag=b`]) {
      const refused = await putManifest(NAME, image, reference);
      expect(refused.status, reference).toBe(403);
      expect(errorsOf(refused), reference).toEqual([
        {
          code: 'DENIED',
          message: "namespace 'acme' may hold 100 bytes; it holds 0, and this would add 164",
          detail: detail(0, 164),
        },
      ]);
    }
    expect(await select('SELECT * FROM manifest')).toEqual([]);
    const read = await send('GET', `/v2/${NAME}/manifests/latest`);
    expect(refusal(read)).toBe('404 MANIFEST_UNKNOWN');
  });

  it('of a blob is 403 DENIED at POST, PATCH and PUT, and its upload is gone', async ({
    expect,
  }) => {
    await withQuota(100);
    const digest = await computeDigest('sha256', BYTES);
    const length = { headers: { 'Content-Length': '101' } };

    const whole = await send('POST', `${UPLOADS}?digest=${digest}`, { body: BYTES, ...length });
    expect([refusal(whole), errorsOf(whole)[0]?.detail]).toEqual(['403 DENIED', detail(0, 101)]);

    for (const [method, query] of [
      ['PATCH', {}],
      ['PUT', { digest }],
    ] as const) {
      const session = await startUpload(NAME);
      const refused = await send(method, withQuery(session, query), { body: BYTES });
      expect([method, refusal(refused)]).toEqual([method, '403 DENIED']);
      expect(errorsOf(refused)[0]?.detail).toEqual(detail(0, 101));
      expect(refusal(await send('GET', session))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    }

    // A stream is only known to be too long once it is there.
    const session = await startUpload(NAME);
    const streamed = await send('PATCH', session, { body: unannounced(BYTES) });
    expect(streamed.status).toBe(202);
    expect(refusal(await send('POST', UPLOADS))).toBe('403 DENIED');
    expect(refusal(await send('PUT', withQuery(session, { digest })))).toBe('403 DENIED');
    expect(refusal(await send('GET', session))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect((await send('POST', UPLOADS)).status).toBe(202);
    expect(refusal(await send('GET', `/v2/${NAME}/blobs/${digest}`))).toBe('404 BLOB_UNKNOWN');
  });
});

describe('a push above the warning of the quota', () => {
  it('is answered with a Warning, by tag and by digest, and logged', async ({ expect }) => {
    const image = await imageIn(NAME);
    expect((await putManifest(NAME, image, 'before')).headers.has('Warning')).toBe(false);
    await withQuota(200);
    const lines = vi.spyOn(console, 'log');
    const warning = `299 - "namespace 'acme' uses 82 % of its quota: 164 of 200 bytes"`;
    for (const [manifest, reference] of [
      [image, 'latest'],
      [image, image.digest],
      [await indexOf([image]), 'list'],
    ] as const) {
      const put = await putManifest(NAME, manifest, reference);
      expect([put.status, put.headers.get('Warning')]).toEqual([201, warning]);
    }
    const logged = lines.mock.calls
      .map(([line]) => JSON.parse(String(line)) as Record<string, unknown>)
      .filter(({ event }) => event === 'quota-warning');
    expect(logged).toHaveLength(3);
    expect(logged[0]).toMatchObject({ repository: NAME, usedBytes: 164, limitBytes: 200 });
    lines.mockRestore();
    await openTestRegistry().operations.setQuota('acme', limitsOf(400));
    expect((await putManifest(NAME, image, 'latest')).headers.has('Warning')).toBe(false);
  });
});
