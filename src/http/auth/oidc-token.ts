import { type JSONWebKeySet, createLocalJWKSet, decodeJwt, errors, jwtVerify } from 'jose';

import {
  OIDC_TOKEN_AGE_SEC_MAX,
  OIDC_TOKEN_LENGTH_MAX,
  TOKEN_LEEWAY_SEC,
} from '../../model/limits.ts';
import type { Clock } from '../../model/time.ts';
import type { IssuerKeys, IssuerKeySet } from '../../registry/accounts/issuer-keys.ts';

/** What a token of an OpenID issuer says, or why it says nothing. */
export type OidcVerdict =
  | { readonly isGood: true; readonly issuer: string; readonly subject: string }
  /** `reason` is for the log, and never holds any of the token. */
  | { readonly isGood: false; readonly reason: string };

/** Those by which who can verify cannot sign. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

interface OidcDeps {
  /** Whom the token must be meant for. */
  readonly audience: string;
  readonly issuers: IssuerKeys;
  readonly clock: Clock;
}

/**
 * Verifies a token of an OpenID issuer (OpenID Connect Core 1.0, 3.1.3.7): one that the administrator
 * allows, by its own keys, meant for this audience, valid now, a day old at most.
 *
 * Errors: IssuerUnavailable, if the keys cannot be had.
 */
export async function verifyOidcToken(token: string, deps: OidcDeps): Promise<OidcVerdict> {
  if (token.length > OIDC_TOKEN_LENGTH_MAX) {
    return { isGood: false, reason: `it has more than ${OIDC_TOKEN_LENGTH_MAX} characters` };
  }
  const issuer = unverifiedIssuer(token);
  const known = issuer === null ? null : await deps.issuers.issuerKeys(issuer);
  if (issuer === null || known === null) {
    return { isGood: false, reason: 'it is no token of an issuer in OIDC_ISSUERS' };
  }
  const expected = { issuer, ...deps };
  const verdict = await verifyBy(known, token, expected);
  if (verdict !== 'unknown key') {
    return verdict;
  }
  const newer = await deps.issuers.newerIssuerKeys(issuer, known);
  const second = newer === known ? verdict : await verifyBy(newer, token, expected);
  return second === 'unknown key'
    ? { isGood: false, reason: 'the issuer has no key by which it is signed' }
    : second;
}

/** Who the token says to be from, which only tells by whose keys to verify it. */
function unverifiedIssuer(token: string): string | null {
  try {
    const { iss } = decodeJwt<{ iss?: unknown }>(token);
    return typeof iss === 'string' ? iss : null;
  } catch {
    return null;
  }
}

async function verifyBy(
  { keys }: IssuerKeySet,
  token: string,
  { issuer, audience, clock }: Omit<OidcDeps, 'issuers'> & { readonly issuer: string },
): Promise<OidcVerdict | 'unknown key'> {
  try {
    const keySet = createLocalJWKSet({ keys } as JSONWebKeySet);
    const { payload } = await jwtVerify(token, keySet, {
      algorithms: ALGORITHMS,
      issuer,
      audience,
      requiredClaims: ['sub', 'iat', 'exp'],
      currentDate: new Date(clock.nowMs()),
      clockTolerance: TOKEN_LEEWAY_SEC,
      // Also refuses a token that was issued in the future.
      maxTokenAge: OIDC_TOKEN_AGE_SEC_MAX,
    });
    const { sub } = payload;
    return typeof sub === 'string' && sub !== ''
      ? { isGood: true, issuer, subject: sub }
      : { isGood: false, reason: 'it has no subject' };
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) {
      return 'unknown key';
    }
    // Beside the library's own these are of a key that the issuer made unfit for use.
    return { isGood: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
