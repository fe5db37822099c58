import { describe, it } from 'vitest';

import { addMember, anAccount, aNamespace, giveRight } from '../../support/accounts.ts';
import { aName, pushImage, send } from '../../support/http.ts';
import { as, errorOf, firstRepositoryId, mistakeOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';
import { execute, select } from '../../support/stage.ts';

interface Listing {
  readonly repositories: readonly { readonly namespace: string; readonly name: string }[];
  readonly next_page?: string;
}

async function listed(query: string, call: object = {}): Promise<Listing> {
  return (await sendManaged('GET', `/repository?${query}`, call)).json as Listing;
}

const namesOf = ({ repositories }: Listing) =>
  repositories.map(({ namespace, name }) => `${namespace}/${name}`);

const post = async (json: unknown) => mistakeOf('POST', '/repository', { json });

/** So many repositories of a namespace, `r000` and so on. */
async function addRepositories(namespace: string, count: number): Promise<void> {
  await execute(
    `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1})
      INSERT INTO repository (namespace_id, name)
      SELECT (SELECT id FROM namespace WHERE name = '${namespace}'), printf('r%03d', i) FROM n`,
  );
}

describe('the list of repositories', () => {
  it('has those that the caller may read, a page at a time', async ({ expect }) => {
    for (const name of ['acme', 'acme-labs', 'zoo']) {
      await aNamespace(name);
      await addRepositories(name, name === 'acme' ? 150 : 2);
    }
    await execute(`UPDATE repository SET visibility = 'public' WHERE name = 'r001'`);
    await execute(`UPDATE repository SET state = 3, name = 'gone' WHERE name = 'r149'`);
    const first = await listed('namespace=acme');
    expect(first.repositories).toHaveLength(100);
    expect(first.next_page).toMatch(/^[\w-]+$/);
    expect(first.repositories[1]).toEqual({
      namespace: 'acme',
      name: 'r001',
      kind: 'image',
      is_public: true,
      state: 'NORMAL',
      description: '',
    });
    const second = await listed(`namespace=acme&next_page=${first.next_page}`);
    expect([second.repositories.length, second.next_page]).toEqual([49, undefined]);
    expect(namesOf(second)).not.toContain('acme-labs/r000');

    const everyone = { authorization: null };
    // In byte order of the whole name `acme-labs/` comes before `acme/`.
    const open = await listed('public=true', everyone);
    expect(namesOf(open)).toEqual(['acme-labs/r001', 'acme/r001']);
    const rest = await listed(`public=true&next_page=${open.next_page}`, everyone);
    expect([namesOf(rest), rest.next_page]).toEqual([['zoo/r001'], undefined]);
    expect(namesOf(await listed('namespace=zoo', everyone))).toEqual(['zoo/r001']);
    const robot = await anAccount('zoo+ci');
    const [row] = await select(
      `SELECT r.id FROM repository r JOIN namespace n ON n.id = r.namespace_id
        WHERE n.name = 'zoo' AND r.name = 'r000'`,
    );
    await giveRight(robot, Number(row?.['id']), 'read');
    expect(namesOf(await listed('namespace=zoo', as(robot)))).toEqual(['zoo/r000', 'zoo/r001']);
    expect(namesOf(await listed('namespace=nobody'))).toEqual([]);
    for (const [query, field] of [
      ['', /namespace or public/],
      ['namespace=', /^namespace/],
      ['namespace=No', /^namespace/],
      ['public=maybe', /^public/],
      ['namespace=acme&next_page=zoo/r000', /^next_page/],
      ['namespace=acme&next_page=%00', /^next_page/],
      ['public=true&starred=true', /starred/],
    ] as const) {
      expect(await mistakeOf('GET', `/repository?${query}`)).toMatch(field);
    }
  });
});

describe('a repository by HTTP', () => {
  it('is made by who may make it, once', async ({ expect }) => {
    await aNamespace('acme');
    const [creator, member, person] = [
      await anAccount('ada'),
      await anAccount('bob'),
      await anAccount('acme+k8s', { purpose: 'pull' }),
    ];
    const acme = await aNamespace('acme');
    await addMember(creator, acme, 'creator');
    await addMember(member, acme, 'member');
    await addMember(person, acme, 'creator');
    const json = { namespace: 'acme', repository: 'web/app', visibility: 'public' };
    for (const by of [member, person]) {
      const refused = await sendManaged('POST', '/repository', { json, ...as(by) });
      expect(errorOf(refused)).toEqual([403, 'insufficient_scope']);
    }
    const nobody = await sendManaged('POST', '/repository', { json, authorization: null });
    expect(errorOf(nobody)).toEqual([401, 'invalid_token']);
    const made = await sendManaged('POST', '/repository', { json, ...as(creator) });
    expect([made.status, made.json]).toEqual([
      201,
      { namespace: 'acme', name: 'web/app', kind: 'image' },
    ]);
    const shown = await sendManaged('GET', '/repository/acme/web/app', as(creator));
    expect(shown.json).toMatchObject({ is_public: true, can_admin: true, tags: {} });
    expect(await post(json)).toMatch(/^repository: .*already/);
    const both = await Promise.all(
      [1, 2].map(() =>
        sendManaged('POST', '/repository', { json: { ...json, repository: 'raced' } }),
      ),
    );
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 400]);
    expect(await post({ ...json, repository: 'Web' })).toMatch(/^repository/);
    expect(await post({ ...json, repository: 'x'.repeat(255) })).toMatch(/^repository/);
    expect(await post({ ...json, namespace: 'a/b', repository: 'c' })).toMatch(/^namespace/);
    expect(await post({ ...json, visibility: 'secret' })).toMatch(/^visibility/);
    expect(await post({ ...json, repo_kind: 'application' })).toMatch(/^repo_kind/);
    expect(await post({ ...json, colour: 'red' })).toMatch(/colour/);
    expect(namesOf(await listed('namespace=acme'))).toEqual(['acme/raced', 'acme/web/app']);
  });

  it('is shown, takes no pushes for a while, and is deleted', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    await pushImage(name, 'v2');
    await send('DELETE', `/v2/${name}/manifests/v2`);
    const [writer, admin] = [await anAccount('acme+ci'), await anAccount('acme+ops')];
    await giveRight(writer, await firstRepositoryId(), 'write');
    await giveRight(admin, await firstRepositoryId(), 'admin');
    const path = `/repository/${name}`;
    const view = {
      namespace: 'acme',
      name: name.slice('acme/'.length),
      kind: 'image',
      is_public: false,
      state: 'NORMAL',
      description: '',
      is_organization: true,
      tag_expiration_s: 1_209_600,
      can_write: true,
      can_admin: false,
    };
    expect((await sendManaged('GET', path, as(writer))).json).toEqual({
      ...view,
      tags: {
        v1: {
          name: 'v1',
          size: 100,
          last_modified: expect.any(String),
          manifest_digest: digest,
        },
      },
    });
    const plain = await sendManaged('GET', `${path}?includeTags=false`, as(admin));
    expect(plain.json).toEqual({ ...view, can_admin: true });
    expect(await mistakeOf('GET', `${path}?includeTags=maybe`)).toMatch(/^includeTags/);

    const state = async (json: object, call: object = as(admin)) =>
      sendManaged('PUT', `${path}/changestate`, { json, ...call });
    expect(errorOf(await state({ state: 'READ_ONLY' }, as(writer)))[0]).toBe(403);
    expect((await state({ state: 'READ_ONLY' })).json).toEqual({ success: true });
    expect((await send('DELETE', `/v2/${name}/manifests/v1`)).status).toBe(403);
    expect((await sendManaged('GET', path)).json).toMatchObject({ state: 'READ_ONLY' });
    expect((await state({ state: 'NORMAL' })).status).toBe(200);
    for (const json of [{ state: 'MARKED_FOR_DELETION' }, { state: 3 }, {}]) {
      expect(await mistakeOf('PUT', `${path}/changestate`, { json })).toMatch(/^state/);
    }

    await sendManaged('PUT', `${path}/tag/v1`, { json: { immutable: true } });
    expect(errorOf(await sendManaged('DELETE', path, as(writer)))[0]).toBe(403);
    expect(errorOf(await sendManaged('DELETE', path, { authorization: null }))[0]).toBe(401);
    expect((await sendManaged('DELETE', path, as(admin))).status).toBe(204);
    for (const method of ['GET', 'DELETE']) {
      expect(errorOf(await sendManaged(method, path, as(admin)))[0]).toBe(403);
      expect(errorOf(await sendManaged(method, path))).toEqual([404, 'not_found']);
    }
    expect(errorOf(await state({ state: 'NORMAL' }, {}))).toEqual([404, 'not_found']);
    expect((await sendManaged('GET', path.replace('acme', 'nobody'), as(admin))).status).toBe(403);
    await pushImage(name, 'v1');
    expect((await sendManaged('GET', path)).json).toMatchObject({ can_admin: true });
  });

  it('is not mistaken for what is under another one', async ({ expect }) => {
    await pushImage('acme/app', 'v1');
    await pushImage('acme/app/tag', 'v1');
    expect((await sendManaged('DELETE', '/repository/acme/app/tag/v1')).status).toBe(204);
    expect(await select('SELECT name FROM repository WHERE state <> 3 ORDER BY name')).toEqual([
      { name: 'app' },
      { name: 'app/tag' },
    ]);
    expect((await sendManaged('GET', '/repository/acme/app/tag')).json).toMatchObject({
      tags: expect.any(Array),
    });
    await pushImage('acme/tag', 'v1');
    expect((await sendManaged('GET', '/repository/acme/tag')).json).toMatchObject({ name: 'tag' });
  });
});
