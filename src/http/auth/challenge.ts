import { OciError } from '../oci/errors.ts';
import { type RepositoryScope, formatScope } from './scopes.ts';

/** Where the client believes the registry to be, which is where it must ask for its token. */
export interface Origin {
  readonly scheme: string;
  /** With the port, where it is not the scheme's own. */
  readonly host: string;
}

/** What a client is told to ask for. */
export type ChallengeScope = Pick<RepositoryScope, 'name' | 'actions'>;

/** The scheme and host of a request's URL. */
export function requestOrigin(url: string): Origin {
  const { protocol, host } = new URL(url);
  return { scheme: protocol.slice(0, -1), host };
}

/**
 * The value of `WWW-Authenticate` (Docker Registry v2 authentication, RFC 9110 11.6.1). Commas
 * have no space behind them: some clients' parsers take it for a part of the next name.
 */
export function bearerChallenge(
  { scheme, host }: Origin,
  scopes: readonly ChallengeScope[],
): string {
  const parameters = [`realm=${quoted(`${scheme}://${host}/v2/auth`)}`, `service=${quoted(host)}`];
  if (scopes.length > 0) {
    parameters.push(`scope=${quoted(scopes.map(formatScope).join(' '))}`);
  }
  return `Bearer ${parameters.join(',')}`;
}

/**
 * The refusal of a caller without, with bad, or with too narrow credentials: 401, and where to
 * get better ones. One who is known but may not gets the same, so that it tells nothing.
 */
export function unauthorized(
  origin: Origin,
  {
    scopes = [],
    message = 'authentication required',
  }: { readonly scopes?: readonly ChallengeScope[]; readonly message?: string } = {},
): OciError {
  return new OciError(
    401,
    { code: 'UNAUTHORIZED', message },
    { 'WWW-Authenticate': bearerChallenge(origin, scopes) },
  );
}

/** As a quoted-string; the host comes from the client and may hold a quote. */
function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}
