import { z } from 'zod';

import { type AccountName, parseAccountName } from '../../model/accounts.ts';
import { ROBOT_TOKEN_TTL_SEC } from '../../model/limits.ts';
import {
  type MintedToken,
  type SignedTokenDeps,
  type TokenKind,
  signToken,
  verifySignedToken,
} from './signed-token.ts';

/** A robot as its token knows it: another one that gets its name later is not meant. */
export interface TokenRobot {
  readonly id: number;
  readonly name: AccountName;
}

/** Its type keeps it from being taken for a token that grants rights by itself. */
const ROBOT_TOKEN: TokenKind = {
  type: 'robot+jwt',
  ttlSecMax: ROBOT_TOKEN_TTL_SEC,
  claims: ['robot_id'],
};

const CLAIMS = z.object({ sub: z.string(), robot_id: z.int() });

/**
 * A password for a robot that is good for an hour, however long the token it is given for is: jobs
 * push at their end, and the tokens of some issuers are over after minutes.
 *
 * @throws ConfigurationError for a bad signing key
 */
export async function mintRobotToken(
  { id, name }: TokenRobot,
  { service, ...deps }: SignedTokenDeps & { readonly service: string },
): Promise<MintedToken> {
  const claims = { robot_id: id };
  const expiresInSec = ROBOT_TOKEN_TTL_SEC;
  return signToken(ROBOT_TOKEN, { service, subject: name, claims, expiresInSec }, deps);
}

/**
 * The robot that a password of {@link mintRobotToken} was given to, or `null` if it is none that is
 * good now. Whether there still is such a robot is for the stores to tell.
 *
 * @throws ConfigurationError for a bad signing key
 */
export async function verifyRobotToken(
  token: string,
  deps: SignedTokenDeps & { readonly service: string },
): Promise<TokenRobot | null> {
  const payload = await verifySignedToken(ROBOT_TOKEN, token, deps);
  const { data: claims } = CLAIMS.safeParse(payload);
  const name = claims === undefined ? null : parseAccountName(claims.sub);
  return claims === undefined || name === null ? null : { id: claims.robot_id, name };
}
