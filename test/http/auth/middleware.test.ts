import { describe, it } from 'vitest';

import { ANONYMOUS } from '../../../src/http/auth/actor.ts';
import { parseRepositoryName, type RepositoryName } from '../../../src/model/names.ts';
import { epochMs } from '../../../src/model/time.ts';
import { anAccount, giveRight } from '../../support/accounts.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import {
  ADMIN_PASSWORD,
  NOW_MS,
  aSigningJwk,
  authDeps,
  basic,
  bearer,
  clockAt,
  registryApp,
  send,
} from './auth-fixture.ts';

const REALM = 'Bearer realm="https://berth.example.com/v2/auth",service="berth.example.com"';

const PULL = ['GET', '/v2/acme/app/manifests/latest'] as const;
const DELETE = ['DELETE', '/v2/acme/app/manifests/latest'] as const;
const UPLOAD = ['POST', '/v2/acme/app/blobs/uploads/'] as const;
const PING = ['GET', '/v2/'] as const;
const ROUTES = [PING, PULL, UPLOAD, DELETE];
const SUCCESS = [200, 200, 202, 202];
const REFUSED = [401, 401, 401, 401];

/** `library/alpine`, for everybody to read. */
async function publicAlpine(): Promise<void> {
  const { operations } = openTestRegistry();
  const name = parseRepositoryName('alpine');
  await operations.ensureRepository(name as RepositoryName, { visibility: 'public' });
}

type Caller = readonly [string, string | null, readonly number[]];

describe('who may do what', async () => {
  const expired = authDeps({ clock: clockAt(epochMs(NOW_MS - 400_000)) });
  const early = authDeps({ clock: clockAt(epochMs(NOW_MS + 60_000)) });
  const otherKey = authDeps({ tokenSigningKey: JSON.stringify(await aSigningJwk()) });
  const full = ['repository:acme/app:pull,push'];
  const callers: readonly Caller[] = [
    ['no one', null, REFUSED],
    ['the administrator by Basic', basic('admin', ADMIN_PASSWORD), SUCCESS],
    ['a wrong password', basic('admin', 'wrong'), REFUSED],
    ['an empty password', basic('admin', ''), REFUSED],
    ['an unknown user', basic('nobody', ADMIN_PASSWORD), REFUSED],
    ['an empty header', '', REFUSED],
    ['broken base64', 'Basic %%%', REFUSED],
    ['a header flood', `Bearer ${'a'.repeat(40_000)}`, REFUSED],
    ['another scheme', 'Digest abc', REFUSED],
    ['a token for all', await bearer(full), SUCCESS],
    ['a token for *', await bearer(['repository:acme/app:*']), SUCCESS],
    ['a token for push', await bearer(['repository:acme/app:push']), [200, 401, 202, 202]],
    ['a token for pull', await bearer(['repository:acme/app:pull']), [200, 200, 401, 401]],
    ['a token for nothing', await bearer([]), [200, 401, 401, 401]],
    ['a token with no actions', await bearer(['repository:acme/app:delete']), [200, 401, 401, 401]],
    ['a token for another name', await bearer(['repository:acme/app2:*']), [200, 401, 401, 401]],
    ['a token for a longer name', await bearer(['repository:acme/app/x:*']), [200, 401, 401, 401]],
    ['a token with the host', await bearer(['repository:berth.example.com/acme/app:*']), SUCCESS],
    ['an anonymous token', await bearer([], { subject: ANONYMOUS }), [200, 401, 401, 401]],
    ['an expired token', await bearer(full, { deps: expired }), REFUSED],
    ['a token of the future', await bearer(full, { deps: early }), REFUSED],
    ['a token of another key', await bearer(full, { deps: otherKey }), REFUSED],
    ['a token for another host', await bearer(full, { service: 'evil.example.com' }), REFUSED],
    ['a token as password', basic('admin', (await bearer(full)).slice(7)), REFUSED],
    ['a password as token', `Bearer ${btoa(ADMIN_PASSWORD.slice(0, 7))}`, REFUSED],
  ];
  for (const [who, authorization, expected] of callers) {
    it(`answers ${who} with ${expected.join(', ')} to ping, pull, push and delete`, async ({
      expect,
    }) => {
      const app = registryApp();
      const statuses = [];
      for (const [method, path] of ROUTES) {
        const response = await send(app, path, { method, authorization });
        statuses.push(response.status);
      }
      expect(statuses).toEqual(expected);
    });
  }
});

describe('the challenge', () => {
  const challenges: readonly [string, string, string][] = [
    [...PING, REALM],
    [...PULL, `${REALM},scope="repository:acme/app:pull"`],
    ['HEAD', PULL[1], `${REALM},scope="repository:acme/app:pull"`],
    [...DELETE, `${REALM},scope="repository:acme/app:pull,push"`],
    [...UPLOAD, `${REALM},scope="repository:acme/app:pull,push"`],
    [
      'POST',
      '/v2/acme/app/blobs/uploads/?mount=sha256:x&from=base',
      `${REALM},scope="repository:acme/app:pull,push repository:base:pull"`,
    ],
    [
      'POST',
      '/v2/acme/app/blobs/uploads/?mount=sha256:x&from=%22,%20NOT%20A%20NAME',
      `${REALM},scope="repository:acme/app:pull,push"`,
    ],
    ['GET', '/v2/alpine/manifests/3', `${REALM},scope="repository:alpine:pull"`],
  ];
  for (const [method, path, expected] of challenges) {
    it(`of ${method} ${path} names the scope that it needs`, async ({ expect }) => {
      for (const authorization of [null, basic('admin', 'wrong'), 'Bearer a.b.c']) {
        const response = await send(registryApp(), path, { method, authorization });
        expect(response.status).toBe(401);
        expect(response.headers.get('WWW-Authenticate')).toBe(expected);
      }
    });
  }

  it('has scheme, host and port of the request', async ({ expect }) => {
    const response = await send(registryApp(), '/v2/', { origin: 'http://localhost:8787' });
    expect(response.headers.get('WWW-Authenticate')).toBe(
      'Bearer realm="http://localhost:8787/v2/auth",service="localhost:8787"',
    );
  });
});

