/** How a registry wants to be asked (RFC 9110, 11.6.1; distribution-spec's token scheme). */
export type Challenge =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer';
      readonly realm: string;
      readonly service: string | null;
      readonly scope: string | null;
    };

const SCHEME = /(?:^|,)\s*(bearer|basic)(?=\s|$)/gi;
const PARAMETER = /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi;
const HEADER_LENGTH_MAX = 4096;

/** The challenge of a `WWW-Authenticate` header that is understood, Bearer before Basic; or null. */
export function parseChallenge(header: string | null): Challenge | null {
  if (header === null || header.length > HEADER_LENGTH_MAX) {
    return null;
  }
  // What is quoted must not be taken for a scheme; a mask of the same length keeps the places.
  const bare = header.replaceAll(/"(?:[^"\\]|\\.)*"/g, (quoted) => '"'.repeat(quoted.length));
  const schemes = [...bare.matchAll(SCHEME)];
  let basic: Challenge | null = null;
  for (const [at, match] of schemes.entries()) {
    const start = match.index + match[0].length;
    const rest = header.slice(start, schemes[at + 1]?.index ?? header.length);
    if (match[1]?.toLowerCase() === 'basic') {
      basic = { scheme: 'basic' };
      continue;
    }
    const parameters = new Map(
      [...rest.matchAll(PARAMETER)].map(([, name = '', quoted, token]) => [
        name.toLowerCase(),
        quoted?.replaceAll(/\\(.)/g, '$1') ?? token ?? '',
      ]),
    );
    const realm = parameters.get('realm');
    if (realm !== undefined) {
      const service = parameters.get('service') ?? null;
      return { scheme: 'bearer', realm, service, scope: parameters.get('scope') ?? null };
    }
  }
  return basic;
}
