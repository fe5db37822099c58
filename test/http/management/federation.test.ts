import { describe, it } from 'vitest';

import { aNamespace, addMember, anAccount } from '../../support/accounts.ts';
import { isolateWith } from '../../support/isolate.ts';
import { as, errorOf, mistakeOf } from '../../support/management.ts';
import { sendManaged } from '../../support/openapi.ts';

const GITHUB = 'https://token.actions.githubusercontent.com';
const PATH = '/organization/acme/robots/ci/federation';

/** A robot, an admin of its organization and a stranger, where tokens of one issuer are taken. */
async function openWorld() {
  const via = await isolateWith({ OIDC_ISSUERS: GITHUB });
  // Who asks first starts it, with what was set.
  await via('GET', '/health/instance');
  await anAccount('acme+ci');
  const ada = await anAccount('ada');
  await addMember(ada, await aNamespace('acme'), 'admin');
  return { via, ada: as(ada), eve: as(await anAccount('eve')) };
}

describe('the trust rules of a robot', () => {
  it('are set all at once, listed, and taken away by its admins', async ({ expect }) => {
    const { via, ada } = await openWorld();
    const call = { ...ada, via };
    const main = { issuer: GITHUB, subject: 'repo:acme/app:ref:refs/heads/main' };
    const tags = { issuer: GITHUB, subject: 'repo:acme/app:ref:refs/tags/*' };
    expect((await sendManaged('GET', PATH, call)).json).toEqual([]);
    for (const rules of [[main, tags], [tags], [main]]) {
      const replaced = await sendManaged('POST', PATH, { ...call, json: rules });
      expect([replaced.status, replaced.json]).toEqual([200, rules]);
      expect((await sendManaged('GET', PATH, call)).json).toEqual(rules);
    }
    expect((await sendManaged('DELETE', PATH, call)).status).toBe(204);
    expect((await sendManaged('GET', PATH, call)).json).toEqual([]);
    const { json } = await sendManaged('GET', '/organization/acme/logs', call);
    const { logs } = json as { logs: { kind: string; metadata: object }[] };
    expect(logs.map(({ kind }) => kind)).toEqual([
      'delete_robot_federation',
      ...Array.from({ length: 3 }, () => 'create_robot_federation'),
    ]);
    expect(logs[1]?.metadata).toMatchObject({
      robot: 'acme+ci',
      rules: [`${GITHUB} ${main.subject}`],
    });
  });

  it('are of known issuers, and say whose subjects they are; else nothing changes', async ({
    expect,
  }) => {
    const { via, ada } = await openWorld();
    const call = { ...ada, via };
    const rule = { issuer: GITHUB, subject: 'repo:acme/app:*' };
    await sendManaged('POST', PATH, { ...call, json: [rule] });
    const mistake = (json: unknown) => mistakeOf('POST', PATH, { ...call, json });
    expect(await mistake([{ ...rule, issuer: 'https://evil.test' }])).toMatch(/evil\.test/);
    expect(await mistake([{ ...rule, subject: 'repo:*' }])).toMatch(/strangers/);
    expect(await mistake([{ ...rule, audience: 'x' }])).toMatch(/audience/);
    expect(await mistake([{ issuer: GITHUB }])).toMatch(/subject/);
    expect(await mistake(rule)).toMatch(/array/);
    expect(await mistake(Array.from({ length: 51 }, () => rule))).toMatch(/50/);
    expect((await sendManaged('GET', PATH, call)).json).toEqual([rule]);
  });

  it('are nobody else’s to read or change', async ({ expect }) => {
    const { via, ada, eve } = await openWorld();
    for (const [method, json] of [['GET'], ['POST', []], ['DELETE']] as const) {
      const body = json === undefined ? {} : { json };
      const ask = async (who: object, path = PATH) =>
        errorOf(await sendManaged(method, path, { ...body, ...who, via }));
      expect(await ask(eve)).toEqual([403, 'insufficient_scope']);
      expect(await ask({ authorization: null })).toEqual([401, 'invalid_token']);
      expect(await ask(eve, PATH.replace('acme', 'none'))).toEqual([403, 'insufficient_scope']);
      expect(await ask(ada, PATH.replace('/ci/', '/none/'))).toEqual([404, 'not_found']);
    }
  });
});
