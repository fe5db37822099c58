import { describe, it } from 'vitest';

import { addMember, aNamespace, anAccount, giveRight } from '../../support/accounts.ts';
import { pushImage, sendAndSettle } from '../../support/http.ts';
import { as, errorOf, messageOf, mistakeOf, tagsOf } from '../../support/management.ts';
import { type ManagedAnswer, sendManaged } from '../../support/openapi.ts';
import { execute, select } from '../../support/stage.ts';

const PATH = '/organization/acme/release';

interface View {
  readonly release: string;
  readonly undone_by?: string;
}
const viewOf = ({ json }: ManagedAnswer) => json as View;

async function repositoryId(name: string): Promise<number> {
  const [row] = await select('SELECT id FROM repository WHERE name = ?', name);
  return Number(row?.['id']);
}

/** Two repositories with a tag `stable`, and a newer image in each. */
async function arrange() {
  const repositories = ['acme/app', 'acme/web'];
  const images = [];
  for (const name of repositories) {
    const old = await pushImage(name, 'stable');
    const next = await pushImage(name, 'next');
    images.push({ name, old: old.digest, next: next.digest });
  }
  const moves = images.map(({ name, next }) => ({
    repository: name,
    tag: 'stable',
    manifest_digest: next,
  }));
  const digests = async () =>
    Promise.all(
      repositories.map(async (name) => {
        const { tags } = await tagsOf(name, '?specificTag=stable&onlyActiveTags=true');
        return tags[0]?.['manifest_digest'] ?? null;
      }),
    );
  const olds = images.map(({ old }) => old);
  const nexts = images.map(({ next }) => next);
  return { moves, digests, olds, nexts };
}

/** Puts `acme/web` into a state. */
const setState = (state: number) =>
  execute("UPDATE repository SET state = ? WHERE name = 'web'", state);

/** Someone with this right in both repositories. */
async function aWriter(name: string, ...roles: readonly ('read' | 'write')[]) {
  const account = await anAccount(name);
  for (const [index, role] of roles.entries()) {
    await giveRight(account, await repositoryId(['app', 'web'][index] ?? ''), role);
  }
  return account;
}

