import { decodeJwt } from 'jose';
import { describe, it } from 'vitest';

import { parseRepositoryName, type RepositoryName } from '../../../src/model/names.ts';
import { aNamespace, anAccount, giveRight } from '../../support/accounts.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute } from '../../support/stage.ts';
import { ADMIN_PASSWORD, authDeps, basic, bearer, registryApp, send } from './auth-fixture.ts';

const ADMIN = basic('admin', ADMIN_PASSWORD);
const CHALLENGE = 'Bearer realm="https://berth.example.com/v2/auth",service="berth.example.com"';

interface TokenBody {
  token: string;
}

async function claims(response: Response): Promise<Record<string, unknown>> {
  return decodeJwt((await response.json<TokenBody>()).token);
}

describe('GET /v2/auth', () => {
  it('answers exactly the four fields, not to be stored', async ({ expect }) => {
    const response = await send(registryApp(), '/v2/auth', { authorization: ADMIN });
    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toBe('application/json');
    expect(response.headers.get('Cache-Control')).toBe('no-cache, no-store, must-revalidate');
    const body = await response.json<TokenBody>();
    expect(body).toEqual({
      token: body.token,
      access_token: body.token,
      expires_in: 300,
      issued_at: '2026-11-20T12:30:45.000Z',
    });
    expect(decodeJwt(body.token)).toMatchObject({ sub: 'admin', access: [] });
  });

  it('grants the administrator what is asked for, by the names that were asked', async ({
    expect,
  }) => {
    const query = new URLSearchParams([
      ['service', 'elsewhere'],
      ['scope', 'repository:acme/app:pull,push,delete repository:berth.example.com/alpine:pull'],
      ['scope', 'repository:alpine:*'],
      ['scope', 'registry:catalog:*'],
      ['account', 'admin'],
      ['client_id', 'docker'],
      ['offline_token', 'true'],
    ]);
    const response = await send(registryApp(), `/v2/auth?${query.toString()}`, {
      authorization: ADMIN,
    });
    expect(await claims(response)).toMatchObject({
      aud: 'berth.example.com',
      sub: 'admin',
      access: [
        { type: 'repository', name: 'acme/app', actions: ['pull', 'push'] },
        { type: 'repository', name: 'berth.example.com/alpine', actions: ['pull'] },
        { type: 'repository', name: 'alpine', actions: ['*'] },
      ],
    });
  });

  it('is for the host and port of the request', async ({ expect }) => {
    const origin = 'http://localhost:8787';
    const response = await send(registryApp(), '/v2/auth', { authorization: ADMIN, origin });
    expect(await claims(response)).toMatchObject({ aud: 'localhost:8787' });
  });

  it('gives an anonymous caller a token with no actions', async ({ expect }) => {
    const response = await send(registryApp(), '/v2/auth?scope=repository:acme/app:pull,push');
    expect(response.status).toBe(200);
    expect(await claims(response)).toMatchObject({
      sub: '(anonymous)',
      access: [{ type: 'repository', name: 'acme/app', actions: [] }],
    });
  });

  it('leaves out what the rights do not allow, and refuses nothing for it', async ({ expect }) => {
    const registry = openTestRegistry();
    const [alpine, app] = ['alpine', 'acme/app'].map(
      (name) => parseRepositoryName(name) as RepositoryName,
    );
    await registry.operations.ensureRepository(alpine as RepositoryName, { visibility: 'public' });
    const { id } = await aRepository(registry, app);
    const pusher = await anAccount('acme+ci', { purpose: 'push' });
    await giveRight(pusher, id, 'write');
    const path = '/v2/auth?scope=repository:alpine:pull,push+repository:acme/app:pull,push,*';
    const granted = async (authorization: string | null) => {
      const token = await claims(await send(registryApp(), path, { authorization }));
      return (token['access'] as { actions: string[] }[]).map(({ actions }) => actions.join());
    };
    expect(await granted(null)).toEqual(['pull', '']);
    expect(await granted(basic(pusher.name, pusher.secret))).toEqual(['', 'push']);
    expect(await granted(basic('$app', pusher.secret))).toEqual(['', 'push']);
    expect(await granted(ADMIN)).toEqual(['pull,push', 'pull,push,*']);
  });

  it('answers a caller without credentials and scope with 401', async ({ expect }) => {
    for (const path of ['/v2/auth', '/v2/auth/', '/v2/auth?scope=', '/v2/auth?service=x']) {
      const response = await send(registryApp(), path);
      expect(response.status).toBe(401);
      expect(response.headers.get('WWW-Authenticate')).toBe(CHALLENGE);
      expect(await response.json()).toEqual({
        errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }],
      });
    }
  });

  it('answers bad credentials with 401, whatever is asked for', async ({ expect }) => {
    const bad = [
      basic('admin', 'wrong'),
      basic('admin', ''),
      'Basic !',
      `Basic ${'A'.repeat(40_000)}`,
      'Negotiate abc',
      '',
      await bearer(['repository:acme/app:pull']),
    ];
    for (const authorization of bad) {
      for (const query of ['', '?scope=repository:acme/app:pull', '?scope=nonsense']) {
        const response = await send(registryApp(), `/v2/auth${query}`, { authorization });
        expect(response.status).toBe(401);
        expect(response.headers.get('WWW-Authenticate')).toBe(CHALLENGE);
        expect(await response.json()).toEqual({
          errors: [{ code: 'UNAUTHORIZED', message: 'invalid user name or password' }],
        });
      }
    }
  });

  it('answers 401 to who is not who they say', async ({ expect }) => {
    const { name, secret } = await anAccount('ada');
    const expired = await anAccount('late', { expiresMs: 1 });
    const disabled = await anAccount('gone', { isEnabled: false });
    for (const [username, password, status] of [
      [name, secret, 200],
      ['$app', secret, 200],
      [name, secret.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), 401],
      [name, secret.slice(0, 12), 401],
      [name, '', 401],
      ['bob', secret, 401],
      ['nobody', ADMIN_PASSWORD, 401],
      ['admin', secret, 401],
      [expired.name, expired.secret, 401],
      [disabled.name, disabled.secret, 401],
    ] as const) {
      for (const query of ['', '?scope=repository:acme/app:pull']) {
        const authorization = basic(username, password);
        const answer = await send(registryApp(), `/v2/auth${query}`, { authorization });
        expect([username, query, answer.status]).toEqual([username, query, status]);
      }
    }
  });

  it('answers a bad scope with 400', async ({ expect }) => {
    const notAScope = await send(registryApp(), '/v2/auth?scope=nonsense');
    expect(notAScope.status).toBe(400);
    expect(await notAScope.json()).toEqual({
      errors: [
        {
          code: 'UNSUPPORTED',
          message: "'nonsense' is not of the form 'repository:<name>:<actions>'",
          detail: { reason: 'SCOPE_INVALID' },
        },
      ],
    });
    const path = '/v2/auth?scope=repository:Acme/app:pull';
    const badName = await send(registryApp(), path, { authorization: ADMIN });
    expect(badName.status).toBe(400);
    expect(await badName.json()).toEqual({
      errors: [
        {
          code: 'NAME_INVALID',
          message: 'invalid repository name',
          detail: { name: 'Acme/app' },
        },
      ],
    });
  });

  it('answers 405 to whoever asks for a repository of a disabled namespace', async ({ expect }) => {
    const app = registryApp();
    for (const name of ['library', 'closed']) {
      await aNamespace(name);
      await execute('UPDATE namespace SET enabled = 0 WHERE name = ?', name);
    }
    const ask = (query: string, authorization: string | null) =>
      send(app, `/v2/auth?${query}`, { authorization });
    for (const authorization of [ADMIN, null]) {
      for (const query of [
        'scope=repository:alpine:pull',
        'scope=repository:closed/none:pull,push',
        'scope=repository:acme/app:pull&scope=repository:closed/app:pull',
        'scope=repository:acme/app:pull+repository:closed/app:*',
      ]) {
        const response = await ask(query, authorization);
        expect([query, response.status]).toEqual([query, 405]);
        const namespace = query.includes('alpine') ? 'library' : 'closed';
        expect(await response.json()).toEqual({
          errors: [
            {
              code: 'DENIED',
              message: `namespace '${namespace}' is disabled`,
              detail: { reason: 'NAMESPACE_DISABLED' },
            },
          ],
        });
      }
      expect((await ask('scope=repository:acme/closed:pull', authorization)).status).toBe(200);
    }
    const bad = await ask('scope=repository:closed/app:pull', basic('admin', 'wrong'));
    expect(bad.status).toBe(401);
  });

  it('answers other methods with 405', async ({ expect }) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const response = await send(registryApp(), '/v2/auth', { method, authorization: ADMIN });
      expect(response.status).toBe(405);
      expect(response.headers.get('Allow')).toBe('GET, HEAD');
      expect(await response.json()).toEqual({
        errors: [{ code: 'UNSUPPORTED', message: 'a token is asked for with GET' }],
      });
    }
  });

  it('fails as long as a secret is missing', async ({ expect }) => {
    const missing = [
      authDeps({ adminPassword: undefined }),
      authDeps({ adminPassword: '' }),
      authDeps({ tokenSigningKey: undefined }),
      authDeps({ tokenSigningKey: '{}' }),
    ];
    for (const deps of missing) {
      const path = '/v2/auth?scope=repository:acme/app:pull';
      expect((await send(registryApp(deps), path)).status).toBe(503);
    }
  });

  it('gives a token that the registry takes', async ({ expect }) => {
    const app = registryApp();
    const path = '/v2/auth?scope=repository:alpine:pull';
    const { token } = await (await send(app, path, { authorization: ADMIN })).json<TokenBody>();
    const authorization = `Bearer ${token}`;
    const response = await send(app, '/v2/library/alpine/manifests/latest', { authorization });
    expect([response.status, await response.text()]).toEqual([200, 'library/alpine']);
  });
});
