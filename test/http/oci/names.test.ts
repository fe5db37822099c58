import { describe, it } from 'vitest';

import { uniqueBytes } from '../../support/content.ts';
import {
  errorsOf,
  imageIn,
  locationOf,
  putManifest,
  refusal,
  send,
  startUpload,
  uploadBlob,
} from '../../support/http.ts';

const NAMES_OF_255 = [
  `${'n'.repeat(100)}/${'r'.repeat(154)}`,
  `${'a/'.repeat(127)}a`,
  // One component alone has `library/` before it.
  'r'.repeat(247),
];

describe('a repository may be called', () => {
  const names: readonly string[] = [
    'acme/app',
    'alpine',
    'a/b/c/d/e/f',
    'a/blobs/b',
    'a/manifests/b',
    'tags/list',
    'x/manifests/y',
    'x/tags/list/y',
    'blobs/uploads',
    'a/blobs/uploads',
    'blobs',
    'manifests',
    'auth',
    'auth/x',
    '0/1',
    'a.b_c__d-e---f/g',
    ...NAMES_OF_255,
  ];
  for (const name of names) {
    const shown = name.length > 40 ? `${name.slice(0, 20)}… (${name.length})` : name;
    it(`${shown}, and is pushed to, pulled, listed and deleted from`, async ({ expect }) => {
      const bytes = uniqueBytes();
      const blob = await uploadBlob(name, bytes);
      expect((await send('GET', `/v2/${name}/blobs/${blob}`)).bytes).toEqual(bytes);
      const session = await startUpload(name);
      expect((await send('GET', session)).status).toBe(204);
      expect((await send('DELETE', session)).status).toBe(204);
      const image = await imageIn(name);
      for (const reference of [image.digest, 'list']) {
        const put = await putManifest(name, image, reference);
        expect([put.status, locationOf(put)]).toEqual([
          201,
          `/v2/${name}/manifests/${image.digest}`,
        ]);
        expect((await send('GET', locationOf(put))).bytes).toEqual(image.bytes);
      }
      const list = await send('GET', `/v2/${name}/tags/list`);
      expect(list.text).toBe(JSON.stringify({ name, tags: ['list'] }));
      expect((await send('DELETE', `/v2/${name}/manifests/list`)).status).toBe(202);
      expect((await send('DELETE', `/v2/${name}/blobs/${blob}`)).status).toBe(202);
    });
  }
});

describe('a repository may not be called', () => {
  const names: readonly string[] = [
    'Acme/app',
    'acme/App',
    '_x',
    '_x/y',
    'acme/_x',
    '.x/y',
    'acme/x.',
    'acme/-x',
    'acme/x-',
    'acme/x..y',
    'acme/x___y',
    'acme//app',
    '/acme/app',
    'acme/app/',
    'acme/%20',
    'acme/a%20b',
    'acme/a%00b',
    'acme/a+b',
    'acme/a@b',
    'acme/%C3%A4',
    'acme/%ff',
    'acme/%2Fapp',
    'acme/app%2F',
    'acme/%252e%252e/app',
    'acme/app%252Fx',
    'acme/app%zz',
    "acme/app';--",
    `${'n'.repeat(100)}/${'r'.repeat(155)}`,
    'r'.repeat(248),
    'r'.repeat(5000),
  ];
  const digest = `sha256:${'0'.repeat(64)}`;

  it('anything that breaks the grammar: 400 NAME_INVALID on every route', async ({ expect }) => {
    for (const name of names) {
      for (const [method, path] of [
        ['GET', 'manifests/v1'],
        ['PUT', 'manifests/v1'],
        ['DELETE', `manifests/${digest}`],
        ['GET', `blobs/${digest}`],
        ['DELETE', `blobs/${digest}`],
        ['POST', 'blobs/uploads/'],
        ['GET', 'blobs/uploads/x'],
        ['PATCH', 'blobs/uploads/x'],
        ['PUT', `blobs/uploads/x?digest=${digest}`],
        ['DELETE', 'blobs/uploads/x'],
        ['GET', 'tags/list'],
      ] as const) {
        const answer = await send(method, `/v2/${name}/${path}`);
        expect([method, name, path, refusal(answer)]).toEqual([
          method,
          name,
          path,
          '400 NAME_INVALID',
        ]);
      }
    }
  });

  it('and the refusal repeats the name', async ({ expect }) => {
    const answer = await send('GET', '/v2/Acme/App/tags/list');
    expect(errorsOf(answer)).toEqual([
      {
        code: 'NAME_INVALID',
        message: 'invalid repository name',
        detail: { name: 'Acme/App' },
      },
    ]);
  });
});

describe('a path', () => {
  it('means the same with a slash at its end, and with its letters encoded', async ({ expect }) => {
    const bytes = uniqueBytes();
    const blob = await uploadBlob('acme/app', bytes);
    const image = await imageIn('acme/app');
    await putManifest('acme/app', image, 'v1');
    for (const reference of ['manifests/v1', `manifests/${image.digest}`]) {
      for (const name of ['acme/app', '%61cme/app', 'acme%2Fapp', './acme/x/../app']) {
        for (const end of ['', '/']) {
          const answer = await send('GET', `/v2/${name}/${reference}${end}`);
          expect([name, answer.status, answer.bytes]).toEqual([name, 200, image.bytes]);
        }
      }
    }
    for (const path of [
      `/v2/acme/app/blobs/${blob}/`,
      `/v2/acme/app/blobs/${blob.replace(':', '%3A')}`,
      `/v2/acme/app/blobs/${blob.replace(':', '%3a')}/`,
    ]) {
      expect((await send('GET', path)).bytes).toEqual(bytes);
    }
    for (const path of ['/v2/acme/app/tags/list/', '/v2/acme/app/tags/l%69st']) {
      expect((await send('GET', path)).text).toBe('{"name":"acme/app","tags":["v1"]}');
    }
    const session = await startUpload('acme/app');
    expect((await send('GET', `${session}/`)).status).toBe(204);
  });
});
