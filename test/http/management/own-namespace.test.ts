import { beforeEach, describe, it } from 'vitest';

import { addMember, aNamespace, anAccount, giveRight } from '../../support/accounts.ts';
import { basic, pushImage, send, sendAndSettle } from '../../support/http.ts';
import { as, errorOf, firstRepositoryId, mistakeOf } from '../../support/management.ts';
import { type ManagedCall, sendManaged } from '../../support/openapi.ts';

/** What she sends; what is to be written behind an answer is written when it comes. */
let ada: ManagedCall;
beforeEach(async () => {
  ada = { ...as(await anAccount('ada')), via: sendAndSettle };
});

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

/** The kinds of what was done in a namespace, the first first. */
async function deedsIn(namespace: string): Promise<readonly string[]> {
  const { json } = await sendManaged('GET', `/organization/${namespace}/logs`);
  const { logs } = json as { readonly logs: readonly { readonly kind: string }[] };
  return logs.map(({ kind }) => kind).toReversed();
}

describe('the own namespace of a person', () => {
  it('is read and changed without its name', async ({ expect }) => {
    const before = await sendManaged('GET', '/user', ada);
    expect(before.json).toMatchObject({ name: 'ada', kind: 'user', held_by_pull_days: 0 });
    const json = { tag_expiration_s: 86_400, held_by_pull_days: 7 };
    const changed = await sendManaged('PUT', '/user/', { ...ada, json });
    expect(changed.json).toEqual({ ...(before.json as object), ...json });
    expect((await sendManaged('GET', '/organization/ada')).json).toEqual(changed.json);
    expect(await deedsIn('ada')).toEqual(
      expect.arrayContaining(['user_change_tag_expiration', 'org_change']),
    );
    expect(await mistakeOf('PUT', '/user/', { ...ada, json: {} })).toMatch(/tag_expiration_s/);
    const window = { ...ada, json: { tag_expiration_s: 5 } };
    expect(await mistakeOf('PUT', '/user/', window)).toMatch(
      /^tag_expiration_s: is one of 0, 86400, 604800, 1209600, 2419200$/,
    );
    for (const method of ['GET', 'PUT']) {
      const call = method === 'PUT' ? { json } : {};
      expect(errorOf(await sendManaged(method, '/user', call))).toEqual([
        403,
        'insufficient_scope',
      ]);
    }
    const closed = { ...ada, json: { enabled: false } };
    expect(await mistakeOf('PUT', '/user/', closed)).toMatch(/enabled/);
  });

  it('has robots, which are the same as by its name', async ({ expect }) => {
    const json = { description: 'builds', unstructured_metadata: { team: 'shop', floor: 3 } };
    const made = await sendManaged('PUT', '/user/robots/ci', { ...ada, json });
    expect([made.status, made.json]).toMatchObject([201, { name: 'ada+ci', ...json }]);
    const { token, ...robot } = made.json as { readonly token: string };
    for (const path of ['/user/robots', '/organization/ada/robots']) {
      expect((await sendManaged('GET', path, ada)).json).toEqual({ robots: [robot] });
    }
    expect((await sendManaged('GET', '/user/robots/ci', ada)).json).toEqual(robot);
    const other = as(await anAccount('bob'));
    expect((await sendManaged('GET', '/user/robots', other)).json).toEqual({ robots: [] });
    expect(errorOf(await sendManaged('GET', '/user/robots/ci', other))).toEqual([404, 'not_found']);

    const renewed = await sendManaged('POST', '/user/robots/ci/regenerate', ada);
    expect((renewed.json as { readonly token: string }).token).not.toBe(token);
    expect((await sendManaged('DELETE', '/user/robots/ci', ada)).status).toBe(204);
    expect(errorOf(await sendManaged('GET', '/user/robots/ci', ada))).toEqual([404, 'not_found']);
    expect(await deedsIn('ada')).toEqual([
      'create_robot',
      'regenerate_robot_token',
      'delete_robot',
    ]);
  });

  it('has policies, which are the same as by its name', async ({ expect }) => {
    for (const [kind, json] of [
      ['immutabilitypolicy', { tagPattern: 'v.*', tagPatternMatches: true }],
      ['autoprunepolicy', { method: 'number_of_tags', value: 3 }],
    ] as const) {
      const made = await sendManaged('POST', `/user/${kind}`, { ...ada, json });
      const { uuid } = made.json as { readonly uuid: string };
      const { json: own } = await sendManaged('GET', `/user/${kind}`, ada);
      expect(own).toMatchObject({ policies: [{ uuid, ...json }] });
      expect((await sendManaged('GET', `/organization/ada/${kind}`)).json).toEqual(own);
      const gone = await sendManaged('DELETE', `/user/${kind}/${uuid}`, ada);
      expect([gone.status, gone.json]).toEqual([200, { uuid }]);
      expect((await sendManaged('GET', `/user/${kind}`, ada)).json).toEqual({ policies: [] });
    }
    expect(await deedsIn('ada')).toEqual([
      'create_immutability_policy',
      'delete_immutability_policy',
      'create_namespace_autoprune_policy',
      'delete_namespace_autoprune_policy',
    ]);
  });

  it('has a quota, which only the administrator makes', async ({ expect }) => {
    expect((await sendManaged('GET', '/user/quota', ada)).json).toEqual([]);
    expect(errorOf(await sendManaged('GET', '/user/quota/1', ada))).toEqual([404, 'not_found']);
    const json = { limit: '1 GiB', limits: [{ type: 'Reject', limit_percent: 100 }] };
    const made = await sendManaged('POST', '/organization/ada/quota', { json });
    expect((await sendManaged('GET', '/user/quota', ada)).json).toEqual([made.json]);
    expect((await sendManaged('GET', '/user/quota/1', ada)).json).toEqual(made.json);
  });

  it('is where a repository is made that names no namespace', async ({ expect }) => {
    const json = { repository: 'app', visibility: 'private', description: 'The shop.' };
    const made = await sendManaged('POST', '/repository', { ...ada, json });
    expect([made.status, made.json]).toEqual([
      201,
      { namespace: 'ada', name: 'app', kind: 'image' },
    ]);
    const listed = await sendManaged('GET', '/repository?namespace=ada&last_modified=true', ada);
    expect(listed.json).toMatchObject({
      repositories: [{ name: 'app', description: 'The shop.', last_modified: null }],
    });
    await pushImage('ada/app', 'v1');
    const { json: page } = await sendManaged('GET', '/repository/ada/app/tag/', ada);
    const [tag] = (page as { readonly tags: readonly { readonly start_ts: number }[] }).tags;
    const again = await sendManaged('GET', '/repository?namespace=ada&last_modified=true', ada);
    expect(again.json).toMatchObject({ repositories: [{ last_modified: tag?.start_ts }] });
    const { json: plain } = await sendManaged('GET', '/repository?namespace=ada', ada);
    expect(JSON.stringify(plain)).not.toContain('last_modified');
    expect(await mistakeOf('POST', '/repository', { json })).toMatch(/^namespace: /);
    const anonymous = await sendManaged('POST', '/repository', { authorization: null, json });
    expect(errorOf(anonymous)).toEqual([401, 'invalid_token']);
  });
});

