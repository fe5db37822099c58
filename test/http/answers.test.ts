import { describe, it } from 'vitest';

import {
  errorsOf,
  pick,
  pushImage,
  refusal,
  send,
  startUpload,
  uploadBlob,
} from '../support/http.ts';

const DIGEST = `sha256:${'0'.repeat(64)}`;
const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/;

describe('the ping', () => {
  it('is 200 and an empty object, with a slash at its end and without', async ({ expect }) => {
    for (const path of ['/v2/', '/v2']) {
      const get = await send('GET', path);
      expect([path, get.status, get.text]).toEqual([path, 200, '{}']);
      expect(pick(get, 'content-type', 'docker-distribution-api-version')).toEqual({
        'content-type': 'application/json',
        'docker-distribution-api-version': 'registry/2.0',
      });
      const head = await send('HEAD', path);
      expect([path, head.status, head.text]).toEqual([path, 200, '']);
    }
  });

  it('asks for credentials with the challenge that clients parse', async ({ expect }) => {
    for (const authorization of [null, 'Basic eDp5', 'Bearer x']) {
      const answer = await send('GET', '/v2/', { authorization });
      expect([answer.status, errorsOf(answer)]).toEqual([
        401,
        [{ code: 'UNAUTHORIZED', message: 'authentication required' }],
      ]);
      expect(answer.headers.get('WWW-Authenticate')).toBe(
        'Bearer realm="http://registry.test/v2/auth",service="registry.test"',
      );
    }
  });
});

