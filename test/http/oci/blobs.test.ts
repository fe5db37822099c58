import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { DAY_MS } from '../../support/clock.ts';
import { uniqueBytes } from '../../support/content.ts';
import {
  bucketCost,
  errorsOf,
  imageIn,
  pick,
  pushImage,
  putManifest,
  refusal,
  send,
  uploadBlob,
} from '../../support/http.ts';

const NAME = 'acme/app';
const ABSENT = `sha256:${'0'.repeat(64)}`;
const SIZE = 2048;

const BODY_HEADERS = ['content-type', 'content-length', 'content-range', 'content-encoding'];
const HEADERS = [
  ...BODY_HEADERS,
  'docker-content-digest',
  'accept-ranges',
  'etag',
  'cache-control',
];

async function aBlob(size = SIZE) {
  const bytes = uniqueBytes(size);
  const digest = await uploadBlob(NAME, bytes);
  return { bytes, digest, path: `/v2/${NAME}/blobs/${digest}` };
}

describe('GET of a blob', () => {
  it('gives its bytes with all that a client wants to know of them', async ({ expect }) => {
    const { bytes, digest, path } = await aBlob();
    const answer = await send('GET', path);
    expect(answer.status).toBe(200);
    expect(answer.bytes).toEqual(bytes);
    expect(pick(answer, ...HEADERS)).toEqual({
      'content-type': 'application/octet-stream',
      'content-length': '2048',
      'docker-content-digest': digest,
      'accept-ranges': 'bytes',
      etag: `"${digest}"`,
      'cache-control': 'max-age=31536000, no-transform',
    });
    expect(bucketCost(answer)).toBe('1 read, 0 written');
  });

  it('gives a blob by the sha512 digest that it was pushed by', async ({ expect }) => {
    const bytes = uniqueBytes();
    const digest = await uploadBlob(NAME, bytes, 'sha512');
    const answer = await send('GET', `/v2/${NAME}/blobs/${digest}`);
    expect(answer.status).toBe(200);
    expect(answer.bytes).toEqual(bytes);
    expect(answer.headers.get('Docker-Content-Digest')).toBe(digest);
    const other = await computeDigest('sha256', bytes);
    expect(refusal(await send('GET', `/v2/${NAME}/blobs/${other}`))).toBe('404 BLOB_UNKNOWN');
  });

  it('gives an empty blob', async ({ expect }) => {
    const { path } = await aBlob(0);
    for (const headers of [{}, { Range: 'bytes=0-' }]) {
      const answer = await send('GET', path, { headers });
      const isPart = 'Range' in headers;
      expect([answer.status, answer.text]).toEqual([isPart ? 416 : 200, '']);
      expect(answer.headers.get('Content-Range')).toBe(isPart ? 'bytes */0' : null);
    }
  });

  it('tells what is missing', async ({ expect }) => {
    await aBlob();
    const unknown = await send('GET', `/v2/${NAME}/blobs/${ABSENT}`);
    expect(unknown.status).toBe(404);
    expect(errorsOf(unknown)).toEqual([
      {
        code: 'BLOB_UNKNOWN',
        message: 'the repository does not have this blob',
        detail: { digest: ABSENT },
      },
    ]);
    const elsewhere = await send('GET', `/v2/acme/other/blobs/${ABSENT}`);
    expect(elsewhere.status).toBe(404);
    expect(errorsOf(elsewhere)).toEqual([
      { code: 'NAME_UNKNOWN', message: "repository 'acme/other' not found" },
    ]);
    const library = await send('GET', `/v2/alpine/blobs/${ABSENT}`);
    expect(errorsOf(library).map(({ message }) => message)).toEqual([
      "repository 'library/alpine' not found",
    ]);
  });

  it('shows nothing of a blob that only another repository has', async ({ expect }) => {
    const { digest } = await aBlob();
    await uploadBlob('acme/other');
    for (const method of ['GET', 'DELETE']) {
      const answer = await send(method, `/v2/acme/other/blobs/${digest}`);
      expect(refusal(answer)).toBe('404 BLOB_UNKNOWN');
    }
    expect((await send('HEAD', `/v2/acme/other/blobs/${digest}`)).status).toBe(404);
  });

  it('answers 404, not a failure, when the object is lost', async ({ expect }) => {
    const { path } = await aBlob();
    const { objects } = await env.BUCKET.list();
    await env.BUCKET.delete(objects.map(({ key }) => key));
    expect(refusal(await send('GET', path))).toBe('404 BLOB_UNKNOWN');
  });
});

describe('HEAD of a blob', () => {
  it('is GET without the body, and asks nothing of the bucket', async ({ expect }) => {
    const { path } = await aBlob();
    const get = await send('GET', path);
    for (const headers of [{}, { Range: 'bytes=500-1499' }]) {
      const head = await send('HEAD', path, { headers });
      expect(head.status).toBe(200);
      expect(head.bytes.byteLength).toBe(0);
      expect(pick(head, ...HEADERS)).toEqual(pick(get, ...HEADERS));
      expect(bucketCost(head)).toBe('0 read, 0 written');
    }
  });

  it('has the status of GET where there is nothing', async ({ expect }) => {
    await aBlob();
    for (const path of [`/v2/${NAME}/blobs/${ABSENT}`, `/v2/acme/other/blobs/${ABSENT}`]) {
      const head = await send('HEAD', path);
      expect([head.status, head.text]).toEqual([404, '']);
    }
  });
});

