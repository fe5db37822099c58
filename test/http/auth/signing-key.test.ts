import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import { describe, it } from 'vitest';

import { ConfigurationError } from '../../../src/configuration-error.ts';
import { requireSigningKeys } from '../../../src/http/auth/signing-key.ts';
import { SIGNING_JWK, aSigningJwk } from './auth-fixture.ts';

const keysOf = (tokenSigningKey: string | undefined, tokenSigningKeyPrevious?: string) =>
  requireSigningKeys({ tokenSigningKey, tokenSigningKeyPrevious });

async function failure(...secrets: Parameters<typeof keysOf>): Promise<unknown> {
  return await keysOf(...secrets).catch((error: unknown) => error);
}

describe('requireSigningKeys', () => {
  it('takes the key id from the key', async ({ expect }) => {
    const { signing, verifying } = await keysOf(JSON.stringify(SIGNING_JWK));
    expect([signing.id, ...verifying.keys()]).toEqual(['key-1', 'key-1']);
  });

  it('calls a key without id by its thumbprint', async ({ expect }) => {
    const { kid: _, ...jwk } = SIGNING_JWK;
    const { signing } = await keysOf(JSON.stringify(jwk));
    expect(signing.id).toBe(await calculateJwkThumbprint(jwk));
  });

  it('imports the same text once, and another text anew', async ({ expect }) => {
    const tokenSigningKey = JSON.stringify(SIGNING_JWK);
    const other = JSON.stringify(await aSigningJwk({ kid: 'key-2' }));
    const first = await keysOf(tokenSigningKey);
    expect(await keysOf(tokenSigningKey)).toBe(first);
    expect((await keysOf(other)).signing.id).toBe('key-2');
    expect((await keysOf(tokenSigningKey)).signing.id).toBe('key-1');
    expect([...(await keysOf(tokenSigningKey, other)).verifying.keys()]).toEqual([
      'key-1',
      'key-2',
    ]);
    expect([...(await keysOf(tokenSigningKey)).verifying.keys()]).toEqual(['key-1']);
  });

  it('does not mind members that would restrict the import', async ({ expect }) => {
    const jwk = await aSigningJwk({ key_ops: ['sign'], use: 'sig', ext: false, alg: 'ES256' });
    expect((await keysOf(JSON.stringify(jwk))).signing.id).toBe('key-1');
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

  it('takes the previous key with or without its private half, and none where it is empty', async ({
    expect,
  }) => {
    const current = JSON.stringify(SIGNING_JWK);
    const { d: _, ...publicJwk } = await aSigningJwk({ kid: 'key-0' });
    for (const previous of [publicJwk, await aSigningJwk({ kid: 'key-0' })]) {
      const { signing, verifying } = await keysOf(current, JSON.stringify(previous));
      expect([signing.id, [...verifying.keys()]]).toEqual(['key-1', ['key-1', 'key-0']]);
    }
    for (const same of ['', current]) {
      expect([...(await keysOf(current, same)).verifying.keys()]).toEqual(['key-1']);
    }
  });

  it('refuses anything else, and never repeats it', async ({ expect }) => {
    const rsa = await generateKeyPair('RS256', { extractable: true });
    const p384 = await generateKeyPair('ES384', { extractable: true });
    const { d: secret = '', ...publicJwk } = await aSigningJwk();
    const neither = [
      secret,
      `{"d":"${secret}"`,
      `"${secret}"`,
      `["${secret}"]`,
      JSON.stringify({ k: secret, kty: 'oct' }),
      JSON.stringify({ ...publicJwk, d: secret, kid: '' }),
      JSON.stringify({ ...publicJwk, d: secret, x: 'AAAA' }),
      JSON.stringify(await exportJWK(rsa.privateKey)),
      JSON.stringify(await exportJWK(p384.privateKey)),
    ];
    const noPrivateKey = [
      '',
      JSON.stringify(publicJwk),
      JSON.stringify({ ...publicJwk, d: `${secret}!` }),
      JSON.stringify({ ...SIGNING_JWK, d: secret }),
    ];
    const current = JSON.stringify(SIGNING_JWK);
    const mistakes = [
      ...[...neither, ...noPrivateKey].map((text) => ['TOKEN_SIGNING_KEY', [text]] as const),
      // Two keys of one name: which one signed could not be told.
      ...[...neither, JSON.stringify({ ...publicJwk, d: secret })].map(
        (text) => ['TOKEN_SIGNING_KEY_PREVIOUS', [current, text]] as const,
      ),
    ];
    for (const [setting, [signing, previous]] of mistakes) {
      const error = await failure(signing, previous);
      expect(error, setting).toBeInstanceOf(ConfigurationError);
      const { message, cause } = error as ConfigurationError;
      expect((error as ConfigurationError).setting).toBe(setting);
      expect(message).toContain(`The secret ${setting} is `);
      expect(message).not.toContain(secret);
      expect(cause).toBeUndefined();
    }
  });
});
