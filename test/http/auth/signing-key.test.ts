import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import { describe, it } from 'vitest';

import { requireSigningKey } from '../../../src/http/auth/signing-key.ts';
import { ConfigurationError } from '../../../src/http/configuration-error.ts';
import { SIGNING_JWK, aSigningJwk } from './auth-fixture.ts';

async function failure(tokenSigningKey: string | undefined): Promise<unknown> {
  return await requireSigningKey({ tokenSigningKey }).catch((error: unknown) => error);
}

describe('requireSigningKey', () => {
  it('takes the key id from the key', async ({ expect }) => {
    const { id } = await requireSigningKey({ tokenSigningKey: JSON.stringify(SIGNING_JWK) });
    expect(id).toBe('key-1');
  });

  it('calls a key without id by its thumbprint', async ({ expect }) => {
    const { kid: _, ...jwk } = SIGNING_JWK;
    const { id } = await requireSigningKey({ tokenSigningKey: JSON.stringify(jwk) });
    expect(id).toBe(await calculateJwkThumbprint(jwk));
  });

  it('imports the same text once, and another text anew', async ({ expect }) => {
    const tokenSigningKey = JSON.stringify(SIGNING_JWK);
    const other = JSON.stringify(await aSigningJwk({ kid: 'key-2' }));
    const first = await requireSigningKey({ tokenSigningKey });
    expect(await requireSigningKey({ tokenSigningKey })).toBe(first);
    expect((await requireSigningKey({ tokenSigningKey: other })).id).toBe('key-2');
    expect((await requireSigningKey({ tokenSigningKey })).id).toBe('key-1');
  });

  it('does not mind members that would restrict the import', async ({ expect }) => {
    const jwk = await aSigningJwk({ key_ops: ['sign'], use: 'sig', ext: false, alg: 'ES256' });
    expect((await requireSigningKey({ tokenSigningKey: JSON.stringify(jwk) })).id).toBe('key-1');
  });

  it('fails with a sentence that says how to set the secret', async ({ expect }) => {
    expect(await failure(undefined)).toMatchObject({
      name: 'ConfigurationError',
      setting: 'TOKEN_SIGNING_KEY',
      message:
        'The secret TOKEN_SIGNING_KEY is not set: set it to a private EC P-256 key as JSON text ' +
        '(a JWK) with `wrangler secret put TOKEN_SIGNING_KEY`, or in .dev.vars on a laptop.',
    });
  });

  it('refuses anything else, and never repeats it', async ({ expect }) => {
    const rsa = await generateKeyPair('RS256', { extractable: true });
    const p384 = await generateKeyPair('ES384', { extractable: true });
    const { d: secret = '', ...publicJwk } = await aSigningJwk();
    const malformed = [
      '',
      secret,
      `{"d":"${secret}"`,
      `"${secret}"`,
      `["${secret}"]`,
      JSON.stringify({ k: secret, kty: 'oct' }),
      JSON.stringify(publicJwk),
      JSON.stringify({ ...publicJwk, d: secret, kid: '' }),
      JSON.stringify({ ...publicJwk, d: secret, x: 'AAAA' }),
      JSON.stringify({ ...publicJwk, d: `${secret}!` }),
      JSON.stringify({ ...SIGNING_JWK, d: secret }),
      JSON.stringify(await exportJWK(rsa.privateKey)),
      JSON.stringify(await exportJWK(p384.privateKey)),
    ];
    for (const text of malformed) {
      const error = await failure(text);
      expect(error, text.slice(0, 20)).toBeInstanceOf(ConfigurationError);
      const { message, cause } = error as ConfigurationError;
      expect(message).toContain('TOKEN_SIGNING_KEY');
      expect(message).not.toContain(secret);
      expect(cause).toBeUndefined();
    }
  });
});
