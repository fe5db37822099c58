import { z } from 'zod';

import { ConfigurationError } from '../../configuration-error.ts';
import { type BearerActor, type Subject, formatSubject, parseSubject } from './actor.ts';
import type { AuthDeps } from './dependencies.ts';
import { ACTIONS, type RepositoryScope, parseScopedName } from './scopes.ts';
import {
  type MintedToken,
  type SignedTokenDeps,
  type TokenKind,
  signToken,
  verifySignedToken,
} from './signed-token.ts';

type TokenDeps = SignedTokenDeps & Pick<AuthDeps, 'tokenTtlSec'>;

/** What a token says: who may do what, and which registry it is good for. */
export interface TokenContent {
  /** The registry's host with its port, as the request names it. */
  readonly service: string;
  readonly subject: Subject;
  readonly access: readonly RepositoryScope[];
}

/** Docker's token specification: older clients take a token for good for at least this long. */
const TOKEN_TTL_SEC_MIN = 60;
/** One hour, which is what other registries issue, and a minute for the difference of clocks. */
const TOKEN_TTL_SEC_MAX = 3660;

const BEARER_TOKEN: TokenKind = { type: 'JWT', ttlSecMax: TOKEN_TTL_SEC_MAX, claims: ['access'] };

const CLAIMS = z.object({
  sub: z.string(),
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
 * @throws ConfigurationError for a bad signing key or `TOKEN_TTL_SEC`
 */
export async function mintToken(content: TokenContent, deps: TokenDeps): Promise<MintedToken> {
  const { service, subject } = content;
  const access = content.access.map(({ name, actions }) => ({ type: 'repository', name, actions }));
  const expiresInSec = requireTokenTtlSec(deps);
  return signToken(
    BEARER_TOKEN,
    { service, subject: formatSubject(subject), claims: { access }, expiresInSec },
    deps,
  );
}

/**
 * The actor that a bearer token stands for, or `null` if the token is not one of ours, not for
 * this service, not valid at this time, or lives longer than any that we issue. No look-up: the
 * signature vouches for the rest.
 *
 * @param service the registry's host with its port, as the request names it
 * @throws ConfigurationError for a bad signing key
 */
export async function verifyToken(
  token: string,
  deps: SignedTokenDeps & { readonly service: string },
): Promise<BearerActor | null> {
  const payload = await verifySignedToken(BEARER_TOKEN, token, deps);
  const { data: claims } = CLAIMS.safeParse(payload);
  const subject = claims === undefined ? null : parseSubject(claims.sub);
  if (claims === undefined || subject === null) {
    return null;
  }
  const access = claims.access.flatMap(({ name, actions }) => {
    const repository = parseScopedName(name, deps.service);
    return repository === null ? [] : [{ name, repository, actions }];
  });
  return { kind: 'bearer', subject, access };
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
