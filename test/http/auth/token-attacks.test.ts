import {
  type JWK,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
  base64url,
  exportSPKI,
  importJWK,
} from 'jose';
import { describe, it } from 'vitest';

import { verifyToken } from '../../../src/http/auth/token.ts';
import {
  HOST,
  NOW_MS,
  NOW_SEC,
  SIGNING_JWK,
  aSigningJwk,
  authDeps,
  clockAt,
} from './auth-fixture.ts';

/** Rotation: the current key signs; tokens of the previous one are good, of an older one not. */
const CURRENT = SIGNING_JWK;
const PREVIOUS = await aSigningJwk({ kid: 'key-0' });
const OLDER = await aSigningJwk({ kid: 'key-00' });
const STRANGER = await aSigningJwk({ kid: 'key-1' });

const CLAIMS: JWTPayload = {
  iss: 'berth',
  aud: HOST,
  sub: 'admin',
  iat: NOW_SEC,
  nbf: NOW_SEC,
  exp: NOW_SEC + 300,
  jti: 'one',
  access: [{ type: 'repository', name: 'acme/app', actions: ['pull'] }],
};

/** A header that whoever does not know it must not pass over (RFC 7515, 4.1.11). */
const EXTENSION = 'https://example.com/strict';

interface Forgery {
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly jwk?: JWK;
}

async function forged({ claims = {}, header = {}, jwk = CURRENT }: Forgery = {}): Promise<string> {
  return new SignJWT({ ...CLAIMS, ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: jwk.kid ?? '', typ: 'JWT', ...header })
    .sign(await importJWK(jwk, 'ES256'), { crit: { [EXTENSION]: true } });
}

function publicHalf(jwk: JWK): JWK {
  const { d: _, ...rest } = jwk;
  return rest;
}

async function publicPem(jwk: JWK): Promise<string> {
  const key = await importJWK(publicHalf(jwk), 'ES256', { extractable: true });
  return exportSPKI(key as CryptoKey);
}

/** The classic confusion: what everybody may know, taken for a shared secret. */
async function hmac(secret: string, alg = 'HS256'): Promise<string> {
  return new SignJWT(CLAIMS)
    .setProtectedHeader({ alg, kid: 'key-1', typ: 'JWT' })
    .sign(new TextEncoder().encode(secret));
}

/** One part of a good token exchanged for another. */
async function withPart(index: 0 | 1 | 2, part: string): Promise<string> {
  const parts = (await forged()).split('.');
  parts[index] = part;
  return parts.join('.');
}

const encoded = (value: object): string => base64url.encode(JSON.stringify(value));

async function isTaken(token: string, host = HOST): Promise<boolean> {
  const deps = authDeps({
    tokenSigningKeyPrevious: JSON.stringify(publicHalf(PREVIOUS)),
    clock: clockAt(NOW_MS),
  });
  return (await verifyToken(token, { ...deps, service: host })) !== null;
}

const signatureOf = (token: string): string => token.split('.')[2] ?? '';
const elsewhere = 'https://attacker.example.com/keys';

