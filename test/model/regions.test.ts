import { describe, it } from 'vitest';

import { parseCountryCode } from '../../src/model/regions.ts';

describe('parseCountryCode', () => {
  it('gives two letters in upper case', ({ expect }) => {
    expect(['US', 'us', 'De', 'zZ'].map(parseCountryCode)).toEqual(['US', 'US', 'DE', 'ZZ']);
  });

  it('gives null for what is no country', ({ expect }) => {
    const texts = ['', 'U', 'USA', 'U1', 'T1', 'XX', 'xx', 'U ', ' US', 'US\n', 'Ü', 'ÜS', 'ß'];
    expect(texts.filter((text) => parseCountryCode(text) !== null)).toEqual([]);
  });
});
