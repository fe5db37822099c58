/**
 * Which hosts this registry asks on somebody's behalf. A caller who names a host must not reach by it
 * what only the registry's own network can: so only public addresses, and names of public DNS. What
 * such a name resolves to cannot be seen from a Worker.
 */

/** Names under these are nobody's in public DNS (RFC 6761, 6762, 8375, 9476), or never were. */
const PRIVATE_SUFFIXES = new Set([
  'localhost',
  'localdomain',
  'local',
  'internal',
  'intranet',
  'private',
  'corp',
  'home',
  'lan',
  'arpa',
  'onion',
  'alt',
  'invalid',
]);

/** First address and length of prefix of what is not public (RFC 6890 and its registry). */
const PRIVATE_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // With it the metadata services of clouds.
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];

/**
 * Of IPv6 only 2000::/3 is given to anybody; all forms that hold an IPv4 address lie outside it, but
 * those of 6to4 and Teredo.
 */
const PUBLIC_IPV6: readonly [readonly number[], number] = [[0x2000], 3];
const PRIVATE_IPV6: readonly (readonly [readonly number[], number])[] = [
  [[0x2001, 0x0000], 23],
  [[0x2001, 0x0db8], 32],
  [[0x2002], 16],
  [[0x3fff], 20],
];

const DNS_NAME = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * Whether a host, as `URL` writes it, is one of the public internet: a name with a dot that can be
 * one, or an address that is given to somebody. `URL` has made one form of all the ways to write an
 * IPv4 address already.
 */
export function isPublicHost(hostname: string): boolean {
  if (hostname.startsWith('[')) {
    const groups = parseIpv6(hostname.slice(1, -1));
    return groups !== null && isPublicIpv6(groups);
  }
  if (IPV4.test(hostname)) {
    const address = ipv4Number(hostname);
    return !PRIVATE_IPV4.some(([first, bits]) => sharesPrefix(address, ipv4Number(first), bits));
  }
  const last = hostname.slice(hostname.lastIndexOf('.') + 1);
  return DNS_NAME.test(hostname) && /[a-z]/.test(last) && !PRIVATE_SUFFIXES.has(last);
}

function ipv4Number(text: string): number {
  return text.split('.').reduce((number, byte) => number * 256 + Number(byte), 0);
}

function sharesPrefix(one: number, other: number, bits: number): boolean {
  return Math.floor(one / 2 ** (32 - bits)) === Math.floor(other / 2 ** (32 - bits));
}

function isPublicIpv6(groups: readonly number[]): boolean {
  const [first, bits] = PUBLIC_IPV6;
  return (
    beginsWith(groups, first, bits) &&
    !PRIVATE_IPV6.some(([prefix, length]) => beginsWith(groups, prefix, length))
  );
}

/** Whether the first bits of an address, at most 32, are those of a prefix. */
function beginsWith(groups: readonly number[], prefix: readonly number[], bits: number): boolean {
  return sharesPrefix(firstBits(groups), firstBits(prefix), bits);
}

function firstBits([high = 0, low = 0]: readonly number[]): number {
  return high * 0x1_0000 + low;
}

/** The eight groups of an address as `URL` writes it: shortened, and without dots. */
function parseIpv6(text: string): readonly number[] | null {
  const [before = '', after] = text.split('::');
  const head = toGroups(before);
  const tail = after === undefined ? [] : toGroups(after);
  const missing = after === undefined ? 0 : 8 - head.length - tail.length;
  const groups = [...head, ...Array.from({ length: Math.max(0, missing) }, () => '0'), ...tail];
  const isWhole = groups.length === 8 && groups.every((group) => /^[0-9a-f]{1,4}$/.test(group));
  return isWhole ? groups.map((group) => Number.parseInt(group, 16)) : null;
}

/** What may be asked. */
export interface OutboundRules {
  /** Whether hosts that are not public may be asked too, and without TLS. */
  readonly allowPrivate: boolean;
}

/**
 * Why a URL is not asked, or null. Credentials stand in a header or nowhere: what is in a URL comes
 * to be logged.
 */
export function outboundProblem(url: URL, { allowPrivate }: OutboundRules): string | null {
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:')) {
    return `${url.protocol}//${url.host} is not asked: only https is`;
  }
  if (url.username !== '' || url.password !== '') {
    return `a URL of ${url.host} holds credentials`;
  }
  return allowPrivate || isPublicHost(url.hostname)
    ? null
    : `${url.host} is no host of the public internet`;
}

function toGroups(part: string): readonly string[] {
  return part === '' ? [] : part.split(':');
}
