import { SignJWT, errors, jwtVerify } from 'jose';
import { z } from 'zod';

import { TOKEN_LEEWAY_SEC } from '../../model/limits.ts';
import { type EpochSeconds, toEpochSeconds } from '../../model/time.ts';
import { ConfigurationError } from '../configuration-error.ts';
import { type BearerActor, type Subject, formatSubject, parseSubject } from './actor.ts';
import type { AuthDeps } from './dependencies.ts';
import { ACTIONS, type RepositoryScope, parseScopedName } from './scopes.ts';
import { SIGNING_ALGORITHM, requireSigningKey } from './signing-key.ts';

type TokenDeps = Pick<AuthDeps, 'tokenSigningKey' | 'tokenTtlSec' | 'clock'>;

/** What a token says: who may do what, and which registry it is good for. */
export interface TokenContent {
  /** The registry's host with its port, as the request names it. */
  readonly service: string;
  readonly subject: Subject;
  readonly access: readonly RepositoryScope[];
}

/** A signed token and the times that its client is told. */
export interface MintedToken {
  readonly token: string;
  readonly issuedAt: EpochSeconds;
  readonly expiresInSec: number;
}

const ISSUER = 'berth';
const TOKEN_TYPE = 'JWT';

/** Docker's token specification: older clients take a token for good for at least this long. */
const TOKEN_TTL_SEC_MIN = 60;
/** One hour, which is what other registries issue, and a minute for the difference of clocks. */
const TOKEN_TTL_SEC_MAX = 3660;

const CLAIMS = z.object({
  sub: z.string(),
  iat: z.number(),
  exp: z.number(),
  access: z.array(
    z.object({
      type: z.literal('repository'),
      name: z.string(),
      actions: z.array(z.enum(ACTIONS)),
    }),
  ),
});

/**
 * A bearer token for a registry (Docker Registry v2 authentication, "Token Authentication
 * Implementation"): an ES256 JWT that starts now and lives for `tokenTtlSec`.
 *
 * @throws ConfigurationError for a bad `TOKEN_SIGNING_KEY` or `TOKEN_TTL_SEC`
 */
export async function mintToken(content: TokenContent, deps: TokenDeps): Promise<MintedToken> {
  const key = await requireSigningKey(deps);
  const expiresInSec = requireTokenTtlSec(deps);
  const issuedAt = toEpochSeconds(deps.clock.nowMs());
  const access = content.access.map(({ name, actions }) => ({ type: 'repository', name, actions }));
  const token = await new SignJWT({ access })
    .setProtectedHeader({ alg: SIGNING_ALGORITHM, kid: key.id, typ: TOKEN_TYPE })
    .setIssuer(ISSUER)
    .setAudience(content.service)
    .setSubject(formatSubject(content.subject))
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(issuedAt + expiresInSec)
    .setJti(crypto.randomUUID())
    .sign(key.privateKey);
  return { token, issuedAt, expiresInSec };
}

/**
 * The actor that a bearer token stands for, or `null` if the token is not one of ours, not for
 * this service, not valid at this time, or lives longer than any that we issue. No look-up: the
 * signature vouches for the rest.
 *
 * @param service the registry's host with its port, as the request names it
 * @throws ConfigurationError for a bad `TOKEN_SIGNING_KEY`
 */
export async function verifyToken(
  token: string,
  { service, ...deps }: TokenDeps & { readonly service: string },
): Promise<BearerActor | null> {
  const claims = await verifyClaims(token, { service, ...deps });
  const subject = claims === null ? null : parseSubject(claims.sub);
  if (claims === null || subject === null || claims.exp - claims.iat > TOKEN_TTL_SEC_MAX) {
    return null;
  }
  const access = claims.access.flatMap(({ name, actions }) => {
    const repository = parseScopedName(name, service);
    return repository === null ? [] : [{ name, repository, actions }];
  });
  return { kind: 'bearer', subject, access };
}

async function verifyClaims(
  token: string,
  { service, clock, ...deps }: TokenDeps & { readonly service: string },
): Promise<z.infer<typeof CLAIMS> | null> {
  const key = await requireSigningKey(deps);
  try {
    const { payload, protectedHeader } = await jwtVerify(token, key.publicKey, {
      algorithms: [SIGNING_ALGORITHM],
      typ: TOKEN_TYPE,
      issuer: ISSUER,
      audience: service,
      requiredClaims: ['sub', 'iat', 'nbf', 'exp', 'jti', 'access'],
      currentDate: new Date(clock.nowMs()),
      clockTolerance: TOKEN_LEEWAY_SEC,
      // Also refuses a token that was issued in the future.
      maxTokenAge: TOKEN_TTL_SEC_MAX,
    });
    return protectedHeader.kid === key.id ? (CLAIMS.safeParse(payload).data ?? null) : null;
  } catch (error) {
    if (error instanceof errors.JOSEError) {
      return null;
    }
    throw error;
  }
}

/**
 * How long the tokens that are issued are good for, in seconds.
 *
 * @throws ConfigurationError if that is shorter or longer than clients take
 */
export function requireTokenTtlSec({ tokenTtlSec }: Pick<AuthDeps, 'tokenTtlSec'>): number {
  const isUsable =
    Number.isInteger(tokenTtlSec) &&
    tokenTtlSec >= TOKEN_TTL_SEC_MIN &&
    tokenTtlSec <= TOKEN_TTL_SEC_MAX;
  if (!isUsable) {
    throw new ConfigurationError({
      setting: 'TOKEN_TTL_SEC',
      message:
        'The setting TOKEN_TTL_SEC is not usable: set the variable in wrangler.toml to a whole ' +
        `number of seconds, ${TOKEN_TTL_SEC_MIN} to ${TOKEN_TTL_SEC_MAX}.`,
    });
  }
  return tokenTtlSec;
}
