import { type JWTPayload, SignJWT, errors, jwtVerify } from 'jose';

import { TOKEN_LEEWAY_SEC } from '../../model/limits.ts';
import { type EpochSeconds, MS_PER_SECOND, toEpochSeconds } from '../../model/time.ts';
import type { AuthDeps } from './dependencies.ts';
import { type KeySecrets, SIGNING_ALGORITHM, requireSigningKeys } from './signing-key.ts';

/** What tokens are signed and verified with. */
export type SignedTokenDeps = KeySecrets & Pick<AuthDeps, 'clock'>;

/** A signed token and the times that its client is told. */
export interface MintedToken {
  readonly token: string;
  readonly issuedAt: EpochSeconds;
  readonly expiresInSec: number;
}

/** When a token was issued, as its client is told: RFC 3339. */
export function formatIssuedAt({ issuedAt }: Pick<MintedToken, 'issuedAt'>): string {
  return new Date(issuedAt * MS_PER_SECOND).toISOString();
}

/** What sets one kind of our tokens apart from another. */
export interface TokenKind {
  /** The header's `typ`: a token of one kind is never good as another. */
  readonly type: string;
  /** No token of this kind is good for longer, whoever signed it. */
  readonly ttlSecMax: number;
  /** The claims that it has beside those that all have. */
  readonly claims: readonly string[];
}

const ISSUER = 'berth';

/**
 * A token of ours: an ES256 JWT that starts now.
 *
 * @throws ConfigurationError for a bad `TOKEN_SIGNING_KEY` or `TOKEN_SIGNING_KEY_PREVIOUS`
 */
export async function signToken(
  { type }: TokenKind,
  content: {
    /** The registry's host with its port. */
    readonly service: string;
    readonly subject: string;
    readonly claims: JWTPayload;
    readonly expiresInSec: number;
  },
  deps: SignedTokenDeps,
): Promise<MintedToken> {
  const { signing } = await requireSigningKeys(deps);
  const issuedAt = toEpochSeconds(deps.clock.nowMs());
  const { expiresInSec } = content;
  const token = await new SignJWT(content.claims)
    .setProtectedHeader({ alg: SIGNING_ALGORITHM, kid: signing.id, typ: type })
    .setIssuer(ISSUER)
    .setAudience(content.service)
    .setSubject(content.subject)
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(issuedAt + expiresInSec)
    .setJti(crypto.randomUUID())
    .sign(signing.privateKey);
  return { token, issuedAt, expiresInSec };
}

/**
 * What a token says, or `null` if it is not one of ours, of another kind, not for this service, not
 * valid at this time, or lives longer than any that we issue. The key is one of those in the
 * secrets, by the header's `kid`; whatever else the header brings to verify by is ignored. No
 * look-up: the signature vouches for the rest.
 *
 * @param service the registry's host with its port, as the request names it
 * @throws ConfigurationError for a bad `TOKEN_SIGNING_KEY` or `TOKEN_SIGNING_KEY_PREVIOUS`
 */
export async function verifySignedToken(
  { type, ttlSecMax, claims }: TokenKind,
  token: string,
  { service, clock, ...secrets }: SignedTokenDeps & { readonly service: string },
): Promise<JWTPayload | null> {
  const { verifying } = await requireSigningKeys(secrets);
  try {
    const { payload } = await jwtVerify(token, ({ kid }) => keyOf(verifying, kid), {
      algorithms: [SIGNING_ALGORITHM],
      typ: type,
      issuer: ISSUER,
      audience: service,
      requiredClaims: ['sub', 'iat', 'nbf', 'exp', 'jti', ...claims],
      currentDate: new Date(clock.nowMs()),
      clockTolerance: TOKEN_LEEWAY_SEC,
      // Also refuses a token that was issued in the future.
      maxTokenAge: ttlSecMax,
    });
    const { iat = 0, exp = Infinity } = payload;
    return exp - iat > ttlSecMax ? null : payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) {
      return null;
    }
    throw error;
  }
}

function keyOf<Key>(keys: ReadonlyMap<string, Key>, kid: string | undefined): Key {
  const key = kid === undefined ? undefined : keys.get(kid);
  if (key === undefined) {
    throw new errors.JWKSNoMatchingKey();
  }
  return key;
}