describe('members of an organization', () => {
  it('see its quota and robots, and no robot that is kept to pulls does', async ({ expect }) => {
    const acme = await aNamespace('acme');
    await addMember(await anAccount('bob'), acme, 'admin');
    const member = await anAccount('eve');
    await addMember(member, acme, 'member');
    const robot = await anAccount('acme+pull', { purpose: 'pull' });
    await addMember(robot, acme, 'member');
    for (const path of ['/organization/acme/quota', '/organization/acme/robots']) {
      expect((await sendManaged('GET', path, as(member))).status).toBe(200);
      expect(errorOf(await sendManaged('GET', path, as(robot)))[0]).toBe(403);
      expect(errorOf(await sendManaged('GET', path, ada))[0]).toBe(403);
    }
    const one = await sendManaged('GET', '/organization/acme/robots/pull', as(member));
    expect(errorOf(one)).toEqual([403, 'insufficient_scope']);
  });
});

describe('a change of a robot', () => {
  it('leaves what it does not name, and shuts it out if told', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    const robot = await anAccount('acme+ci');
    await giveRight(robot, await firstRepositoryId(), 'write');
    const path = '/organization/acme/robots/ci';
    const change = async (json: object) =>
      (await sendManaged('PATCH', path, { json, via: sendAndSettle })).json;
    const { json: before } = await sendManaged('GET', path);
    const said = { description: 'builds', unstructured_metadata: { team: 'shop' } };
    expect(await change(said)).toEqual({ ...(before as object), ...said });
    const pull = async () => (await send('GET', '/v2/acme/app/manifests/v1', as(robot))).status;
    expect(await pull()).toBe(200);
    expect(await change({ enabled: false })).toMatchObject({ ...said, enabled: false });
    expect(await pull()).toBe(401);
    expect(await change({ enabled: true, purpose: 'push' })).toMatchObject({ purpose: 'push' });
    expect(await pull()).toBe(401);
    expect(await change({ purpose: 'pull' })).toMatchObject({ ...said, enabled: true });
    expect(await pull()).toBe(200);
    expect(await mistakeOf('PATCH', path, { json: {} })).toMatch(/expected description/);
    const kinds = await deedsIn('acme');
    expect(kinds.filter((kind) => kind === 'change_robot')).toHaveLength(4);
  });
});

