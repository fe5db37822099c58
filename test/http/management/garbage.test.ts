import { describe, it } from 'vitest';

import { anAccount, giveRight } from '../../support/accounts.ts';
import { ADMINISTRATOR, aName, basic, pushImage, send } from '../../support/http.ts';
import { execute, select } from '../../support/stage.ts';

const jsonOf = ({ text }: { text: string }): Record<string, unknown> =>
  JSON.parse(text) as Record<string, unknown>;

const plan = (of: string): string => `/api/v1/repository/${of}/garbage/plan`;

describe('the garbage endpoints', () => {
  it('say why an image is kept, plan its end, collect it, and say why it went', async ({
    expect,
  }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = `/api/v1/repository/${name}`;
    const why = `${path}/manifest/${digest}/why`;
    const kept = await send('GET', why);
    expect([kept.status, jsonOf(kept)]).toEqual([
      200,
      {
        digest,
        kept: true,
        reasons: [{ kind: 'tag', name: 'v1', until: null }],
        more_reasons: 0,
        goes_at: null,
      },
    ]);
    await execute('UPDATE namespace SET removed_tag_expiration_s = 0');
    await send('DELETE', `/v2/${name}/manifests/v1`);
    const planned = await send('GET', plan(name));
    expect(jsonOf(planned)).toMatchObject({ tags: 1, manifests: 1, complete: true });
    const collected = await send('POST', `${path}/garbage/collect`);
    expect(jsonOf(collected)).toMatchObject({ removed: { tags: 1, manifests: 1 }, more: false });
    const gone = await send('GET', why);
    expect(jsonOf(gone)).toMatchObject({ kept: false, removed: { reason: 'unreferenced' } });
    const log = await send('GET', `${path}/garbage/log?tag=v1`);
    expect(jsonOf(log)).toMatchObject({ removals: [{ kind: 'tag', name: 'v1', digest }] });
    const audit = await send('GET', '/api/v1/garbage/audit');
    expect(jsonOf(audit)).toEqual({ finished: null, running: null });
  });

  it('answer unknown and forbidden alike, and name what is wrong', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const [row] = await select('SELECT id FROM repository');
    const [reader, stranger] = [await anAccount('acme2+ci'), await anAccount('ada')];
    await giveRight(reader, Number(row?.['id']), 'read');
    const as = async (path: string, authorization: string | null = null) => {
      const answer = await send('GET', path, { authorization });
      return [answer.status, jsonOf(answer)['error_type']];
    };
    const strangers = basic(stranger.name, stranger.secret);
    expect(await as(plan(name), strangers)).toEqual([403, 'insufficient_scope']);
    expect(await as(plan('acme/none'), strangers)).toEqual([403, 'insufficient_scope']);
    expect(await as(plan(name))).toEqual([401, 'invalid_token']);
    expect(await as(plan('acme/none'))).toEqual([401, 'invalid_token']);
    expect(await as(plan(name), basic('ada', 'wrong'))).toEqual([401, 'invalid_token']);
    expect(await as(plan(name), basic(reader.name, reader.secret))).toEqual([
      403,
      'insufficient_scope',
    ]);
    expect(await as(plan('acme/none'), ADMINISTRATOR)).toEqual([404, 'not_found']);
    expect(await as('/api/v1/garbage/audit', strangers)).toEqual([403, 'insufficient_scope']);
    expect(await as('/api/v1/garbage/audit', `Bearer ${stranger.secret}`)).toEqual([
      403,
      'insufficient_scope',
    ]);
    const bad = await send('GET', `/api/v1/repository/${name}/garbage/log?limit=0&page=2`);
    expect([bad.status, jsonOf(bad)['error_message']]).toEqual([
      400,
      expect.stringMatching(/^(limit|page|query)/),
    ]);
  });
});

describe('the document of the management API', () => {
  it('has every endpoint by its path, and says which errors it may give', async ({ expect }) => {
    const answer = await send('GET', '/api/v1/openapi.json');
    const { openapi, paths } = jsonOf(answer) as {
      openapi: string;
      paths: Record<string, Record<string, { responses: object }>>;
    };
    expect(openapi).toBe('3.1.0');
    const why = paths['/repository/{repository}/manifest/{digest}/why']?.['get'];
    expect(Object.keys(why?.responses ?? {})).toEqual(['200', '400', '401', '403', '404', '500']);
    expect(Object.keys(paths).filter((path) => path.includes('.+'))).toEqual([]);
  });

  it('is where the types of errors are described', async ({ expect }) => {
    const known = await send('GET', '/api/v1/error/not_found');
    expect(jsonOf(known)).toMatchObject({ title: 'not_found' });
    const unknown = await send('GET', '/api/v1/error/constructor');
    expect([unknown.status, jsonOf(unknown)['error_type']]).toEqual([404, 'not_found']);
  });
});
