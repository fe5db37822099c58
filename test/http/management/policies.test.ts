import { describe, it } from 'vitest';

import { addMember, anAccount, aNamespace, giveRight } from '../../support/accounts.ts';
import { aName, pushImage, send } from '../../support/http.ts';
import { as, errorOf, firstRepositoryId, mistakeOf, tagsOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';
import { execute } from '../../support/stage.ts';

const NO_UUID = '00000000-0000-4000-8000-000000000000';

async function makePolicy(path: string, json: object): Promise<string> {
  const made = await sendManaged('POST', path, { json });
  if (made.status !== 201) {
    throw new Error(made.text);
  }
  return (made.json as { uuid: string }).uuid;
}

const locked = async (name: string) =>
  (await tagsOf(name, '?onlyActiveTags=true')).tags
    .filter((tag) => tag['immutable'])
    .map((tag) => String(tag['name']))
    .toSorted((one, other) => one.localeCompare(other));

const status = async (path: string, call: object) => (await sendManaged('GET', path, call)).status;

describe('immutability policies by HTTP', () => {
  it('of a repository and of its organization lock tags, and leave them so', async ({ expect }) => {
    const name = aName();
    for (const tag of ['v1', 'v2', 'latest', 'dev']) {
      await pushImage(name, tag);
    }
    const own = `/repository/${name}/immutabilitypolicy`;
    const uuid = await makePolicy(`${own}/`, { tagPattern: 'v1' });
    expect(await locked(name)).toEqual(['v1']);
    const policy = { uuid, tagPattern: 'v1', tagPatternMatches: true };
    expect((await sendManaged('GET', `${own}/`)).json).toEqual({ policies: [policy] });
    expect((await sendManaged('GET', `${own}/${uuid}`)).json).toEqual(policy);
    const json = { tagPattern: 'v.*', tagPatternMatches: true };
    expect((await sendManaged('PUT', `${own}/${uuid}`, { json })).status).toBe(204);
    expect(await locked(name)).toEqual(['v1', 'v2']);

    const shared = '/organization/acme/immutabilitypolicy';
    const other = await makePolicy(shared, { tagPattern: 'dev|v.*', tagPatternMatches: false });
    expect(await locked(name)).toEqual(['latest', 'v1', 'v2']);
    expect((await sendManaged('GET', shared)).json).toMatchObject({ policies: [{ uuid: other }] });
    await execute(`UPDATE tag SET immutable = 0 WHERE name = 'latest'`);
    const swept = await sendManaged('POST', `${shared}/${other}/sweep`, { json: {} });
    expect([swept.json, await locked(name)]).toEqual([{ locked: 1 }, ['latest', 'v1', 'v2']]);

    for (const path of [`${own}/${uuid}`, `${shared}/${other}`]) {
      expect((await sendManaged('DELETE', path)).status).toBe(200);
      for (const method of ['GET', 'DELETE']) {
        expect(errorOf(await sendManaged(method, path))).toEqual([404, 'not_found']);
      }
      expect(errorOf(await sendManaged('PUT', path, { json }))).toEqual([404, 'not_found']);
    }
    expect(await locked(name)).toEqual(['latest', 'v1', 'v2']);
  });

  it('are refused with the field that is wrong', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const path = `/repository/${name}/immutabilitypolicy`;
    await makePolicy(path, { tagPattern: 'x' });
    const post = async (json: unknown) => mistakeOf('POST', path, { json });
    expect(await post({})).toMatch(/^tagPattern/);
    expect(await post({ tagPattern: 1 })).toMatch(/^tagPattern/);
    expect(await post({ tagPattern: 'y', tagPatternMatches: 'no' })).toMatch(/^tagPatternMatches/);
    expect(await post({ tagPattern: 'y', colour: 'red' })).toMatch(/colour/);
    expect(await post({ tagPattern: '' })).toMatch(/pattern/);
    expect(await post({ tagPattern: '(' })).toMatch(/policy invalid/);
    expect(await post({ tagPattern: 'x'.repeat(257) })).toMatch(/256/);
    expect(await post({ tagPattern: 'x' })).toMatch(/already/);
    expect(await mistakeOf('GET', `${path}/1`)).toMatch(/^policy/);
    const { policies } = (await sendManaged('GET', path)).json as { policies: unknown[] };
    expect(policies).toHaveLength(1);
    expect(await locked(name)).toEqual([]);
  });
});