describe('requireAccess', () => {
  it('answers an illegal name with 400, whoever asks', async ({ expect }) => {
    for (const authorization of [null, basic('admin', ADMIN_PASSWORD)]) {
      const path = '/v2/Acme/app/manifests/latest';
      const response = await send(registryApp(), path, { authorization });
      expect(response.status).toBe(400);
      expect(await response.json()).toEqual({
        errors: [
          {
            code: 'NAME_INVALID',
            message: 'invalid repository name',
            detail: { name: 'Acme/app' },
          },
        ],
      });
    }
  });

  it('takes alpine and library/alpine for one repository', async ({ expect }) => {
    for (const [asked, path] of [
      ['alpine', '/v2/library/alpine/manifests/3'],
      ['library/alpine', '/v2/alpine/manifests/3'],
    ]) {
      const authorization = await bearer([`repository:${asked}:pull`]);
      expect((await send(registryApp(), path ?? '', { authorization })).status).toBe(200);
    }
  });

  it('lets a caller without credentials do what the rights allow', async ({ expect }) => {
    const app = registryApp();
    await publicAlpine();
    expect((await send(app, '/v2/alpine/manifests/3')).status).toBe(200);
    expect((await send(app, '/v2/alpine/manifests/3', { method: 'DELETE' })).status).toBe(401);
    expect((await send(app, PULL[1])).status).toBe(401);
  });

  it('refuses bad credentials even what no credentials would get', async ({ expect }) => {
    const app = registryApp();
    await publicAlpine();
    const authorization = basic('admin', 'wrong');
    expect((await send(app, '/v2/alpine/manifests/3', { authorization })).status).toBe(401);
  });
});

/** The status of a mount into acme/app. */
async function mount(from: string, authorization: string): Promise<number> {
  const path = `/v2/acme/app/blobs/uploads/?mount=sha256:x&from=${from}`;
  return (await send(registryApp(), path, { method: 'POST', authorization })).status;
}

/** Someone who may push to acme/app and read acme/base, and not acme/other. */
async function aPusher() {
  const registry = openTestRegistry();
  const robot = await anAccount('acme+ci');
  for (const [path, role] of [
    ['app', 'write'],
    ['base', 'read'],
    ['other', null],
  ] as const) {
    const name = parseRepositoryName(`acme/${path}`) as RepositoryName;
    const { id } = await aRepository(registry, name);
    if (role !== null) {
      await giveRight(robot, id, role);
    }
  }
  return robot;
}

describe('a mount', () => {
  it('with a token that lacks the source goes by the rights of its subject', async ({ expect }) => {
    const { name } = await aPusher();
    const subject = { kind: 'account', name } as const;
    const authorization = await bearer(['repository:acme/app:push'], { subject });
    expect(await mount('acme/base', authorization)).toBe(201);
    expect(await mount('acme/other', authorization)).toBe(202);
    expect(await mount('acme/none', authorization)).toBe(202);
    const admins = await bearer(['repository:acme/app:push']);
    expect(await mount('acme/other', admins)).toBe(201);
  });

  it('takes the word of a token that has the source', async ({ expect }) => {
    const { name } = await aPusher();
    const subject = { kind: 'account', name } as const;
    const scopes = ['repository:acme/app:push', 'repository:acme/other:pull'];
    expect(await mount('acme/other', await bearer(scopes, { subject }))).toBe(201);
  });

  it('goes by the rights of a caller by Basic', async ({ expect }) => {
    const { name, secret } = await aPusher();
    expect(await mount('acme/base', basic(name, secret))).toBe(201);
    expect(await mount('acme/other', basic(name, secret))).toBe(202);
  });
});

describe('a missing secret', () => {
  it('fails every request with the sentence that says which', async ({ expect }) => {
    const authorizations = [
      null,
      basic('admin', ADMIN_PASSWORD),
      basic('admin', ''),
      await bearer(['repository:acme/app:*']),
    ];
    const broken = [
      [authDeps({ adminPassword: undefined }), 'ADMIN_PASSWORD'],
      [authDeps({ adminPassword: '' }), 'ADMIN_PASSWORD'],
      [authDeps({ tokenSigningKey: undefined }), 'TOKEN_SIGNING_KEY'],
      [authDeps({ tokenSigningKey: 'nonsense' }), 'TOKEN_SIGNING_KEY'],
    ] as const;
    for (const [deps, secret] of broken) {
      for (const authorization of authorizations) {
        for (const [method, path] of ROUTES) {
          const response = await send(registryApp(deps), path, { method, authorization });
          expect(response.status).toBe(503);
          expect(await response.text()).toContain(`The secret ${secret} is not`);
        }
      }
    }
  });
});