describe('the rights of a robot', () => {
  it('are listed, a page at a time', async ({ expect }) => {
    for (const name of ['acme/app', 'acme/base/web']) {
      await pushImage(name, 'v1');
    }
    await sendManaged('PUT', '/organization/acme/robots/ci', { json: {} });
    for (const name of ['acme/app', 'acme/base/web']) {
      const path = `/repository/${name}/permissions/user/acme+ci`;
      const role = name === 'acme/app' ? 'read' : 'write';
      expect((await sendManaged('PUT', path, { json: { role } })).status).toBe(200);
    }
    await sendManaged('POST', '/repository/acme/app/changevisibility', {
      json: { visibility: 'public' },
    });
    const [first, second] = [
      { repository: { namespace: 'acme', name: 'app', is_public: true }, role: 'read' },
      { repository: { namespace: 'acme', name: 'base/web', is_public: false }, role: 'write' },
    ];
    const path = '/organization/acme/robots/ci/permissions';
    expect((await sendManaged('GET', path)).json).toEqual({ permissions: [first, second] });
    const { json: page } = await sendManaged('GET', `${path}?limit=1`);
    expect(page).toEqual({ permissions: [first], next_page: expect.any(String) });
    const { next_page: cursor } = page as { readonly next_page: string };
    const { json: last } = await sendManaged('GET', `${path}?limit=1&next_page=${cursor}`);
    expect(last).toEqual({ permissions: [second] });
    expect(await mistakeOf('GET', `${path}?next_page=none`)).toMatch(/^next_page: /);
    const unknown = await sendManaged('GET', '/organization/acme/robots/none/permissions');
    expect(errorOf(unknown)).toEqual([404, 'not_found']);
  });
});

describe('what somebody may do in a repository', () => {
  it('is told with all that it comes from', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    const eve = await anAccount('eve');
    const path = '/repository/acme/app/permissions/user/eve/transitive';
    expect(errorOf(await sendManaged('GET', path))).toEqual([404, 'not_found']);
    await giveRight(eve, await firstRepositoryId(), 'read');
    await addMember(eve, await aNamespace('acme'), 'admin');
    const grants = [
      { role: 'admin', by: 'organization-admin' },
      { role: 'read', by: 'right' },
    ];
    expect((await sendManaged('GET', path)).json).toEqual({ permissions: grants });
    expect((await sendManaged('GET', path, as(eve))).json).toEqual({ permissions: grants });
    expect(errorOf(await sendManaged('GET', path, ada))[0]).toBe(403);
    const nobody = path.replace('eve', 'none');
    expect(errorOf(await sendManaged('GET', nobody))).toEqual([404, 'not_found']);
  });

  it('is not given to who is not there, which is a mistake of the request', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    const role = { json: { role: 'read' } };
    const right = '/repository/acme/app/permissions/user/none';
    expect(await mistakeOf('PUT', right, role)).toBe("account: there is no account 'none'");
    const member = { json: { role: 'member' } };
    expect(await mistakeOf('PUT', '/organization/acme/members/none', member)).toMatch(/'none'/);
    const elsewhere = await sendManaged('PUT', '/organization/none/members/ada', member);
    expect(errorOf(elsewhere)).toEqual([404, 'not_found']);
  });
});

describe('the tokens of a person', () => {
  it('are read one by one, and those that end soon apart', async ({ expect }) => {
    for (const [title, expiration] of [
      ['forever', null],
      ['soon', inDays(27)],
      ['late', inDays(29)],
    ]) {
      await sendManaged('POST', '/user/apptoken', { ...ada, json: { title, expiration } });
    }
    const list = async (query = '') => {
      const { json } = await sendManaged('GET', `/user/apptoken${query}`, ada);
      return json as {
        readonly tokens: readonly { readonly title: string; readonly uuid: string }[];
        readonly only_expiring: boolean;
      };
    };
    const all = await list();
    expect(all.tokens.map(({ title }) => title)).toEqual(['a secret', 'forever', 'soon', 'late']);
    const { tokens, only_expiring: isOnly } = await list('?expiring=true');
    expect([tokens.map(({ title }) => title), isOnly]).toEqual([['soon'], true]);
    expect((await list('?expiring=false')).tokens).toHaveLength(4);
    const path = `/user/apptoken/${tokens[0]?.uuid}`;
    expect((await sendManaged('GET', path, ada)).json).toEqual({ token: tokens[0] });
    const bob = await anAccount('bob');
    expect(errorOf(await sendManaged('GET', path, as(bob)))).toEqual([404, 'not_found']);
    const wrong = { authorization: basic('ada', bob.secret) };
    expect(errorOf(await sendManaged('GET', path, wrong))[0]).toBe(401);
  });
});
