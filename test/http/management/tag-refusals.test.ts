import { describe, it } from 'vitest';

import { anAccount, giveRight } from '../../support/accounts.ts';
import { aName, pushImage } from '../../support/http.ts';
import { as, errorOf, firstRepositoryId, mistakeOf, tagsOf } from '../../support/management.ts';
import { type ManagedCall, sendManaged } from '../../support/openapi.ts';
import { execute } from '../../support/stage.ts';

describe('changes of tags by HTTP', () => {
  it('are refused with the field that is wrong, and change nothing', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = `/repository/${name}/tag`;
    const refusalOf = async (method: string, at: string, call: ManagedCall) =>
      mistakeOf(method, `${path}/${at}`, call);
    const put = async (json: unknown) => refusalOf('PUT', 'v1', { json });
    expect(await put({ expiration: 'tomorrow' })).toMatch(/^expiration/);
    expect(await put({ expiration: 1.5 })).toMatch(/^expiration/);
    expect(await put({ expiration: 1e15 })).toMatch(/^expiration/);
    expect(await put({ immutable: 'yes' })).toMatch(/^immutable/);
    expect(await put({ immutable: true, manifest_digest: 'latest' })).toMatch(/^manifest_digest/);
    expect(await put({ immutable: true, colour: 'red' })).toMatch(/colour/);
    expect(await put({})).toMatch(/expiration, immutable or manifest_digest/);
    expect(await put([])).toMatch(/^body/);
    expect(await refusalOf('PUT', 'v1', {})).toMatch(/./);
    const broken = { headers: { 'Content-Type': 'application/json' }, body: '{"immutable":' };
    expect(await refusalOf('PUT', 'v1', broken)).toMatch(/JSON/);
    const large = { ...broken, body: `{"manifest_digest":"${'x'.repeat(1_100_000)}"}` };
    expect(errorOf(await sendManaged('PUT', `${path}/v1`, large))).toEqual([
      413,
      'payload_too_large',
    ]);
    expect(await refusalOf('PUT', '-v1', { json: { immutable: true } })).toMatch(/^tag/);
    expect(await refusalOf('POST', 'v1/restore', { json: {} })).toMatch(/^manifest_digest/);
    expect(await refusalOf('POST', 'v1/expire', { json: { is_alive: 1 } })).toMatch(/^manifest/);
    // All of it is looked at before any of it is done.
    const half = { immutable: true, manifest_digest: `sha256:${'0'.repeat(64)}` };
    expect(errorOf(await sendManaged('PUT', `${path}/v1`, { json: half }))).toEqual([
      404,
      'not_found',
    ]);
    const { tags } = await tagsOf(name);
    expect(tags).toMatchObject([{ name: 'v1', manifest_digest: digest, immutable: false }]);
  });

  it('need the right to write, in a repository that takes writes', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const [reader, puller] = [
      await anAccount('acme2+ci'),
      await anAccount('acme2+k8s', { purpose: 'pull' }),
    ];
    await giveRight(reader, await firstRepositoryId(), 'read');
    await giveRight(puller, await firstRepositoryId(), 'admin');
    const path = `/repository/${name}/tag`;
    const changes = [
      ['PUT', 'v1', { json: { immutable: true } }],
      ['DELETE', 'v1', {}],
      ['POST', 'v1/restore', { json: { manifest_digest: digest } }],
      ['POST', 'v1/expire', { json: { manifest_digest: digest } }],
    ] as const;
    for (const [method, at, call] of changes) {
      for (const by of [reader, puller]) {
        const answer = await sendManaged(method, `${path}/${at}`, { ...call, ...as(by) });
        expect([method, ...errorOf(answer)]).toEqual([method, 403, 'insufficient_scope']);
      }
      const nobody = await sendManaged(method, `${path}/${at}`, { ...call, authorization: null });
      expect(errorOf(nobody)).toEqual([401, 'invalid_token']);
      const there = await sendManaged(method, `/repository/acme/none/tag/${at}`, {
        ...call,
        ...as(reader),
      });
      expect(errorOf(there)).toEqual([403, 'insufficient_scope']);
      const none = await sendManaged(method, `/repository/acme/none/tag/${at}`, call);
      expect(errorOf(none)).toEqual([404, 'not_found']);
    }
    expect((await sendManaged('GET', `${path}/`, as(puller))).status).toBe(200);
    for (const state of [1, 2]) {
      await execute(`UPDATE repository SET state = ${state}`);
      for (const [method, at, call] of changes) {
        const answer = await sendManaged(method, `${path}/${at}`, call);
        expect([method, ...errorOf(answer)]).toEqual([method, 503, 'read_only']);
      }
      expect((await sendManaged('GET', `${path}/`)).status).toBe(200);
    }
    // A namespace that is closed is closed here too, but for who may open it.
    await execute(`UPDATE repository SET state = 0, visibility = 'public'`);
    expect((await sendManaged('GET', `${path}/`, { authorization: null })).status).toBe(200);
    await execute(`UPDATE namespace SET enabled = 0 WHERE name = 'acme'`);
    expect(errorOf(await sendManaged('GET', `${path}/`, as(reader)))[0]).toBe(403);
    expect(errorOf(await sendManaged('GET', `${path}/`, { authorization: null }))[0]).toBe(401);
    expect((await tagsOf(name)).tags).toMatchObject([
      { immutable: false, manifest_digest: digest },
    ]);
  });

  it('are called by a repository that is called like a path of its own', async ({ expect }) => {
    const { digest } = await pushImage('acme/tag/tag', 'tag');
    expect((await tagsOf('acme/tag/tag')).tags).toMatchObject([{ manifest_digest: digest }]);
    const deleted = await sendManaged('DELETE', '/repository/acme/tag/tag/tag/tag');
    expect([deleted.status, deleted.text]).toEqual([204, '']);
  });
});
