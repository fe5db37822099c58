import { describe, it } from 'vitest';

import { addMember, anAccount, aNamespace, giveRight } from '../../support/accounts.ts';
import { aName, pushImage, send } from '../../support/http.ts';
import { as, errorOf, firstRepositoryId, mistakeOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';

const ACME = '/organization/acme';

/** A repository in acme, and who administers all of it, or that repository alone. */
async function aWorld() {
  const name = aName();
  await pushImage(name, 'v1');
  const [owner, robot] = [await anAccount('ada'), await anAccount('acme+ops')];
  await addMember(owner, await aNamespace('acme'), 'admin');
  await giveRight(robot, await firstRepositoryId(), 'admin');
  return { name, owner, robot };
}

describe('an organization by HTTP', () => {
  it('is shown and changed by its admins, but enabled by the administrator alone', async ({
    expect,
  }) => {
    const { name, owner, robot } = await aWorld();
    const before = {
      name: 'acme',
      kind: 'organization',
      enabled: true,
      tag_expiration_s: 1_209_600,
      held_by_pull_days: 0,
      member_role: 'none',
    };
    expect((await sendManaged('GET', ACME, as(owner))).json).toEqual(before);
    const json = { tag_expiration_s: 86_400, held_by_pull_days: 30 };
    const changed = await sendManaged('PUT', ACME, { json, ...as(owner) });
    expect([changed.status, changed.json]).toEqual([200, { ...before, ...json }]);
    const disable = { json: { held_by_pull_days: 0, enabled: false } };
    expect(errorOf(await sendManaged('PUT', ACME, { ...disable, ...as(owner) }))[0]).toBe(403);
    expect((await sendManaged('GET', ACME)).json).toEqual({ ...before, ...json });
    expect((await sendManaged('PUT', ACME, disable)).json).toMatchObject({ enabled: false });
    expect((await send('GET', `/v2/${name}/manifests/v1`)).status).toBe(405);
    expect(errorOf(await sendManaged('GET', ACME, as(owner)))[0]).toBe(403);
    await sendManaged('PUT', ACME, { json: { enabled: true } });
    expect((await send('GET', `/v2/${name}/manifests/v1`)).status).toBe(200);

    for (const path of [ACME, `${ACME}/regions`, `${ACME}/quota`]) {
      expect(errorOf(await sendManaged('GET', path, as(robot)))).toEqual([
        403,
        'insufficient_scope',
      ]);
      expect(errorOf(await sendManaged('GET', path, { authorization: null }))[0]).toBe(401);
      const unknown = path.replace('acme', 'nobody');
      expect(errorOf(await sendManaged('GET', unknown, as(owner)))[0]).toBe(403);
      expect(errorOf(await sendManaged('GET', unknown))).toEqual([404, 'not_found']);
    }
    const unknown = await sendManaged('PUT', '/organization/nobody', { json });
    expect(errorOf(unknown)).toEqual([404, 'not_found']);
  });

  it('is refused what is no option, by name, and keeps what it has', async ({ expect }) => {
    await aWorld();
    const before = (await sendManaged('GET', ACME)).json;
    const put = async (json: unknown) => mistakeOf('PUT', ACME, { json });
    expect(await put({ tag_expiration_s: 60 })).toMatch(/^tag_expiration_s/);
    expect(await put({ tag_expiration_s: '2w' })).toMatch(/^tag_expiration_s/);
    expect(await put({ tag_expiration_s: 0, held_by_pull_days: 366 })).toMatch(/^held_by_pull/);
    expect(await put({ held_by_pull_days: 0.5 })).toMatch(/^held_by_pull_days/);
    expect(await put({ enabled: 'no' })).toMatch(/^enabled/);
    expect(await put({ name: 'other' })).toMatch(/name/);
    expect(await put({})).toMatch(/tag_expiration_s/);
    expect((await sendManaged('GET', ACME)).json).toEqual(before);
  });

  it('says which countries it does not serve', async ({ expect }) => {
    const { name, owner } = await aWorld();
    const path = `${ACME}/regions`;
    expect((await sendManaged('GET', path, as(owner))).json).toEqual({ mode: 'off', blocked: [] });
    const json = { mode: 'enforce', blocked: ['us', 'FR', 'US'] };
    const stored = { mode: 'enforce', blocked: ['FR', 'US'] };
    const put = await sendManaged('PUT', path, { json, ...as(owner) });
    expect([put.status, put.json]).toEqual([200, stored]);
    expect((await sendManaged('GET', path)).json).toEqual(stored);
    const pull = `/v2/${name}/manifests/v1`;
    expect((await send('GET', pull, { country: 'FR' })).status).toBe(403);
    const mistake = async (body: unknown) => mistakeOf('PUT', path, { json: body });
    expect(await mistake({ mode: 'off', blocked: ['DE', 'XX'] })).toMatch(/^blocked.1: 'XX'/);
    expect(await mistake({ mode: 'off', blocked: ['France'] })).toMatch(/^blocked/);
    expect(await mistake({ mode: 'deny', blocked: [] })).toMatch(/^mode/);
    expect(await mistake({ mode: 'off' })).toMatch(/^blocked/);
    expect(await mistake({ ...stored, colour: 'red' })).toMatch(/colour/);
    expect((await sendManaged('GET', path)).json).toEqual(stored);
    const unknown = await sendManaged('PUT', '/organization/nobody/regions', { json });
    expect(errorOf(unknown)).toEqual([404, 'not_found']);
  });
});

describe('a quota by HTTP', () => {
  it('is set, replaced and taken away by the administrator, and read by admins', async ({
    expect,
  }) => {
    const { owner } = await aWorld();
    const [path, one] = [`${ACME}/quota`, `${ACME}/quota/1`];
    expect((await sendManaged('GET', path, as(owner))).json).toEqual([]);
    const json = {
      limit: '10 GiB',
      limits: [
        { type: 'Reject', limit_percent: 100 },
        { type: 'Warning', limit_percent: 80 },
      ],
    };
    const view = {
      id: 1,
      limit_bytes: 10_737_418_240,
      limit: '10 GiB',
      used_bytes: expect.any(Number),
      default_config: false,
      limits: [
        { id: 1, type: 'Warning', limit_percent: 80 },
        { id: 2, type: 'Reject', limit_percent: 100 },
      ],
    };
    for (const method of ['GET', 'DELETE']) {
      expect(errorOf(await sendManaged(method, one))).toEqual([404, 'not_found']);
    }
    expect(errorOf(await sendManaged('PUT', one, { json }))).toEqual([404, 'not_found']);
    const made = await sendManaged('POST', path, { json });
    expect([made.status, made.json]).toEqual([201, view]);
    expect((made.json as { used_bytes: number }).used_bytes).toBeGreaterThan(100);
    expect(errorOf(await sendManaged('POST', path, { json }))).toEqual([409, 'conflict']);
    expect((await sendManaged('GET', path, as(owner))).json).toEqual([view]);
    expect((await sendManaged('GET', one, as(owner))).json).toEqual(view);
    for (const [method, at] of [
      ['POST', path],
      ['PUT', one],
      ['DELETE', one],
    ] as const) {
      const body = method === 'DELETE' ? {} : { json };
      const refused = await sendManaged(method, at, { ...body, ...as(owner) });
      expect(errorOf(refused)).toEqual([403, 'insufficient_scope']);
    }
    const replaced = await sendManaged('PUT', one, { json: { limit_bytes: 1500 } });
    expect(replaced.json).toMatchObject({ limit_bytes: 1500, limit: '1.46 KiB', limits: [] });
    expect((await sendManaged('DELETE', one)).status).toBe(204);
    expect((await sendManaged('GET', path)).json).toEqual([]);
    const unknown = await sendManaged('POST', '/organization/nobody/quota', { json });
    expect(errorOf(unknown)).toEqual([404, 'not_found']);
  });

  it('is refused with the field that is wrong', async ({ expect }) => {
    await aWorld();
    const path = `${ACME}/quota`;
    const post = async (json: unknown) => mistakeOf('POST', path, { json });
    expect(await post({})).toMatch(/limit_bytes or limit/);
    expect(await post({ limit: '1 GB', limit_bytes: 1 })).toMatch(/limit_bytes or limit/);
    expect(await post({ limit_bytes: 0 })).toMatch(/^limit_bytes/);
    expect(await post({ limit_bytes: 1e300 })).toMatch(/^limit_bytes/);
    for (const limit of ['', '10 apples', '-1 GB', '0 GB', '999999999 TiB']) {
      expect(await post({ limit })).toMatch(/^limit:/);
    }
    const limits = [{ type: 'Reject', limit_percent: 101 }];
    expect(await post({ limit: '1 GB', limits })).toMatch(/^limits\.0\.limit_percent/);
    const twice = [
      { type: 'Reject', limit_percent: 1 },
      { type: 'Reject', limit_percent: 2 },
    ];
    expect(await post({ limit: '1 GB', limits: twice })).toMatch(/^limits/);
    expect(await post({ limit: '1 GB', colour: 'red' })).toMatch(/colour/);
    expect(await mistakeOf('GET', `${path}/2`)).toMatch(/^quota/);
    expect((await sendManaged('GET', path)).json).toEqual([]);
  });
});