describe('every answer under /v2', () => {
  it('names the API version, what it cost, and the request', async ({ expect }) => {
    const blob = await uploadBlob('acme/app');
    await pushImage('acme/app', 'v1');
    const session = await startUpload('acme/app');
    const calls: readonly (readonly [number, string, string])[] = [
      [200, 'GET', '/v2/'],
      [200, 'GET', '/v2/acme/app/manifests/v1'],
      [200, 'HEAD', '/v2/acme/app/manifests/v1'],
      [200, 'GET', `/v2/acme/app/blobs/${blob}`],
      [200, 'GET', '/v2/acme/app/tags/list'],
      [204, 'GET', session],
      [202, 'PATCH', session],
      [
        201,
        'PUT',
        `${session}?digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`,
      ],
      [202, 'DELETE', '/v2/acme/app/manifests/v1'],
      [200, 'GET', '/v2/auth?scope=repository:acme/app:pull'],
      [400, 'GET', '/v2/auth?scope=x'],
      [400, 'GET', '/v2/NOT/tags/list'],
      [400, 'PUT', session],
      [404, 'GET', '/v2/acme/app/manifests/v2'],
      [404, 'HEAD', '/v2/acme/app/manifests/v2'],
      [404, 'GET', '/v2/acme/app'],
      [405, 'POST', '/v2/'],
      [405, 'POST', '/v2/auth'],
      [415, 'PUT', '/v2/acme/app/manifests/v1'],
    ];
    for (const [status, method, path] of calls) {
      const answer = await send(method, path);
      expect([method, path, answer.status]).toEqual([method, path, status]);
      expect(answer.headers.get('Docker-Distribution-API-Version')).toBe('registry/2.0');
      expect(answer.headers.get('Server-Timing')).toMatch(
        /^total;dur=\d+, d1;desc="\d+ round trips, \d+ read, \d+ written", r2;desc="\d+ read, \d+ written", kv;desc="\d+ read, \d+ written"$/,
      );
      expect([path, answer.headers.get('X-Request-Id')]).toEqual([path, expect.any(String)]);
      if (status >= 400 && method !== 'HEAD') {
        expect(answer.headers.get('Content-Type')).toBe('application/json');
        expect(refusal(answer)).toMatch(/^\d{3}(?: [A-Z_]+)+$/);
      }
    }
  });

  it('keeps the request id of the client, if it is one', async ({ expect }) => {
    const given = await send('GET', '/v2/acme/app', { headers: { 'X-Request-Id': 'build-7' } });
    expect(given.headers.get('X-Request-Id')).toBe('build-7');
    const bad = await send('GET', '/v2/acme/app', { headers: { 'X-Request-Id': 'a"b<c>' } });
    expect(bad.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('the bookmark', () => {
  it('is sent wherever the database was asked, also with an error', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    for (const path of ['/v2/acme/app/manifests/v1', '/v2/acme/app/manifests/v2']) {
      expect((await send('GET', path)).headers.get('Berth-Bookmark')).toMatch(BOOKMARK);
    }
    expect((await send('GET', '/v2/')).headers.has('Berth-Bookmark')).toBe(false);
  });

  it('is taken back, and anything that is none is as if it were not there', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    const path = '/v2/acme/app/manifests/v1';
    const bookmark = (await send('GET', path)).headers.get('Berth-Bookmark') ?? '';
    for (const header of [
      bookmark,
      '',
      'garbage',
      'first-primary',
      'a'.repeat(20_000),
      "x'; DROP TABLE tag;--",
      '-',
    ]) {
      const answer = await send('GET', path, { headers: { 'Berth-Bookmark': header } });
      expect([header, answer.status]).toEqual([header, 200]);
      expect(answer.headers.get('Berth-Bookmark')).toMatch(BOOKMARK);
    }
  });
});

describe('another method on a known path', () => {
  const paths: readonly (readonly [string, string])[] = [
    ['/v2/', 'GET, HEAD'],
    ['/v2/auth', 'GET, HEAD'],
    ['/v2/acme/app/manifests/v1', 'GET, HEAD, PUT, DELETE'],
    [`/v2/acme/app/manifests/${DIGEST}`, 'GET, HEAD, PUT, DELETE'],
    [`/v2/acme/app/blobs/${DIGEST}`, 'GET, HEAD, DELETE'],
    ['/v2/acme/app/blobs/uploads/', 'POST'],
    ['/v2/acme/app/blobs/uploads/x', 'GET, HEAD, PATCH, PUT, DELETE'],
    ['/v2/acme/app/tags/list', 'GET, HEAD'],
    ['/health/instance', 'GET, HEAD'],
    ['/health/endtoend', 'GET, HEAD'],
  ];
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY'];

  it('is 405 UNSUPPORTED and says which there are', async ({ expect }) => {
    for (const [path, allowed] of paths) {
      for (const method of methods.filter((name) => !allowed.split(', ').includes(name))) {
        const answer = await send(method, path);
        expect([method, path, answer.status, answer.headers.get('Allow')]).toEqual([
          method,
          path,
          405,
          allowed,
        ]);
        if (method !== 'HEAD') {
          expect(refusal(answer)).toBe('405 UNSUPPORTED');
        }
      }
    }
  });
});

describe('a path that means nothing', () => {
  it('is 404 NAME_UNKNOWN under /v2', async ({ expect }) => {
    for (const path of [
      '/v2/acme',
      '/v2/acme/app',
      '/v2/acme/app/manifests',
      '/v2/acme/app/manifests/',
      '/v2/acme/app/manifests/v1/x',
      '/v2/acme/app/blobs',
      '/v2/acme/app/blobs/',
      '/v2/acme/app/blobs/uploads/x/y',
      '/v2/acme/app/tags',
      '/v2/acme/app/tags/LIST',
      '/v2/acme/app/Manifests/v1',
      '/v2/manifests/v1',
      '/v2/blobs/uploads',
      '/v2//',
      '/v2/%2F',
      '/v2/auth/x',
      '/v2/_oci/ext/unknown',
    ]) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
        expect([path, refusal(await send(method, path))]).toEqual([path, '404 NAME_UNKNOWN']);
      }
    }
  });

  it('is 404 in the form of the management API elsewhere', async ({ expect }) => {
    for (const path of ['/', '/v1/_ping', '/v3/', '/V2/', '/x/v2/', '/v2x', '/api/v1/x']) {
      const answer = await send('GET', path);
      expect(answer.status).toBe(404);
      expect(answer.headers.has('Docker-Distribution-API-Version')).toBe(false);
      expect([path, JSON.parse(answer.text)]).toEqual([
        path,
        {
          status: 404,
          title: 'not_found',
          type: 'http://registry.test/api/v1/error/not_found',
          detail: 'there is nothing at this path',
          error_type: 'not_found',
          error_message: 'there is nothing at this path',
        },
      ]);
    }
  });
});

describe('health', () => {
  it('is told without credentials', async ({ expect }) => {
    const instance = await send('GET', '/health/instance', { authorization: null });
    expect([instance.status, instance.text]).toEqual([
      200,
      '{"data":{"services":{"worker":true}},"status_code":200}',
    ]);
    const all = await send('GET', '/health/endtoend', { authorization: null });
    expect([all.status, JSON.parse(all.text)]).toEqual([
      200,
      {
        data: { services: { worker: true, database: true, storage: true, cache: true } },
        status_code: 200,
      },
    ]);
  });
});
