import { type JWTPayload, SignJWT, decodeJwt, decodeProtectedHeader, importJWK } from 'jose';
import { describe, it } from 'vitest';

import { ConfigurationError } from '../../../src/configuration-error.ts';
import { ADMINISTRATOR, ANONYMOUS } from '../../../src/http/auth/actor.ts';
import { parseScopes } from '../../../src/http/auth/scopes.ts';
import { mintToken, verifyToken } from '../../../src/http/auth/token.ts';
import { addSeconds } from '../../../src/model/time.ts';
import { HOST, NOW_MS, NOW_SEC, SIGNING_JWK, authDeps, clockAt } from './auth-fixture.ts';

const ACCESS = parseScopes(['repository:acme/app:pull,push', 'repository:alpine:pull'], HOST);
const CONTENT = { service: HOST, subject: ADMINISTRATOR, access: ACCESS };

const GOOD_CLAIMS: JWTPayload = {
  iss: 'berth',
  aud: HOST,
  sub: 'admin',
  iat: NOW_SEC,
  nbf: NOW_SEC,
  exp: NOW_SEC + 300,
  jti: 'one',
  access: [{ type: 'repository', name: 'acme/app', actions: ['pull', 'push'] }],
};
const GOOD_HEADER = { alg: 'ES256', kid: 'key-1', typ: 'JWT' };

/** A token that our own key signed, with whatever claims. */
async function signed(claims: Record<string, unknown> = {}): Promise<string> {
  return await new SignJWT({ ...GOOD_CLAIMS, ...claims })
    .setProtectedHeader(GOOD_HEADER)
    .sign(await importJWK(SIGNING_JWK, 'ES256'));
}

async function verify(token: string, nowMs = NOW_MS) {
  return await verifyToken(token, { ...authDeps({ clock: clockAt(nowMs) }), service: HOST });
}

describe('mintToken', () => {
  it('signs exactly the claims and the header that the protocol names', async ({ expect }) => {
    const { token, issuedAt, expiresInSec } = await mintToken(CONTENT, authDeps());
    expect({ issuedAt, expiresInSec }).toEqual({ issuedAt: NOW_SEC, expiresInSec: 300 });
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', kid: 'key-1', typ: 'JWT' });
    expect(decodeJwt(token)).toEqual({
      iss: 'berth',
      aud: HOST,
      sub: 'admin',
      iat: NOW_SEC,
      nbf: NOW_SEC,
      exp: NOW_SEC + 300,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
      access: [
        { type: 'repository', name: 'acme/app', actions: ['pull', 'push'] },
        { type: 'repository', name: 'alpine', actions: ['pull'] },
      ],
    });
  });

  it('gives each token an id of its own', async ({ expect }) => {
    const tokens = await Promise.all([
      mintToken(CONTENT, authDeps()),
      mintToken(CONTENT, authDeps()),
    ]);
    expect(new Set(tokens.map(({ token }) => decodeJwt(token).jti)).size).toBe(2);
  });

  it('calls a subject without a name (anonymous)', async ({ expect }) => {
    const { token } = await mintToken({ ...CONTENT, subject: ANONYMOUS }, authDeps());
    expect(decodeJwt(token).sub).toBe('(anonymous)');
    expect(await verify(token)).toMatchObject({ kind: 'bearer', subject: ANONYMOUS });
  });

  it('takes a lifetime of 60 to 3660 whole seconds, and verifies what it mints', async ({
    expect,
  }) => {
    for (const tokenTtlSec of [60, 3660]) {
      const { token } = await mintToken(CONTENT, authDeps({ tokenTtlSec }));
      expect(await verify(token)).not.toBeNull();
    }
    for (const tokenTtlSec of [0, -1, 59, 3661, 300.5, Number.NaN, Infinity]) {
      await expect(mintToken(CONTENT, authDeps({ tokenTtlSec }))).rejects.toMatchObject({
        setting: 'TOKEN_TTL_SEC',
        message: expect.stringContaining('60 to 3660') as unknown,
      });
    }
  });
});

describe('verifyToken', () => {
  it('gives the subject and the access that were minted', async ({ expect }) => {
    const { token } = await mintToken(CONTENT, authDeps());
    expect(await verify(token)).toEqual({ kind: 'bearer', subject: ADMINISTRATOR, access: ACCESS });
  });

  it('allows clocks to differ by 30 seconds', async ({ expect }) => {
    const { token } = await mintToken(CONTENT, authDeps());
    expect(await verify(token, addSeconds(NOW_MS, 329))).not.toBeNull();
    expect(await verify(token, addSeconds(NOW_MS, 330))).toBeNull();
    expect(await verify(token, addSeconds(NOW_MS, -30))).not.toBeNull();
    expect(await verify(token, addSeconds(NOW_MS, -31))).toBeNull();
  });

  it('takes the token that the refusals below are variations of', async ({ expect }) => {
    expect(await verify(await signed())).not.toBeNull();
  });

  const wrongClaims: readonly [string, Record<string, unknown>][] = [
    ['of another issuer', { iss: 'quay' }],
    ['without issuer', { iss: undefined }],
    ['for another service', { aud: 'other.example.com' }],
    ['for the same host at another port', { aud: `${HOST}:8443` }],
    ['without audience', { aud: undefined }],
    ['of somebody who cannot be', { sub: 'no body' }],
    ['without subject', { sub: undefined }],
    ['that has expired', { iat: NOW_SEC - 400, nbf: NOW_SEC - 400, exp: NOW_SEC - 100 }],
    ['without end', { exp: undefined }],
    ['that is not valid yet', { nbf: NOW_SEC + 60 }],
    ['without beginning', { nbf: undefined }],
    ['issued in the future', { iat: NOW_SEC + 60, exp: NOW_SEC + 300 }],
    ['without time of issue', { iat: undefined }],
    ['that lives for 3661 seconds', { exp: NOW_SEC + 3661 }],
    ['that lives for ever', { exp: Number.MAX_SAFE_INTEGER }],
    ['issued long ago for a long time', { iat: NOW_SEC - 90_000, exp: NOW_SEC + 300 }],
    ['with times that are text', { exp: String(NOW_SEC + 300) }],
    ['without id', { jti: undefined }],
    ['without access', { access: undefined }],
    ['with access that is no list', { access: 'repository:acme/app:pull' }],
    ['with access of another type', { access: [{ type: 'registry', name: 'a', actions: [] }] }],
    ['with an unknown action', { access: [{ type: 'repository', name: 'a', actions: ['x'] }] }],
  ];
  for (const [what, claims] of wrongClaims) {
    it(`refuses a token ${what}`, async ({ expect }) => {
      expect(await verify(await signed(claims))).toBeNull();
    });
  }

  it('refuses what is no token at all', async ({ expect }) => {
    for (const token of [
      '',
      'a',
      '..',
      'a.b.c',
      'e30.e30.',
      `${'A'.repeat(9000)}.A.A`,
      'a.b.c.d.e',
    ]) {
      expect(await verify(token)).toBeNull();
    }
  });

  it('fails where the secret is missing instead of refusing', async ({ expect }) => {
    const deps = authDeps({ tokenSigningKey: undefined });
    await expect(verifyToken(await signed(), { ...deps, service: HOST })).rejects.toThrow(
      ConfigurationError,
    );
  });
});
