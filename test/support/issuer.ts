import { type JWK, type JWTPayload, SignJWT, exportJWK, generateKeyPair, importJWK } from 'jose';

import type { OutboundFetch } from '../../src/registry/deps.ts';

const DISCOVERY = '/.well-known/openid-configuration';
const KEYS = '/.well-known/jwks';

type Answer = (signal: AbortSignal) => Response | Promise<Response>;

/** An OpenID issuer that signs tokens for jobs, and stands for all servers there are. */
export class FakeIssuer {
  readonly url: string;
  /** The private keys it signs with; it publishes their public halves, in this order. */
  keys: JWK[] = [];
  /** What it was asked for, oldest first. */
  readonly asked: string[] = [];
  /** What it answers instead, by path. */
  readonly answers = new Map<string, Answer>();

  constructor(url: string) {
    this.url = url;
  }

  async addKey(kid: string, alg: 'RS256' | 'ES256' | 'EdDSA' = 'ES256'): Promise<JWK> {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    const key = { ...(await exportJWK(privateKey)), kid, alg, use: 'sig' };
    this.keys.push(key);
    return key;
  }

  readonly fetch: OutboundFetch = async (url, { signal, redirect }) => {
    this.asked.push(url);
    if (redirect !== 'manual' || !url.startsWith(this.url.replace(/\/$/, ''))) {
      throw new TypeError(`nobody answers ${url}`);
    }
    const path = new URL(url).pathname.slice(new URL(this.url).pathname.replace(/\/$/, '').length);
    const other = this.answers.get(path);
    if (other !== undefined) {
      return other(signal);
    }
    switch (path) {
      case DISCOVERY:
        return Response.json(this.discovery());
      case KEYS:
        return Response.json({ keys: this.keys.map(publicHalf) });
      default:
        return new Response(null, { status: 404 });
    }
  };

  discovery(more: object = {}): object {
    return { issuer: this.url, jwks_uri: `${this.url.replace(/\/$/, '')}${KEYS}`, ...more };
  }

  /** A token for a job; by default of the newest key. */
  async token(
    claims: JWTPayload,
    {
      key = this.keys.at(-1),
      header = {},
    }: { readonly key?: JWK | undefined; readonly header?: Record<string, unknown> } = {},
  ): Promise<string> {
    if (key?.alg === undefined) {
      throw new Error('the issuer has no key');
    }
    return new SignJWT({ iss: this.url, ...claims })
      .setProtectedHeader({ alg: key.alg, kid: key.kid ?? '', typ: 'JWT', ...header })
      .sign(await importJWK(key, key.alg));
  }
}

export const ISSUER_PATHS = { discovery: DISCOVERY, keys: KEYS } as const;

/** The members of a key that everybody may know. */
export function publicHalf(key: JWK): JWK {
  const { kty, kid, alg, use, crv, x, y, n, e } = key;
  return { kty, kid, alg, use, crv, x, y, n, e } as JWK;
}
