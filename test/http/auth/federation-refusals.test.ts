import { type JWK, SignJWT, UnsecuredJWT, exportSPKI, importJWK } from 'jose';
import { describe, it } from 'vitest';

import { anAccount } from '../../support/accounts.ts';
import { refusal } from '../../support/http.ts';
import { FakeIssuer, publicHalf } from '../../support/issuer.ts';
import { basic } from './auth-fixture.ts';
import {
  EXCHANGE,
  MAIN,
  REGISTRY,
  aFederatedRegistry,
  federationLog,
} from './federation-fixture.ts';

type World = Awaited<ReturnType<typeof aFederatedRegistry>>;
type Attack = (world: World) => Promise<string> | string;
const withClaims =
  (more: (world: World) => object): Attack =>
  (world) =>
    world.issuer.token(world.claims(more(world)));
const keyOf = ({ issuer }: World, kid: string): JWK => {
  const key = issuer.keys.find((candidate) => candidate.kid === kid);
  if (key === undefined) {
    throw new Error(`no key ${kid}`);
  }
  return key;
};
const hmac = async (world: World, secret: string): Promise<string> =>
  new SignJWT({ iss: world.issuer.url, ...world.claims() })
    .setProtectedHeader({ alg: 'HS256', kid: 'rsa' })
    .sign(new TextEncoder().encode(secret));

const NO_ROBOT = 'it has no Basic credentials of a robot';
const NO_TRUST = 'no robot of that name trusts the subject';
const NO_ISSUER = 'it is no token of an issuer in OIDC_ISSUERS';
const BAD_SIGNATURE = 'signature verification failed';
const BAD_ALGORITHM = '"alg" (Algorithm) Header Parameter value not allowed';

