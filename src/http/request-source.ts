import { type CountryCode, parseCountryCode } from '../model/regions.ts';

/** Where the edge says that a request comes from; null: it does not know, or there is no edge. */
export function countryOf({ cf }: Request): CountryCode | null {
  const country = cf?.['country'];
  return typeof country === 'string' ? parseCountryCode(country) : null;
}

/** The edge overwrites what a client sends by this name. */
const ADDRESS_HEADER = 'CF-Connecting-IP';

const ADDRESS = /^[0-9A-Fa-f.:]{2,45}$/;

/** The client's address, IPv4 or IPv6, as the edge gives it; null: there is no edge. */
export function ipOf(req: { header(name: string): string | undefined }): string | null {
  const text = req.header(ADDRESS_HEADER);
  return text !== undefined && ADDRESS.test(text) ? text.toLowerCase() : null;
}

/** Who has one address of IPv6 has the /64 that it is in. */
const GROUPS_OF_A_LINE = 4;

/** What stands for all the addresses that a client may choose from. */
export function addressOf(req: { header(name: string): string | undefined }): string | null {
  const ip = ipOf(req);
  if (ip === null || !ip.includes(':')) {
    return ip;
  }
  const [head = '', tail] = ip.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(8 - first.length - last.length, 0);
  const groups = [...first, ...Array.from({ length: zeros }, () => '0'), ...last];
  return `${groups
    .slice(0, GROUPS_OF_A_LINE)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
