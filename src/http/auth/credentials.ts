import { ConfigurationError } from '../../configuration-error.ts';
import { ADMINISTRATOR_NAME, isRobotName, parseAccountName } from '../../model/accounts.ts';
import { ADMINISTRATOR, type AdministratorActor, ANY_USERNAME, type Claimant } from './actor.ts';
import type { AuthDeps } from './dependencies.ts';
import { verifyRobotToken } from './robot-token.ts';
import type { SignedTokenDeps } from './signed-token.ts';

/** What an `Authorization` header holds, not yet checked. */
export type Credentials = BasicCredentials | BearerCredentials;

export interface BasicCredentials {
  readonly kind: 'basic';
  readonly username: string;
  readonly password: string;
}

export interface BearerCredentials {
  readonly kind: 'bearer';
  readonly token: string;
}

/** Above the largest token that we issue, 32 scopes with the longest names. */
const AUTHORIZATION_LENGTH_MAX = 32_768;

const AUTHORIZATION = /^(?<scheme>Basic|Bearer) +(?<value>[A-Za-z0-9._~+/-]+=*)$/i;

/**
 * The credentials in an `Authorization` header, or `null` if it holds none that we understand:
 * another scheme, broken base64 or UTF-8, no colon, more than 32,768 characters (RFC 7617 for
 * Basic, where everything after the first colon is the password; RFC 6750 for Bearer).
 */
export function parseAuthorization(header: string): Credentials | null {
  if (header.length > AUTHORIZATION_LENGTH_MAX) {
    return null;
  }
  const { scheme, value } = AUTHORIZATION.exec(header)?.groups ?? {};
  if (scheme === undefined || value === undefined) {
    return null;
  }
  return scheme.toLowerCase() === 'basic' ? parseBasic(value) : { kind: 'bearer', token: value };
}

/** What no secret that is kept looks like. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Whom a user name and password identify. The administrator is known by a password, and a robot by a
 * token that it got from us; whether there is such a robot, and anybody else is who they say, is for
 * the stores to tell. Null: it is not the administrator's password, no good token of the robot, or
 * nobody can be called so.
 *
 * @throws ConfigurationError if there is no `ADMIN_PASSWORD`, or for a bad signing key
 */
export async function identify(
  { username, password }: BasicCredentials,
  deps: Pick<AuthDeps, 'adminPassword'> & SignedTokenDeps & { readonly service: string },
): Promise<AdministratorActor | Claimant | null> {
  const adminPassword = requireAdminPassword(deps);
  if (username === ADMINISTRATOR_NAME) {
    return (await isSameText(password, adminPassword)) ? ADMINISTRATOR : null;
  }
  if (username === ANY_USERNAME) {
    return { kind: 'claimant', claim: { kind: 'secret', username: null, secret: password } };
  }
  const name = parseAccountName(username);
  if (name !== null && isRobotName(name) && JWT.test(password)) {
    const robot = await verifyRobotToken(password, deps);
    return robot?.name === name
      ? { kind: 'claimant', claim: { kind: 'signed', name, accountId: robot.id } }
      : null;
  }
  return name === null
    ? null
    : { kind: 'claimant', claim: { kind: 'secret', username, secret: password } };
}

/**
 * The administrator's password.
 *
 * @throws ConfigurationError if it is missing or empty: without it nobody could get in
 */
export function requireAdminPassword({ adminPassword }: Pick<AuthDeps, 'adminPassword'>): string {
  if (adminPassword === undefined || adminPassword === '') {
    throw new ConfigurationError({
      setting: 'ADMIN_PASSWORD',
      message:
        'The secret ADMIN_PASSWORD is not set: ' +
        'set it with `wrangler secret put ADMIN_PASSWORD`, or in .dev.vars on a laptop.',
    });
  }
  return adminPassword;
}

function parseBasic(base64: string): BasicCredentials | null {
  const text = decodeBase64(base64);
  const colon = text?.indexOf(':') ?? -1;
  if (text === null || colon === -1) {
    return null;
  }
  return { kind: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** The UTF-8 text, or `null` where the base64 or the UTF-8 is broken. */
function decodeBase64(base64: string): string | null {
  try {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Compares in a time that depends on neither text's content: digests have one length. */
async function isSameText(actual: string, expected: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const [actualDigest, expectedDigest] = await Promise.all([
    crypto.subtle.digest('SHA-256', encoder.encode(actual)),
    crypto.subtle.digest('SHA-256', encoder.encode(expected)),
  ]);
  return crypto.subtle.timingSafeEqual(actualDigest, expectedDigest);
}