/** Each is but one step away from a token that is exchanged. */
const refusals: readonly (readonly [what: string, why: string, attack: Attack, robot?: string])[] =
  [
    ['for another robot', NO_TRUST, withClaims(() => ({})), 'acme+other'],
    ['for a robot that is not there', NO_TRUST, withClaims(() => ({})), 'acme+nobody'],
    ['for a robot of another namespace', NO_TRUST, withClaims(() => ({})), 'other+ci'],
    ['for a person', NO_ROBOT, withClaims(() => ({})), 'acme'],
    ['for the administrator', NO_ROBOT, withClaims(() => ({})), 'admin'],
    ['for whomever it belongs to', NO_ROBOT, withClaims(() => ({})), '$app'],
    ['for no name', NO_ROBOT, withClaims(() => ({})), ''],
    ['for a robot that is disabled', NO_TRUST, withClaims(() => ({})), 'acme+disabled'],
    ['of another branch', NO_TRUST, withClaims(() => ({ sub: 'repo:acme/app:ref:refs/heads/x' }))],
    ['of a branch that begins alike', NO_TRUST, withClaims(() => ({ sub: `${MAIN}2` }))],
    ['without subject', 'missing required "sub" claim', withClaims(() => ({ sub: undefined }))],
    ['with an empty subject', 'it has no subject', withClaims(() => ({ sub: '' }))],
    ['with a subject that is a list', 'it has no subject', withClaims(() => ({ sub: [MAIN] }))],
    [
      'for another audience',
      'unexpected "aud" claim value',
      withClaims(() => ({ aud: 'other.example.com' })),
    ],
    [
      'for the host at another port',
      'unexpected "aud" claim value',
      withClaims(() => ({ aud: `${REGISTRY}:8443` })),
    ],
    ['without audience', 'missing required "aud" claim', withClaims(() => ({ aud: undefined }))],
    [
      'of an issuer that is not allowed',
      NO_ISSUER,
      withClaims(() => ({ iss: 'https://evil.example.com' })),
    ],
    [
      'of the issuer with a slash',
      NO_ISSUER,
      withClaims(({ issuer }) => ({ iss: `${issuer.url}/` })),
    ],
    [
      'of the issuer without TLS',
      NO_ISSUER,
      withClaims(({ issuer }) => ({ iss: issuer.url.replace('https', 'http') })),
    ],
    ['without issuer', NO_ISSUER, withClaims(() => ({ iss: undefined }))],
    [
      'with an issuer that is a list',
      NO_ISSUER,
      withClaims(({ issuer }) => ({ iss: [issuer.url] })),
    ],
    [
      'that is over',
      '"exp" claim timestamp check failed',
      withClaims(({ nowSec }) => ({ iat: nowSec() - 300, exp: nowSec() - 30 })),
    ],
    ['without end', 'missing required "exp" claim', withClaims(() => ({ exp: undefined }))],
    [
      'not valid yet',
      '"nbf" claim timestamp check failed',
      withClaims(({ nowSec }) => ({ nbf: nowSec() + 31 })),
    ],
    [
      'issued in the future',
      '"iat" claim timestamp check failed (it should be in the past)',
      withClaims(({ nowSec }) => ({ iat: nowSec() + 31 })),
    ],
    [
      'without time of issue',
      'missing required "iat" claim',
      withClaims(() => ({ iat: undefined })),
    ],
    [
      'older than a day',
      '"iat" claim timestamp check failed (too far in the past)',
      withClaims(({ nowSec }) => ({ iat: nowSec() - 86_431 })),
    ],
    [
      'without signature',
      BAD_ALGORITHM,
      ({ issuer, claims }) => new UnsecuredJWT({ iss: issuer.url, ...claims() }).encode(),
    ],
    [
      'signed with the public key as a secret',
      BAD_ALGORITHM,
      async (world) => {
        const key = await importJWK(publicHalf(keyOf(world, 'rsa')), 'RS256', {
          extractable: true,
        });
        return hmac(world, await exportSPKI(key as CryptoKey));
      },
    ],
    [
      'signed with the key set as a secret',
      BAD_ALGORITHM,
      (world) => hmac(world, JSON.stringify(publicHalf(keyOf(world, 'rsa')))),
    ],
    [
      "signed with a stranger's key of the same id",
      BAD_SIGNATURE,
      async ({ issuer, claims }) =>
        issuer.token(claims(), { key: await new FakeIssuer(issuer.url).addKey('ec') }),
    ],
    [
      'that brings its own key',
      BAD_SIGNATURE,
      async ({ issuer, claims }) => {
        const key = await new FakeIssuer(issuer.url).addKey('ec');
        return issuer.token(claims(), { key, header: { jwk: publicHalf(key), kid: undefined } });
      },
    ],
    [
      "with the other key's id",
      'the issuer has no key by which it is signed',
      async (world) =>
        world.issuer.token(world.claims(), {
          key: keyOf(world, 'ec'),
          header: { kid: 'rsa' },
        }),
    ],
    [
      'of which the subject was changed',
      BAD_SIGNATURE,
      async ({ issuer, claims }) => {
        const [header, , signature] = (await issuer.token(claims({ sub: 'repo:x/y' }))).split('.');
        const [, payload] = (await issuer.token(claims())).split('.');
        return [header, payload, signature].join('.');
      },
    ],
    [
      'of more than 16384 characters',
      'it has more than 16384 characters',
      withClaims(() => ({ filling: 'x'.repeat(16_384) })),
    ],
    ['that is one of ours', NO_ISSUER, ({ password }) => password()],
    ['that is no token', NO_ISSUER, () => 'a.b.c'],
    ['that is empty', NO_ISSUER, () => ''],
  ];

describe('an exchange', () => {
  it('refuses every token that is not good, all alike, and says why in the log', async ({
    expect,
  }) => {
    const world = await aFederatedRegistry();
    const { ask, operations, issuer } = world;
    await anAccount('acme+other');
    const disabled = await anAccount('acme+disabled', { isEnabled: false });
    await operations.replaceTrustRules(disabled.id, [{ issuer: issuer.url, subject: MAIN }]);
    for (const [what, why, attack, robot = 'acme+ci'] of refusals) {
      const token = await attack(world);
      const lines = await federationLog(async () => {
        const answer = await ask('GET', EXCHANGE, { authorization: basic(robot, token) });
        const challenge = answer.headers.get('WWW-Authenticate');
        expect([what, answer.status, challenge, answer.text]).toEqual([
          what,
          401,
          'Basic realm="robot federation"',
          '{"errors":[{"code":"UNAUTHORIZED","message":"the token does not stand for this robot"}]}',
        ]);
      });
      expect([what, lines]).toEqual([
        what,
        [expect.objectContaining({ event: 'federation', outcome: 'refused', reason: why })],
      ]);
      const parts = token.split('.').filter((part) => part.length > 10);
      expect(parts.filter((part) => JSON.stringify(lines).includes(part))).toEqual([]);
    }
    // What they are all variations of.
    expect((await world.exchange(await issuer.token(world.claims()))).status).toBe(200);
    for (const authorization of [null, 'Bearer x', 'Basic !', 'Basic eA==']) {
      expect(refusal(await ask('GET', EXCHANGE, { authorization }))).toBe('401 UNAUTHORIZED');
    }
  });
});
