import type { Brand } from './brand.ts';

/** A country by ISO 3166-1 alpha-2, upper case. Made by {@link parseCountryCode} only. */
export type CountryCode = Brand<string, 'CountryCode'>;

/** What the edge calls a request whose country it does not know. */
const UNKNOWN_COUNTRY = 'XX';

/**
 * The text as a {@link CountryCode}, whatever its case, or null: for what is not two letters, as
 * `T1` is (the edge's name for Tor), and for `XX`, which is no country.
 */
export function parseCountryCode(text: string): CountryCode | null {
  const code = /^[A-Za-z]{2}$/.test(text) ? text.toUpperCase() : UNKNOWN_COUNTRY;
  return code === UNKNOWN_COUNTRY ? null : (code as CountryCode);
}

/**
 * What a namespace does about pulls from the countries it blocks: nothing, say in the log what it
 * would refuse, or refuse.
 */
export type RegionMode = 'off' | 'observe' | 'enforce';

/** Where a namespace's content is not served. */
export interface RegionRules {
  readonly mode: RegionMode;
  /** In ascending order, each once; kept also while the mode is `off`. */
  readonly blocked: readonly CountryCode[];
}