describe('a release by HTTP', () => {
  it('is made, shown, listed, and undone', async ({ expect }) => {
    const { moves, digests, olds, nexts } = await arrange();
    const made = await sendManaged('POST', PATH, { json: { moves } });
    expect(made.status).toBe(201);
    const { release } = viewOf(made);
    expect(made.json).toEqual({
      release,
      released_at: expect.any(String),
      performer: 'admin',
      moves: moves.map((move, index) => ({ ...move, previous_digest: olds[index] })),
    });
    expect(await digests()).toEqual(nexts);
    expect((await sendManaged('GET', `${PATH}/${release}`)).json).toEqual(made.json);
    const { tags } = await tagsOf('acme/app', '?specificTag=stable');
    expect(tags.map((tag) => tag['release'])).toEqual([release, undefined]);

    const undo = await sendManaged('POST', `${PATH}/${release}/undo`);
    expect(undo.status).toBe(201);
    expect(undo.json).toMatchObject({ undoes: release });
    expect(await digests()).toEqual(olds);
    const { undone_by: undoneBy } = viewOf(await sendManaged('GET', `${PATH}/${release}`));
    expect(undoneBy).toBe(viewOf(undo).release);
    const again = await sendManaged('POST', `${PATH}/${release}/undo`);
    expect(errorOf(again)).toEqual([409, 'conflict']);
    expect(messageOf(again)).toContain(undoneBy);

    const pages = [];
    let query = '?limit=1';
    while (query !== '') {
      const { json } = await sendManaged('GET', `${PATH}${query}`);
      const page = json as { releases: readonly View[]; next_page?: string };
      pages.push(page.releases.map((each) => each.release));
      query = page.next_page === undefined ? '' : `?limit=1&next_page=${page.next_page}`;
    }
    expect(pages).toEqual([[undoneBy], [release]]);
  });

  it('names the move that it is refused for, and changes nothing', async ({ expect }) => {
    const { moves, digests, olds } = await arrange();
    const [first, second] = moves;
    const refused = await sendManaged('POST', PATH, {
      json: {
        moves: [
          { ...first, if_digest: olds[0] },
          { ...second, if_digest: olds[0] },
        ],
      },
    });
    expect(errorOf(refused)).toEqual([409, 'conflict']);
    expect(refused.json).toMatchObject({
      move: {
        index: 1,
        repository: 'acme/web',
        tag: 'stable',
        reason: 'tag_moved',
        current_digest: olds[1],
      },
    });
    expect(messageOf(refused)).toMatch(/^moves\.1: /);
    expect(await digests()).toEqual(olds);
    const made = viewOf(await sendManaged('POST', PATH, { json: { moves } }));
    await pushImage('acme/app', 'stable');
    const undo = await sendManaged('POST', `${PATH}/${made.release}/undo`);
    expect([undo.status, undo.json]).toMatchObject([409, { move: { index: 0 } }]);
  });

  it('names what is wrong with a request', async ({ expect }) => {
    const { moves } = await arrange();
    const [move] = moves;
    for (const [json, field] of [
      [{}, /^moves/],
      [{ moves: [] }, /^moves/],
      [{ moves: Array.from({ length: 51 }, (_, n) => ({ ...move, tag: `t${n}` })) }, /^moves/],
      [{ moves: [{ ...move, colour: 'red' }] }, /colour/],
      [{ moves: [move], colour: 'red' }, /colour/],
      [{ moves: [{ ...move, tag: '-x' }] }, /^moves\.0\.tag/],
      [{ moves: [move, { ...move, manifest_digest: 'x' }] }, /^moves\.1\.manifest_digest/],
      [{ moves: [{ ...move, if_digest: 'x' }] }, /^moves\.0\.if_digest/],
      [{ moves: [{ ...move, repository: 'app' }] }, /^moves\.0\.repository/],
      [{ moves: [{ ...move, repository: 'other/app' }] }, /^moves\.0\.repository.*acme/],
      [{ moves: [move, move] }, /same tag/],
    ] as const) {
      expect(await mistakeOf('POST', PATH, { json })).toMatch(field);
    }
    expect(await mistakeOf('GET', `${PATH}?limit=101`)).toMatch(/^limit/);
    expect(await mistakeOf('GET', `${PATH}?next_page=x`)).toMatch(/^next_page/);
    expect(await mistakeOf('GET', `${PATH}/x`)).toMatch(/^release/);
    expect(await select('SELECT id FROM tag_release')).toEqual([]);
  });

  it('needs the right to write to each of its repositories', async ({ expect }) => {
    const { moves, digests, olds, nexts } = await arrange();
    const writer = as(await aWriter('ada', 'write', 'write'));
    const half = as(await aWriter('bob', 'write', 'read'));
    const post = async (caller: object, json: unknown = { moves }) =>
      errorOf(await sendManaged('POST', PATH, { ...caller, json }));
    expect(await post(half)).toEqual([403, 'insufficient_scope']);
    expect(await post({ authorization: null })).toEqual([401, 'invalid_token']);
    // One that is not there is answered like one that they may not write to.
    const unknown = [moves[0], { ...moves[1], repository: 'acme/unknown' }];
    const answers = [
      await sendManaged('POST', PATH, { ...half, json: { moves } }),
      await sendManaged('POST', PATH, { ...half, json: { moves: unknown } }),
    ];
    expect(answers[0]?.text).toBe(answers[1]?.text);
    expect(await post(writer, { moves: unknown })).toEqual([403, 'insufficient_scope']);
    expect(await post({}, { moves: unknown })).toEqual([404, 'not_found']);
    expect(await digests()).toEqual(olds);

    const made = await sendManaged('POST', PATH, { ...writer, json: { moves } });
    expect([made.status, made.json]).toMatchObject([201, { performer: 'ada' }]);
    const { release } = viewOf(made);
    const hidden = crypto.randomUUID();
    for (const [method, suffix] of [
      ['GET', ''],
      ['POST', '/undo'],
    ] as const) {
      const seen = await sendManaged(method, `${PATH}/${release}${suffix}`, half);
      const missing = await sendManaged(method, `${PATH}/${hidden}${suffix}`, half);
      expect(errorOf(seen)).toEqual([404, 'not_found']);
      expect(seen.text.replace(release, hidden).replace(release, hidden)).toBe(missing.text);
      const nobody = await sendManaged(method, `${PATH}/${release}${suffix}`, {
        authorization: null,
      });
      expect(errorOf(nobody)).toEqual([401, 'invalid_token']);
      const elsewhere = `/organization/other/release/${release}${suffix}`;
      expect((await sendManaged(method, elsewhere)).status).toBe(404);
    }
    expect(await digests()).toEqual(nexts);
    // All of them are for who administers the organization.
    expect(errorOf(await sendManaged('GET', PATH, writer))).toEqual([403, 'insufficient_scope']);
    const boss = await anAccount('eve');
    await addMember(boss, await aNamespace('acme'), 'admin');
    expect((await sendManaged('GET', PATH, as(boss))).json).toMatchObject({ releases: [{}] });
    expect((await sendManaged('POST', `${PATH}/${release}/undo`, writer)).status).toBe(201);
    expect(await digests()).toEqual(olds);
  });

  it('is refused while a repository takes no writes', async ({ expect }) => {
    const { moves, digests, olds, nexts } = await arrange();
    await setState(1);
    const refused = await sendManaged('POST', PATH, { json: { moves } });
    expect(errorOf(refused)).toEqual([503, 'read_only']);
    expect(await digests()).toEqual(olds);
    await setState(0);
    const { release } = viewOf(await sendManaged('POST', PATH, { json: { moves } }));
    await setState(1);
    const undo = await sendManaged('POST', `${PATH}/${release}/undo`);
    expect(errorOf(undo)).toEqual([503, 'read_only']);
    expect(await digests()).toEqual(nexts);
  });

  it('is in the audit log of each repository', async ({ expect }) => {
    const { moves } = await arrange();
    await execute('DELETE FROM audit_log');
    const made = await sendManaged('POST', PATH, { json: { moves }, via: sendAndSettle });
    const { release } = viewOf(made);
    const undo = await sendManaged('POST', `${PATH}/${release}/undo`, { via: sendAndSettle });
    const rows = await select('SELECT kind, repository_name, metadata FROM audit_log ORDER BY id');
    expect(
      rows.map((row) => [row['kind'], row['repository_name'], JSON.parse(String(row['metadata']))]),
    ).toEqual([
      ...['app', 'web'].map((name) => ['release_tags', name, { release, tags: ['stable'] }]),
      ...['app', 'web'].map((name) => [
        'undo_release',
        name,
        { release: viewOf(undo).release, undoes: release, tags: ['stable'] },
      ]),
    ]);
  });
});
