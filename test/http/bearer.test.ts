import { env } from 'cloudflare:workers';
import { describe, it, vi } from 'vitest';

import { computeDigest } from '../../src/model/digest.ts';
import { uniqueBytes } from '../support/content.ts';
import {
  type Answer,
  basic,
  imageIn,
  pick,
  pushImage,
  refusal,
  send,
  startUpload,
  uploadBlob,
  withQuery,
} from '../support/http.ts';

/** A token for these scopes, asked for as clients do: where and how the challenge says. */
async function tokenFor(...scopes: readonly string[]): Promise<string> {
  const query = new URLSearchParams([
    ['service', 'registry.test'],
    ...scopes.map((scope) => ['scope', scope]),
  ]);
  const answer = await send('GET', `/v2/auth?${query.toString()}`);
  return `Bearer ${(JSON.parse(answer.text) as { token: string }).token}`;
}

/** The challenge's parameters. */
function challengeOf(answer: Answer): Record<string, string> {
  const challenge = answer.headers.get('WWW-Authenticate') ?? '';
  return Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
}

async function leaseRows(): Promise<readonly unknown[]> {
  return (await env.DB.prepare('SELECT * FROM uploaded_blob').all()).results;
}

/** As if time had passed: the lease of every blob has a minute left. */
async function ageLeases(): Promise<void> {
  await env.DB.prepare('UPDATE uploaded_blob SET expires_ms = ?')
    .bind(Date.now() + 60_000)
    .run();
}

/** How many rows the answer says it wrote. */
function written({ headers }: Answer): string | undefined {
  return /(\d+) written", r2/.exec(headers.get('Server-Timing') ?? '')?.[1];
}

describe('a client that follows the challenges', () => {
  it('pushes and pulls an image with the tokens that it is told to get', async ({ expect }) => {
    const ask = async (
      method: string,
      path: string,
      call: { headers?: Record<string, string>; body?: BodyInit } = {},
    ) => {
      const refused = await send(method, path, { ...call, authorization: null });
      expect([path, refusal(refused)]).toEqual([path, '401 UNAUTHORIZED']);
      const { realm = '', service = '', scope = '' } = challengeOf(refused);
      const token = await send('GET', withQuery(realm, { service, scope }));
      expect(token.status).toBe(200);
      expect(token.headers.get('Cache-Control')).toBe('no-cache, no-store, must-revalidate');
      const { access_token: bearer, expires_in: ttl } = JSON.parse(token.text) as {
        access_token: string;
        expires_in: number;
      };
      expect(ttl).toBe(300);
      return send(method, path, { ...call, authorization: `Bearer ${bearer}` });
    };
    const bytes = uniqueBytes();
    const digest = await computeDigest('sha256', bytes);
    const started = await ask('POST', '/v2/acme/app/blobs/uploads/');
    expect(started.status).toBe(202);
    const session = started.headers.get('Location') ?? '';
    const closed = await ask('PUT', withQuery(session, { digest }), { body: bytes });
    expect(closed.status).toBe(201);
    const image = await imageIn('acme/app');
    const put = await ask('PUT', '/v2/acme/app/manifests/v1', {
      headers: { 'Content-Type': image.mediaType },
      body: image.bytes,
    });
    expect(put.status).toBe(201);
    expect((await ask('GET', '/v2/acme/app/manifests/v1')).bytes).toEqual(image.bytes);
    expect((await ask('GET', `/v2/acme/app/blobs/${digest}`)).bytes).toEqual(bytes);
    expect((await ask('GET', '/v2/acme/app/tags/list')).status).toBe(200);
    expect((await ask('DELETE', '/v2/acme/app/manifests/v1')).status).toBe(202);
  });
});

