import { describe, it } from 'vitest';

import { pick, pushImage, send, uploadBlob } from '../support/http.ts';

const NAME = 'acme/app';
const OTHER = `"sha256:${'0'.repeat(64)}"`;

async function paths() {
  const image = await pushImage(NAME, 'v1');
  const blob = await uploadBlob(NAME);
  return [
    [`/v2/${NAME}/manifests/v1`, image.digest],
    [`/v2/${NAME}/manifests/${image.digest}`, image.digest],
    [`/v2/${NAME}/blobs/${blob}`, blob],
  ] as const;
}

describe('If-None-Match', () => {
  it('is 304 without a body where it names what would be sent', async ({ expect }) => {
    for (const [path, digest] of await paths()) {
      const plain = await send('HEAD', path);
      for (const header of [`"${digest}"`, `W/"${digest}"`, '*', `${OTHER}, "${digest}"`]) {
        for (const method of ['GET', 'HEAD']) {
          const answer = await send(method, path, { headers: { 'If-None-Match': header } });
          expect([path, header, answer.status, answer.text]).toEqual([path, header, 304, '']);
          const kept = ['etag', 'cache-control', 'docker-content-digest'];
          expect(pick(answer, ...kept, 'content-type')).toEqual(pick(plain, ...kept));
        }
      }
    }
  });

  it('is 200 where it names something else, or nothing that is a tag', async ({ expect }) => {
    for (const [path, digest] of await paths()) {
      for (const header of [OTHER, digest, `${OTHER}, "x"`, '']) {
        const answer = await send('GET', path, { headers: { 'If-None-Match': header } });
        expect([path, header, answer.status]).toEqual([path, header, 200]);
      }
    }
  });

  it('is 404 where nothing is, and goes before a range', async ({ expect }) => {
    const [, , [path, digest]] = await paths();
    const absent = `/v2/${NAME}/manifests/absent`;
    expect((await send('GET', absent, { headers: { 'If-None-Match': '*' } })).status).toBe(404);
    const headers = { 'If-None-Match': `"${digest}"`, Range: 'bytes=0-1' };
    expect((await send('GET', path, { headers })).status).toBe(304);
  });
});

describe('a pull that names its upstream', () => {
  it('is answered as if it did not', async ({ expect }) => {
    for (const [path, digest] of await paths()) {
      const answer = await send('GET', `${path}?ns=upstream.example.com`);
      expect([answer.status, answer.headers.get('Docker-Content-Digest')]).toEqual([200, digest]);
      expect(answer.headers.has('OCI-Namespace')).toBe(false);
    }
  });
});