describe('a token', () => {
  it('of the current key and of the previous one is good, of an older one not', async ({
    expect,
  }) => {
    expect(await isTaken(await forged())).toBe(true);
    expect(await isTaken(await forged({ jwk: PREVIOUS }))).toBe(true);
    expect(await isTaken(await forged({ jwk: OLDER }))).toBe(false);
    // Once the secret is taken away, so are the tokens of the key that it held.
    const without = { ...authDeps(), service: HOST };
    expect(await verifyToken(await forged({ jwk: PREVIOUS }), without)).toBeNull();
  });

  const attacks: readonly (readonly [string, () => Promise<string>])[] = [
    ['alg none, without signature', async () => new UnsecuredJWT(CLAIMS).encode()],
    [
      'alg none, with the signature of a good one',
      async () => withPart(0, encoded({ alg: 'none', kid: 'key-1', typ: 'JWT' })),
    ],
    [
      'alg NONE in other letters',
      async () => withPart(0, encoded({ alg: 'NoNe', kid: 'key-1', typ: 'JWT' })),
    ],
    ['HS256 with the public key as PEM', async () => hmac(await publicPem(CURRENT))],
    ['HS256 with that PEM trimmed', async () => hmac((await publicPem(CURRENT)).trim())],
    ['HS256 with the public key as JWK', async () => hmac(JSON.stringify(publicHalf(CURRENT)))],
    ['HS256 with x of the public key', async () => hmac(CURRENT.x ?? '')],
    [
      'HS512 with the public key as JWK',
      async () => hmac(JSON.stringify(publicHalf(CURRENT)), 'HS512'),
    ],
    ['an unknown kid', () => forged({ header: { kid: 'key-2' } })],
    ['no kid', () => forged({ header: { kid: undefined } })],
    ['an empty kid', () => forged({ header: { kid: '' } })],
    ['a kid that every object has', () => forged({ header: { kid: '__proto__' } })],
    ["the other key's kid", () => forged({ header: { kid: 'key-0' } })],
    [
      "our kid on the previous key's signature",
      () => forged({ jwk: { ...PREVIOUS, kid: 'key-1' } }),
    ],
    ["our kid on a stranger's signature", () => forged({ jwk: STRANGER })],
    [
      'an embedded jwk that verifies it',
      () => forged({ jwk: STRANGER, header: { jwk: publicHalf(STRANGER) } }),
    ],
    [
      'an embedded jwk and no kid',
      () => forged({ jwk: STRANGER, header: { kid: undefined, jwk: publicHalf(STRANGER) } }),
    ],
    ['a jku', () => forged({ jwk: STRANGER, header: { jku: elsewhere } })],
    ['an x5u', () => forged({ jwk: STRANGER, header: { x5u: elsewhere } })],
    ['an x5c', () => forged({ jwk: STRANGER, header: { x5c: [CURRENT.x ?? ''] } })],
    ['a critical extension', () => forged({ header: { crit: [EXTENSION], [EXTENSION]: 1 } })],
    ['another type', () => forged({ header: { typ: 'at+jwt' } })],
    ['no type', () => forged({ header: { typ: undefined } })],
    [
      'a payload with more rights under the old signature',
      async () =>
        withPart(
          1,
          encoded({
            ...CLAIMS,
            access: [{ type: 'repository', name: 'acme/app', actions: ['push', 'pull', '*'] }],
          }),
        ),
    ],
    [
      'the signature of another good token',
      async () => withPart(2, signatureOf(await forged({ claims: { sub: 'ada' } }))),
    ],
    ['no signature', () => withPart(2, '')],
    ['a signature of zeros', () => withPart(2, base64url.encode(new Uint8Array(64)))],
    [
      'a signature in DER',
      () => withPart(2, base64url.encode(Uint8Array.of(0x30, 6, 2, 1, 1, 2, 1, 1))),
    ],
    ['another audience', () => forged({ claims: { aud: 'other.example.com' } })],
    ['another issuer', () => forged({ claims: { iss: `https://${HOST}` } })],
    ['an end that is past', () => forged({ claims: { iat: NOW_SEC - 400, exp: NOW_SEC - 31 } })],
    ['a beginning that is to come', () => forged({ claims: { nbf: NOW_SEC + 31 } })],
    ['a life of more than an hour', () => forged({ claims: { exp: NOW_SEC + 3661 } })],
    ['an end that is no number', () => forged({ claims: { exp: '99999999999' } })],
    ...['iss', 'aud', 'sub', 'iat', 'nbf', 'exp', 'jti', 'access'].map(
      (name) => [`no ${name}`, () => forged({ claims: { [name]: undefined } })] as const,
    ),
  ];
  for (const [what, attack] of attacks) {
    it(`with ${what} is refused`, async ({ expect }) => {
      expect(await isTaken(await attack())).toBe(false);
    });
  }

  it('of another registry with the same keys is refused, in both directions', async ({
    expect,
  }) => {
    const other = 'other.example.com';
    const theirs = await forged({ claims: { aud: other } });
    const ours = await forged();
    expect([await isTaken(theirs), await isTaken(theirs, other)]).toEqual([false, true]);
    expect([await isTaken(ours), await isTaken(ours, other)]).toEqual([true, false]);
  });

  it('that our key signed is not judged by what else its header brings', async ({ expect }) => {
    const header = { jwk: publicHalf(STRANGER), jku: elsewhere, x5u: elsewhere };
    expect(await isTaken(await forged({ header }))).toBe(true);
  });
});