describe('a token', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const reads = (name: string) =>
    [
      ['GET', `/v2/${name}/manifests/v1`],
      ['GET', `/v2/${name}/blobs/${digest}`],
      ['GET', `/v2/${name}/tags/list`],
    ] as const;
  const writes = (name: string) =>
    [
      ['PUT', `/v2/${name}/manifests/v1`],
      ['DELETE', `/v2/${name}/manifests/v1`],
      ['DELETE', `/v2/${name}/manifests/${digest}`],
      ['DELETE', `/v2/${name}/blobs/${digest}`],
      ['POST', `/v2/${name}/blobs/uploads/`],
      ['POST', `/v2/${name}/blobs/uploads/?digest=${digest}`],
      ['GET', `/v2/${name}/blobs/uploads/x`],
      ['PATCH', `/v2/${name}/blobs/uploads/x`],
      ['PUT', `/v2/${name}/blobs/uploads/x?digest=${digest}`],
      ['DELETE', `/v2/${name}/blobs/uploads/x`],
    ] as const;

  it('for one repository opens no other, there or not', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    await pushImage('acme/other', 'v1');
    const authorization = await tokenFor('repository:acme/app:pull,push');
    expect((await send('GET', '/v2/acme/app/manifests/v1', { authorization })).status).toBe(200);
    for (const name of ['acme/other', 'acme/unknown', 'acme/app/x', 'acme/ap', 'acme']) {
      for (const [method, path] of [...reads(name), ...writes(name)]) {
        const answer = await send(method, path, { authorization });
        expect([method, path, refusal(answer)]).toEqual([method, path, '401 UNAUTHORIZED']);
        const isRead = reads(name).some(([, read]) => read === path && method === 'GET');
        expect([path, challengeOf(answer)['scope']]).toEqual([
          path,
          `repository:${name}:${isRead ? 'pull' : 'pull,push'}`,
        ]);
      }
    }
  });

  it('to pull neither pushes nor deletes', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    const authorization = await tokenFor('repository:acme/app:pull');
    for (const [method, path] of reads('acme/app')) {
      expect((await send(method, path, { authorization })).status).not.toBe(401);
    }
    for (const [method, path] of writes('acme/app')) {
      const answer = await send(method, path, { authorization });
      expect([method, path, refusal(answer)]).toEqual([method, path, '401 UNAUTHORIZED']);
    }
    expect((await send('GET', '/v2/acme/app/manifests/v1')).status).toBe(200);
  });

  it('or a password that is wrong, or none, opens nothing', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    const callers = [null, basic('admin', 'x'), basic('x', 'x'), 'Bearer x.y.z', ''];
    const requests = ['acme/app', 'acme/unknown'].flatMap((name) => [
      ...reads(name),
      ...writes(name),
    ]);
    // So far apart, and in the past, that no failed login is held against the next.
    const apartMs = 180_000;
    const endMs = Date.now();
    let waiting = callers.length * requests.length;
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      for (const authorization of callers) {
        for (const [method, path] of requests) {
          vi.setSystemTime(endMs - waiting * apartMs);
          waiting -= 1;
          const answer = await send(method, path, { authorization });
          expect([method, path, refusal(answer)]).toEqual([method, path, '401 UNAUTHORIZED']);
        }
      }
    } finally {
      vi.useRealTimers();
    }
  });

  it('to push alone mounts from where its subject may pull', async ({ expect }) => {
    const blob = await uploadBlob('acme/source');
    const authorization = await tokenFor('repository:acme/app:pull,push');
    const path = `/v2/acme/app/blobs/uploads/?mount=${blob}&from=acme/source`;
    const mounted = await send('POST', path, { authorization });
    expect(mounted.status).toBe(201);
    const refused = await send('POST', path, { authorization: null });
    expect(challengeOf(refused)['scope']).toBe(
      'repository:acme/app:pull,push repository:acme/source:pull',
    );
  });
});

describe('HEAD of a blob', () => {
  it('by a pusher renews the lease, by others writes nothing', async ({ expect }) => {
    const blob = await uploadBlob('acme/app');
    await ageLeases();
    const aged = await leaseRows();
    const path = `/v2/acme/app/blobs/${blob}`;

    const pull = await send('HEAD', path, {
      authorization: await tokenFor('repository:acme/app:pull'),
    });
    expect([pull.status, written(pull)]).toEqual([200, '0']);
    const get = await send('GET', path);
    expect([get.status, written(get)]).toEqual([200, '0']);
    expect(await leaseRows()).toEqual(aged);

    const push = await send('HEAD', path, {
      authorization: await tokenFor('repository:acme/app:pull,push'),
    });
    expect(push.status).toBe(200);
    expect(Number(written(push))).toBeGreaterThan(0);
    expect(pick(push, 'content-length', 'docker-content-digest')).toEqual({
      'content-length': '64',
      'docker-content-digest': blob,
    });
    const [lease] = (await leaseRows()) as [{ expires_ms: number }];
    expect(lease.expires_ms).toBeGreaterThan(Date.now() + 3_500_000);

    const again = await send('HEAD', path);
    expect([again.status, written(again)]).toEqual([200, '0']);
  });

  it('by a pusher of what is not there writes nothing', async ({ expect }) => {
    await startUpload('acme/app');
    const answer = await send('HEAD', `/v2/acme/app/blobs/sha256:${'0'.repeat(64)}`);
    expect(answer.status).toBe(404);
    expect(await leaseRows()).toEqual([]);
  });
});
