import { describe, it } from 'vitest';

import { ADMINISTRATOR, basic, pushImage, send } from '../../support/http.ts';
import { errorOf, mistakeOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';

/** Makes a person, and gives what they log in with. */
async function aPerson(username: string): Promise<{ authorization: string }> {
  const made = await sendManaged('POST', '/superuser/users/', { json: { username } });
  const { token } = made.json as { token: { token_code: string } };
  return { authorization: basic(username, token.token_code) };
}

const statusOf = async (path: string, authorization: string | null): Promise<number> =>
  (await send('GET', path, { authorization })).status;

describe('accounts by HTTP', () => {
  it('begin with the administrator, who makes people and organizations', async ({ expect }) => {
    const made = await sendManaged('POST', '/superuser/users/', { json: { username: 'ada' } });
    expect([made.status, made.json]).toEqual([
      201,
      {
        username: 'ada',
        token: {
          uuid: expect.any(String),
          title: 'first token',
          created: expect.any(String),
          last_accessed: null,
          expiration: null,
          token_code: expect.stringMatching(/^[A-Z0-9]{64}$/),
        },
      },
    ]);
    expect(await sendManaged('POST', '/organization/', { json: { name: 'acme' } })).toMatchObject({
      status: 201,
      json: { name: 'acme' },
    });
    const bob = await aPerson('bob');
    for (const [path, json] of [
      ['/superuser/users/', { username: 'eve' }],
      ['/organization/', { name: 'evil' }],
    ] as const) {
      expect(errorOf(await sendManaged('POST', path, { json, ...bob }))).toEqual([
        403,
        'insufficient_scope',
      ]);
      const anonymous = await sendManaged('POST', path, { json, authorization: null });
      expect(errorOf(anonymous)[0]).toBe(401);
    }
    for (const username of ['ada', 'acme', 'admin', 'Ada', 'a/b', '']) {
      const again = await sendManaged('POST', '/superuser/users/', { json: { username } });
      expect([username, again.status]).toEqual([username, 400]);
    }
    const unknownField = { json: { username: 'eve', password: 'x' } };
    expect(await mistakeOf('POST', '/superuser/users/', unknownField)).toMatch(/password/);
  });

  it('have tokens, each good until it is revoked', async ({ expect }) => {
    const ada = await aPerson('ada');
    const json = { title: 'laptop', expiration: '2036-01-01T00:00:00Z' };
    const made = await sendManaged('POST', '/user/apptoken', { json, ...ada });
    const { token } = made.json as { token: { uuid: string; token_code: string } };
    expect(made.json).toMatchObject({ token: { expiration: 'Tue, 01 Jan 2036 00:00:00 -0000' } });
    const authorization = basic('ada', token.token_code);
    expect(await statusOf('/v2/', authorization)).toBe(200);
    const { json: listed } = await sendManaged('GET', '/user/apptoken', { authorization });
    const { tokens } = listed as { tokens: { title: string }[] };
    expect(tokens.map(({ title }) => title)).toEqual(['first token', 'laptop']);
    expect(JSON.stringify(listed)).not.toContain(token.token_code);
    const path = `/user/apptoken/${token.uuid}`;
    const bob = await aPerson('bob');
    expect(errorOf(await sendManaged('DELETE', path, bob))).toEqual([404, 'not_found']);
    expect((await sendManaged('DELETE', path, ada)).status).toBe(204);
    expect(await statusOf('/v2/', authorization)).toBe(401);
    expect(errorOf(await sendManaged('GET', '/user/apptoken'))).toEqual([
      403,
      'insufficient_scope',
    ]);
  });

  it('are robots that do what their rights and purpose allow', async ({ expect }) => {
    const ada = await aPerson('ada');
    await sendManaged('POST', '/organization/', { json: { name: 'acme' } });
    const member = '/organization/acme/members/ada';
    expect((await sendManaged('PUT', member, { json: { role: 'admin' } })).json).toEqual({
      name: 'ada',
      is_robot: false,
      role: 'admin',
    });
    const robots = '/organization/acme/robots';
    const content = { json: { description: 'deploys', purpose: 'pull' }, ...ada };
    const made = await sendManaged('PUT', `${robots}/deploy`, content);
    expect(made.status).toBe(201);
    const { token, name } = made.json as { token: string; name: string };
    expect(name).toBe('acme+deploy');
    expect((await sendManaged('PUT', `${robots}/deploy`, content)).status).toBe(400);

    await pushImage('acme/app', 'v1');
    const manifest = '/v2/acme/app/manifests/v1';
    const robot = basic(name, token);
    expect(await statusOf(manifest, robot)).toBe(401);
    const permission = '/repository/acme/app/permissions/user/acme+deploy';
    const given = await sendManaged('PUT', permission, { json: { role: 'write' }, ...ada });
    expect(given.json).toEqual({ name, role: 'write', is_robot: true, is_org_member: false });
    expect(await statusOf(manifest, robot)).toBe(200);
    const push = await send('POST', '/v2/acme/app/blobs/uploads/', { authorization: robot });
    expect(push.status).toBe(401);
    const all = await sendManaged('GET', '/repository/acme/app/permissions/user/', ada);
    expect(all.json).toEqual({ permissions: { [name]: given.json } });
    expect((await sendManaged('GET', permission, { authorization: robot })).status).toBe(403);

    const visibility = { json: { visibility: 'public' }, ...ada };
    expect(await statusOf(manifest, null)).toBe(401);
    await sendManaged('POST', '/repository/acme/app/changevisibility', visibility);
    expect(await statusOf(manifest, null)).toBe(200);
    visibility.json.visibility = 'private';
    await sendManaged('POST', '/repository/acme/app/changevisibility', visibility);
    expect(await statusOf(manifest, null)).toBe(401);
    const { json: renewed } = await sendManaged('POST', `${robots}/deploy/regenerate`, ada);
    const fresh = basic(name, (renewed as { token: string }).token);
    expect([await statusOf(manifest, robot), await statusOf(manifest, fresh)]).toEqual([401, 200]);
    expect((await sendManaged('DELETE', permission, ada)).status).toBe(204);
    expect(await statusOf(manifest, fresh)).toBe(401);
    expect((await sendManaged('DELETE', `${robots}/deploy`, ada)).status).toBe(204);
    expect(await statusOf('/v2/', fresh)).toBe(401);
    expect((await sendManaged('GET', robots, ada)).json).toEqual({ robots: [] });

    expect((await sendManaged('DELETE', member)).status).toBe(204);
    expect(errorOf(await sendManaged('GET', robots, ada))[0]).toBe(403);
    const { text } = await send('GET', '/api/v1/organization/acme/logs', {
      authorization: ADMINISTRATOR,
    });
    const kinds = (JSON.parse(text) as { logs: { kind: string }[] }).logs.map(({ kind }) => kind);
    expect(kinds).toEqual(
      expect.arrayContaining(['org_create', 'create_robot', 'regenerate_robot_token']),
    );
  });
});