describe('retention policies by HTTP', () => {
  it('are kept, and planned without ending a tag', async ({ expect }) => {
    const name = aName();
    for (const tag of ['v1', 'v2', 'v3']) {
      await pushImage(name, tag);
    }
    const own = `/repository/${name}/autoprunepolicy`;
    const shared = '/organization/acme/autoprunepolicy';
    const uuid = await makePolicy(`${own}/`, { method: 'number_of_tags', value: 2 });
    const other = await makePolicy(shared, {
      method: 'creation_date',
      value: '2w',
      tagPattern: 'v1',
      tagPatternMatches: false,
    });
    expect((await sendManaged('GET', own)).json).toEqual({
      policies: [
        { uuid, method: 'number_of_tags', value: 2, tagPattern: null, tagPatternMatches: true },
      ],
    });
    const aged = {
      uuid: other,
      method: 'creation_date',
      value: '14d',
      tagPattern: 'v1',
      tagPatternMatches: false,
    };
    expect((await sendManaged('GET', `${shared}/${other}`)).json).toEqual(aged);
    const planned = async () =>
      (await sendManaged('GET', `/repository/${name}/autoprune/plan`)).json;
    expect(await planned()).toEqual({
      count: 1,
      tags: [{ name: 'v1', start_ts: expect.any(Number), policies: [uuid] }],
      complete: true,
    });
    const json = { method: 'number_of_tags', value: 5 };
    expect((await sendManaged('PUT', `${own}/${uuid}`, { json })).status).toBe(204);
    expect(await planned()).toMatchObject({ count: 0 });
    await sendManaged('PUT', `${shared}/${other}`, {
      json: { method: 'creation_date', value: '90m' },
    });
    expect((await sendManaged('GET', `${shared}/${other}`)).json).toMatchObject({
      value: '90m',
      tagPattern: null,
    });
    for (const path of [`${own}/${uuid}`, `${shared}/${other}`]) {
      expect((await sendManaged('DELETE', path)).status).toBe(200);
      expect(errorOf(await sendManaged('DELETE', path))).toEqual([404, 'not_found']);
      expect(errorOf(await sendManaged('GET', path))).toEqual([404, 'not_found']);
      expect(errorOf(await sendManaged('PUT', path, { json }))).toEqual([404, 'not_found']);
    }
    expect((await tagsOf(name, '?onlyActiveTags=true')).tags).toHaveLength(3);
  });

  it('are refused with the field that is wrong', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const path = `/repository/${name}/autoprunepolicy`;
    const number = { method: 'number_of_tags', value: 2 };
    await makePolicy(path, number);
    const post = async (json: unknown) => mistakeOf('POST', path, { json });
    expect(await post({})).toMatch(/^method/);
    expect(await post({ ...number, method: 'size' })).toMatch(/^method/);
    expect(await post({ ...number, value: '7d' })).toMatch(/^value/);
    expect(await post({ method: 'creation_date', value: 7 })).toMatch(/^value/);
    expect(await post({ method: 'creation_date', value: '7 days' })).toMatch(/^value/);
    expect(await post({ method: 'creation_date', value: '9999999999y' })).toMatch(/seconds/);
    expect(await post({ ...number, value: 0 })).toMatch(/tags/);
    expect(await post({ ...number, tagPatternMatches: false })).toMatch(/pattern/);
    expect(await post({ ...number, tagPattern: '(' })).toMatch(/policy invalid/);
    expect(await post({ ...number, colour: 'red' })).toMatch(/colour/);
    expect(await post(number)).toMatch(/already/);
    expect(await mistakeOf('DELETE', `${path}/1`)).toMatch(/^policy/);
    const { policies } = (await sendManaged('GET', path)).json as { policies: unknown[] };
    expect(policies).toHaveLength(1);
  });
});

describe('policies by HTTP', () => {
  it('are for admins of what they are about, and for no other', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const [writer, owner, ops] = [
      await anAccount('acme+ci'),
      await anAccount('ada'),
      await anAccount('acme+ops'),
    ];
    await giveRight(writer, await firstRepositoryId(), 'write');
    await giveRight(ops, await firstRepositoryId(), 'admin');
    await addMember(owner, await aNamespace('acme'), 'admin');
    for (const kind of ['immutabilitypolicy', 'autoprunepolicy']) {
      const ownPath = `/repository/${name}/${kind}`;
      const sharedPath = `/organization/acme/${kind}`;
      expect(await status(ownPath, as(writer))).toBe(403);
      expect(await status(ownPath, as(ops))).toBe(200);
      expect(await status(ownPath, as(owner))).toBe(200);
      expect(await status(ownPath, { authorization: null })).toBe(401);
      expect(await status(sharedPath, as(ops))).toBe(403);
      expect(await status(sharedPath, as(owner))).toBe(200);
      expect(await status(sharedPath, { authorization: null })).toBe(401);
      // Unknown and forbidden alike, but for the administrator.
      expect(await status(`/organization/nobody/${kind}`, as(owner))).toBe(403);
      expect(await status(`/organization/nobody/${kind}`, {})).toBe(404);
      expect(await mistakeOf('GET', `/organization/No-Body/${kind}`)).toMatch(/^organization/);
      const json = { tagPattern: 'v1', method: 'number_of_tags', value: 1 };
      for (const [method, path] of [
        ['POST', sharedPath],
        ['PUT', `${sharedPath}/${NO_UUID}`],
        ['DELETE', `${sharedPath}/${NO_UUID}`],
      ] as const) {
        const { tagPattern } = json;
        const sent = kind === 'autoprunepolicy' ? json : { tagPattern };
        const body = method === 'DELETE' ? {} : { json: sent };
        const answer = await sendManaged(method, path, { ...body, ...as(ops) });
        expect(errorOf(answer)).toEqual([403, 'insufficient_scope']);
      }
      expect((await sendManaged('GET', sharedPath)).json).toEqual({ policies: [] });
    }
    expect((await send('GET', `/v2/${name}/manifests/v1`)).status).toBe(200);
  });
});
