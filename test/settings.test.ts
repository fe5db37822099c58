import { describe, it } from 'vitest';

import { readSettings } from '../src/settings.ts';

const issuersOf = (OIDC_ISSUERS: string) => readSettings({ OIDC_ISSUERS }).registry.oidcIssuers;

describe('OIDC_ISSUERS', () => {
  it('is a list of https URLs as tokens write them, and none by default', ({ expect }) => {
    expect(readSettings({}).registry.oidcIssuers).toEqual([]);
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ['', []],
      [' , ', []],
      ['https://gitlab.com', ['https://gitlab.com']],
      [
        ' https://gitlab.com, https://ci.example.com:8443/realms/acme/ ,',
        ['https://gitlab.com', 'https://ci.example.com:8443/realms/acme/'],
      ],
    ];
    for (const [text, issuers] of cases) {
      expect(issuersOf(text)).toEqual(issuers);
    }
  });

  it.for([
    'http://gitlab.com',
    'gitlab.com',
    'https://',
    'https://gitlab.com https://github.com',
    'https://GitLab.com',
    'https://gitlab.com:443',
    'https://user@gitlab.com',
    'https://gitlab.com?x=1',
    'https://gitlab.com/#x',
    'https://gitlab.com/a/../b',
    'javascript:alert(1)',
    `https://gitlab.com/${'x'.repeat(240)}`,
    Array.from({ length: 21 }, (_, n) => `https://issuer-${n}.example.com`).join(),
  ])('is refused as %s', (text, { expect }) => {
    expect(() => issuersOf(`https://good.example.com,${text}`)).toThrow(
      'The variable OIDC_ISSUERS is not usable: expected at most 20 https URLs',
    );
  });
});
