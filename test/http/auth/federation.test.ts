import { type JWK, SignJWT, decodeJwt, decodeProtectedHeader, importJWK } from 'jose';
import { describe, it } from 'vitest';

import { addSeconds } from '../../../src/model/time.ts';
import { anAccount, giveRight } from '../../support/accounts.ts';
import { HOUR_MS, SECOND_MS } from '../../support/clock.ts';
import { errorsOf, refusal, send } from '../../support/http.ts';
import { FakeIssuer, ISSUER_PATHS, publicHalf } from '../../support/issuer.ts';
import { execute } from '../../support/stage.ts';
import { aSigningJwk, basic } from './auth-fixture.ts';
import { EXCHANGE, REGISTRY, aFederatedRegistry, federationLog } from './federation-fixture.ts';

interface Exchanged {
  readonly token: string;
}

describe('a job that exchanges its token', () => {
  it('pulls with what it gets, as docker login does and by Basic, for an hour', async ({
    expect,
  }) => {
    const world = await aFederatedRegistry();
    const { issuer, clock, claims, exchange, ask, repositoryPath, meter, robot, nowSec } = world;
    const answers = [];
    for (const key of issuer.keys) {
      answers.push(await exchange(await issuer.token(claims(), { key })));
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    const [answer] = answers;
    const { token } = JSON.parse(answer?.text ?? '') as Exchanged;
    expect(JSON.parse(answer?.text ?? '')).toEqual({
      token,
      expires_in: 3600,
      issued_at: '2026-11-01T00:00:00.000Z',
    });
    expect(answer?.headers.get('Cache-Control')).toBe('no-cache, no-store, must-revalidate');
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', kid: 'key-1', typ: 'robot+jwt' });
    expect(decodeJwt(token)).toEqual({
      iss: 'berth',
      aud: REGISTRY,
      sub: 'acme+ci',
      robot_id: robot.id,
      iat: nowSec(),
      nbf: nowSec(),
      exp: nowSec() + 3600,
      jti: expect.any(String) as unknown,
    });

    const manifest = `${repositoryPath}/manifests/latest`;
    const scope = `repository:${repositoryPath.slice('/v2/'.length)}:pull,push`;
    const logIn = () =>
      ask('GET', `/v2/auth?scope=${scope}`, { authorization: basic('acme+ci', token) });
    const pull = () => ask('GET', manifest, { authorization: basic('acme+ci', token) });
    const login = await logIn();
    expect(login.status).toBe(200);
    const bearer = (JSON.parse(login.text) as Exchanged).token;
    expect(decodeJwt(bearer)).toMatchObject({ sub: 'acme+ci', access: [{ actions: ['pull'] }] });
    const byBearer = await ask('GET', manifest, { authorization: `Bearer ${bearer}` });
    expect(byBearer.status).toBe(200);
    const before = meter.usage.d1RoundTrips;
    expect((await pull()).status).toBe(200);
    expect(meter.usage.d1RoundTrips - before).toBe(1);
    const push = await ask('POST', `${repositoryPath}/blobs/uploads/`, {
      authorization: basic('acme+ci', token),
    });
    expect(refusal(push)).toBe('401 UNAUTHORIZED');

    // The rule that it was given by may go; it stays good, but not for longer than its hour.
    await world.operations.replaceTrustRules(robot.id, []);
    expect(refusal(await exchange(await issuer.token(claims())))).toBe('401 UNAUTHORIZED');
    clock.advance(HOUR_MS + 29 * SECOND_MS);
    expect([(await logIn()).status, (await pull()).status]).toEqual([200, 200]);
    clock.advance(SECOND_MS);
    expect([(await logIn()).status, (await pull()).status]).toEqual([401, 401]);
  });

  it('is out as soon as its robot is, also if another gets its name', async ({ expect }) => {
    const { ask, password, robot, repositoryPath, repository } = await aFederatedRegistry();
    const authorization = basic('acme+ci', await password());
    const pull = async () =>
      [
        (await ask('GET', `${repositoryPath}/manifests/latest`, { authorization })).status,
        (await ask('GET', '/v2/auth', { authorization })).status,
      ] as const;
    expect(await pull()).toEqual([200, 200]);
    await execute('UPDATE account SET enabled = 0 WHERE id = ?', robot.id);
    expect(await pull()).toEqual([401, 401]);
    await execute('UPDATE account SET enabled = 1 WHERE id = ?', robot.id);
    expect(await pull()).toEqual([200, 200]);
    await execute('DELETE FROM account WHERE id = ?', robot.id);
    expect(await pull()).toEqual([401, 401]);
    await giveRight(await anAccount('acme+ci'), repository.id, 'read');
    expect(await pull()).toEqual([401, 401]);
  });

  it('costs one statement, and asks its issuer only if it signs with a new key', async ({
    expect,
  }) => {
    const { issuer, claims, clock, exchange, meter } = await aFederatedRegistry();
    const exchanged = async (key?: JWK) => {
      const before = { ...meter.usage };
      const { status } = await exchange(await issuer.token(claims(), key ? { key } : {}));
      expect(meter.usage.d1RoundTrips - before.d1RoundTrips).toBe(status === 200 ? 1 : 0);
      expect(meter.usage.d1RowsWritten - before.d1RowsWritten).toBe(0);
      return [status, issuer.asked.length];
    };
    expect(await exchanged()).toEqual([200, 2]);
    expect(await exchanged()).toEqual([200, 2]);
    clock.advance(11 * SECOND_MS);
    const rotated = await issuer.addKey('new');
    expect(await exchanged(rotated)).toEqual([200, 4]);
    // Whoever invents key ids learns nothing, and has the issuer asked once in ten seconds.
    const stranger = await new FakeIssuer(issuer.url).addKey('invented');
    for (let attack = 0; attack < 5; attack += 1) {
      expect(await exchanged({ ...stranger, kid: `invented-${attack}` })).toEqual([401, 4]);
    }
    clock.advance(11 * SECOND_MS);
    expect(await exchanged(stranger)).toEqual([401, 6]);
    expect(await exchanged(stranger)).toEqual([401, 6]);
    issuer.keys.shift();
    clock.advance(600 * SECOND_MS);
    expect(await exchanged()).toEqual([200, 8]);
  });
});

describe('an exchange', () => {
  const audiences: readonly (readonly [string | null, string | string[], number])[] = [
    [null, REGISTRY, 200],
    [null, ['other.example.com', REGISTRY], 200],
    [null, `https://${REGISTRY}`, 401],
    ['sigstore', 'sigstore', 200],
    ['sigstore', REGISTRY, 401],
  ];
  it('is for the audience of the setting, or else the host that is asked', async ({ expect }) => {
    for (const [oidcAudience, aud, status] of audiences) {
      const { issuer, claims, exchange } = await aFederatedRegistry({ oidcAudience });
      const answer = await exchange(await issuer.token(claims({ aud })));
      expect([oidcAudience, aud, answer.status]).toEqual([oidcAudience, aud, status]);
      await execute('DELETE FROM account');
    }
  });

  it('allows clocks to differ by 30 seconds, and tokens to be without nbf and kid', async ({
    expect,
  }) => {
    const { issuer, claims, exchange, nowSec } = await aFederatedRegistry();
    for (const more of [
      { iat: nowSec() + 30, nbf: nowSec() + 30 },
      { iat: nowSec() - 329, nbf: undefined, exp: nowSec() - 29 },
      { iat: nowSec() - 86_000, exp: nowSec() + 86_000 },
    ]) {
      expect((await exchange(await issuer.token(claims(more)))).status).toBe(200);
    }
    const anonymous = await issuer.token(claims(), { header: { kid: undefined } });
    expect((await exchange(anonymous)).status).toBe(200);
  });

  it('is 503 while the issuer does not give its keys, and 401 for its unfit ones', async ({
    expect,
  }) => {
    const { issuer, clock, claims, exchange } = await aFederatedRegistry();
    issuer.answers.set(ISSUER_PATHS.discovery, () => new Response('', { status: 500 }));
    const lines = await federationLog(async () => {
      const answer = await exchange(await issuer.token(claims()));
      expect([answer.status, answer.headers.get('Retry-After')]).toEqual([503, '10']);
      expect(errorsOf(answer)).toEqual([
        {
          code: 'UNAVAILABLE',
          message: `the keys of ${issuer.url} cannot be had now; try again`,
        },
      ]);
    });
    expect(lines).toMatchObject([
      { level: 'error', outcome: 'unavailable', reason: expect.stringContaining('500') as unknown },
    ]);
    issuer.answers.clear();
    clock.advance(10 * SECOND_MS);
    const { n: _, ...unfit } = publicHalf(issuer.keys[0] ?? {});
    issuer.answers.set(ISSUER_PATHS.keys, () => Response.json({ keys: [{ ...unfit, n: 'AQAB' }] }));
    const [key] = issuer.keys;
    const answer = await exchange(await issuer.token(claims(), key ? { key } : {}));
    expect(refusal(answer)).toBe('401 UNAUTHORIZED');
  });

  it('is there only where issuers are allowed, and by GET', async ({ expect }) => {
    const { ask, exchange, issuer, claims } = await aFederatedRegistry();
    const off = await send('GET', EXCHANGE, { authorization: basic('acme+ci', 'a.b.c') });
    expect([off.status, errorsOf(off)]).toEqual([
      404,
      [
        {
          code: 'UNSUPPORTED',
          message: 'this registry takes no tokens of OpenID issuers: OIDC_ISSUERS names none',
        },
      ],
    ]);
    expect((await exchange(await issuer.token(claims()))).status).toBe(200);
    const posted = await ask('POST', EXCHANGE, { body: '' });
    expect([refusal(posted), posted.headers.get('Allow')]).toEqual([
      '405 UNSUPPORTED',
      'GET, HEAD',
    ]);
    expect((await ask('GET', '/oauth2/federation/robot', {})).status).toBe(404);
  });
});

describe('a robot’s password from an exchange', () => {
  it('is good for its robot, at its registry, as a password alone', async ({ expect }) => {
    const world = await aFederatedRegistry();
    const { ask, password, repositoryPath, clock } = world;
    const token = await password();
    const bearer = (
      JSON.parse(
        (await ask('GET', '/v2/auth', { authorization: basic('acme+ci', token) })).text,
      ) as Exchanged
    ).token;
    await anAccount('acme+other');
    await anAccount('acme');
    const signed = async (claims: object, jwk: JWK, typ = 'robot+jwt') =>
      new SignJWT({ ...decodeJwt(token), ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'key-1', typ })
        .sign(await importJWK(jwk, 'ES256'));
    const ours = JSON.parse(world.deps.tokenSigningKey ?? '') as JWK;
    const nowSec = world.nowSec();
    const cases: readonly (readonly [string, string, number])[] = [
      ['as it is', basic('acme+ci', token), 200],
      ['signed anew', basic('acme+ci', await signed({}, ours)), 200],
      ['as a bearer', `Bearer ${token}`, 401],
      ['a bearer as it', basic('acme+ci', bearer), 401],
      ['for another robot', basic('acme+other', token), 401],
      ['for a person', basic('acme', token), 401],
      ['for the administrator', basic('admin', token), 401],
      ['for whomever it belongs to', basic('$app', token), 401],
      ['with a part too many', basic('acme+ci', `${token}.x`), 401],
      ['of another registry', basic('acme+ci', await signed({ aud: 'x.test' }, ours)), 401],
      ['of another type', basic('acme+ci', await signed({}, ours, 'JWT')), 401],
      ['of another key', basic('acme+ci', await signed({}, await aSigningJwk())), 401],
      ['that lives longer', basic('acme+ci', await signed({ exp: nowSec + 3601 }, ours)), 401],
      ['without robot', basic('acme+ci', await signed({ robot_id: undefined }, ours)), 401],
      ['with a robot by text', basic('acme+ci', await signed({ robot_id: '1' }, ours)), 401],
      ['of a robot before', basic('acme+ci', await signed({ robot_id: 1000 }, ours)), 401],
      ['of somebody', basic('acme+ci', await signed({ sub: 'acme' }, ours)), 401],
    ];
    for (const [what, authorization, status] of cases) {
      const path = `${repositoryPath}/manifests/latest`;
      // Far enough apart that nobody is slowed down.
      clock.set(addSeconds(clock.nowMs(), 7));
      expect([what, (await ask('GET', path, { authorization })).status]).toEqual([what, status]);
      clock.set(addSeconds(clock.nowMs(), 7));
      const login = await ask('GET', '/v2/auth', { authorization });
      expect([what, login.status]).toEqual([what, status]);
    }
    clock.set(addSeconds(clock.nowMs(), 3631));
    const late = await ask('GET', '/v2/auth', { authorization: basic('acme+ci', token) });
    expect(late.status).toBe(401);
  });
});