describe('a range of a blob', () => {
  it('is given in every form that one range can have', async ({ expect }) => {
    const { bytes, digest, path } = await aBlob();
    const parts: readonly [string, number, number][] = [
      ['bytes=500-1499', 500, 1499],
      ['bytes=500-', 500, 2047],
      ['bytes=-500', 1548, 2047],
      ['bytes=2000-5000', 2000, 2047],
      ['bytes=0-0', 0, 0],
      ['bytes=0-', 0, 2047],
      ['bytes=-5000', 0, 2047],
      ['bytes=2047-2047', 2047, 2047],
      ['bytes=0-99999999999999', 0, 2047],
    ];
    for (const [range, first, last] of parts) {
      const answer = await send('GET', path, { headers: { Range: range } });
      expect([range, answer.status]).toEqual([range, 206]);
      expect(answer.bytes).toEqual(bytes.slice(first, last + 1));
      expect(pick(answer, ...BODY_HEADERS, 'docker-content-digest')).toEqual({
        'content-type': 'application/octet-stream',
        'content-length': String(last - first + 1),
        'content-range': `bytes ${first}-${last}/2048`,
        'docker-content-digest': digest,
      });
    }
  });

  it('is refused with 416 and the size where there are no such bytes', async ({ expect }) => {
    const { path } = await aBlob();
    for (const range of [
      'bytes=500-0',
      'bytes=5000-10000',
      'bytes=2048-',
      'bytes=2048-2048',
      'bytes=-0',
    ]) {
      const answer = await send('GET', path, { headers: { Range: range } });
      expect([range, answer.status, answer.text]).toEqual([range, 416, '']);
      expect(answer.headers.get('Content-Range')).toBe('bytes */2048');
      expect(bucketCost(answer)).toBe('0 read, 0 written');
    }
  });

  it('is not taken for one in any other form: the whole is given', async ({ expect }) => {
    const { bytes, path } = await aBlob();
    for (const range of [
      'bytes=0-1,4-5',
      'bytes=0-1, -5',
      'lines=0-5',
      'bytes=',
      'bytes=-',
      'bytes=a-b',
      'bytes=1.5-2',
      'bytes=--5',
      'bytes 0-5',
      'bytes=0-99999999999999999999',
      '0-5',
      '',
    ]) {
      const answer = await send('GET', path, { headers: { Range: range } });
      expect([range, answer.status]).toEqual([range, 200]);
      expect(answer.bytes).toEqual(bytes);
      expect(pick(answer, 'content-length', 'content-range')).toEqual({ 'content-length': '2048' });
    }
  });
});

describe('DELETE of a blob', () => {
  it('is 202, then 404, also for HEAD and GET', async ({ expect }) => {
    const { path } = await aBlob();
    const deleted = await send('DELETE', path);
    expect([deleted.status, deleted.text]).toEqual([202, '']);
    expect((await send('HEAD', path)).status).toBe(404);
    expect(refusal(await send('GET', path))).toBe('404 BLOB_UNKNOWN');
    expect(refusal(await send('DELETE', path))).toBe('404 BLOB_UNKNOWN');
  });

  it('is 405 BLOB_IN_USE while a manifest names it, and says which', async ({ expect }) => {
    const image = await pushImage(NAME, 'v1');
    const { layers } = JSON.parse(new TextDecoder().decode(image.bytes)) as {
      layers: [{ digest: string }];
    };
    const path = `/v2/${NAME}/blobs/${layers[0].digest}`;
    const refused = await send('DELETE', path);
    expect(refused.status).toBe(405);
    expect(errorsOf(refused)).toEqual([
      {
        code: 'DENIED',
        message: `the blob is used by manifest ${image.digest}`,
        detail: { reason: 'BLOB_IN_USE', manifest: image.digest, restorableUntil: null },
      },
    ]);
    expect((await send('HEAD', path)).status).toBe(200);

    await send('DELETE', `/v2/${NAME}/manifests/${image.digest}`);
    const stillRefused = await send('DELETE', path);
    expect(stillRefused.status).toBe(405);
    const [, restorableUntil = ''] = /"restorableUntil":"([^"]+)"/.exec(stillRefused.text) ?? [];
    const daysLeft = (Date.parse(restorableUntil) - Date.now()) / DAY_MS;
    expect(daysLeft).toBeGreaterThan(13.9);
    expect(daysLeft).toBeLessThan(14.1);
  });

  it('touches no other repository', async ({ expect }) => {
    const bytes = uniqueBytes();
    const digest = await uploadBlob(NAME, bytes);
    await uploadBlob('acme/other', bytes);
    expect((await send('DELETE', `/v2/${NAME}/blobs/${digest}`)).status).toBe(202);
    const elsewhere = await send('GET', `/v2/acme/other/blobs/${digest}`);
    expect(elsewhere.bytes).toEqual(bytes);
  });

  it('of what was never there is 404', async ({ expect }) => {
    expect(refusal(await send('DELETE', `/v2/${NAME}/blobs/${ABSENT}`))).toBe('404 NAME_UNKNOWN');
    await putManifest(NAME, await imageIn(NAME), 'v1');
    expect(refusal(await send('DELETE', `/v2/${NAME}/blobs/${ABSENT}`))).toBe('404 BLOB_UNKNOWN');
  });
});
