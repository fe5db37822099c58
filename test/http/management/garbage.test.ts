import { describe, it } from 'vitest';

import { anAccount, giveRight } from '../../support/accounts.ts';
import { ADMINISTRATOR, aName, basic, pushImage, send } from '../../support/http.ts';
import { type ManagedAnswer, sendManaged } from '../../support/openapi.ts';
import { execute, select } from '../../support/stage.ts';

const jsonOf = ({ json }: ManagedAnswer) => json as Record<string, unknown>;

const plan = (of: string): string => `/repository/${of}/garbage/plan`;

describe('the garbage endpoints', () => {
  it('say why an image is kept, plan its end, collect it, and say why it went', async ({
    expect,
  }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const path = `/repository/${name}`;
    const why = `${path}/manifest/${digest}/why`;
    const kept = await sendManaged('GET', why);
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
    const planned = await sendManaged('GET', plan(name));
    expect(jsonOf(planned)).toMatchObject({ tags: 1, manifests: 1, complete: true });
    const collected = await sendManaged('POST', `${path}/garbage/collect`);
    expect(jsonOf(collected)).toMatchObject({ removed: { tags: 1, manifests: 1 }, more: false });
    const gone = await sendManaged('GET', why);
    expect(jsonOf(gone)).toMatchObject({ kept: false, removed: { reason: 'unreferenced' } });
    const log = await sendManaged('GET', `${path}/garbage/log?tag=v1`);
    expect(jsonOf(log)).toMatchObject({ removals: [{ kind: 'tag', name: 'v1', digest }] });
    const audit = await sendManaged('GET', '/garbage/audit');
    expect(jsonOf(audit)).toEqual({ finished: null, running: null });
  });

  it('answer unknown and forbidden alike, and name what is wrong', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const [row] = await select('SELECT id FROM repository');
    const [reader, stranger] = [await anAccount('acme2+ci'), await anAccount('ada')];
    await giveRight(reader, Number(row?.['id']), 'read');
    const as = async (path: string, authorization: string | null = null) => {
      const answer = await sendManaged('GET', path, { authorization });
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
    expect(await as('/garbage/audit', strangers)).toEqual([403, 'insufficient_scope']);
    expect(await as('/garbage/audit', `Bearer ${stranger.secret}`)).toEqual([
      403,
      'insufficient_scope',
    ]);
    const bad = await sendManaged('GET', `/repository/${name}/garbage/log?limit=0&page=2`);
    expect([bad.status, jsonOf(bad)['error_message']]).toEqual([
      400,
      expect.stringMatching(/^(limit|page|query)/),
    ]);
  });
});
