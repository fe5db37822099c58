import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { ConfigurationError } from '../../../src/configuration-error.ts';
import { ADMINISTRATOR } from '../../../src/http/auth/actor.ts';
import { identify, parseAuthorization } from '../../../src/http/auth/credentials.ts';
import { ADMIN_PASSWORD, HOST, authDeps, basic } from './auth-fixture.ts';

describe('parseAuthorization', () => {
  it('reads back every user name without a colon and every password', ({ expect }) => {
    const username = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes(':'));
    fc.assert(
      fc.property(username, fc.string({ unit: 'grapheme' }), (name, password) => {
        expect(parseAuthorization(basic(name, password))).toEqual({
          kind: 'basic',
          username: name,
          password,
        });
      }),
    );
  });

  it('gives credentials or null for any header', ({ expect }) => {
    const header = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string().map((text) => `Basic ${text}`),
      fc.base64String().map((text) => `Basic ${text}`),
      fc.string().map((text) => `Bearer ${text}`),
    );
    fc.assert(
      fc.property(header, (text) => {
        expect([undefined, 'basic', 'bearer']).toContain(parseAuthorization(text)?.kind);
      }),
    );
  });

  it('takes the scheme in any case', ({ expect }) => {
    expect(parseAuthorization('bAsIc YTpi')).toEqual({
      kind: 'basic',
      username: 'a',
      password: 'b',
    });
    expect(parseAuthorization('BEARER a.b.c')).toEqual({ kind: 'bearer', token: 'a.b.c' });
  });

  it('leaves everything behind the first colon to the password', ({ expect }) => {
    expect(parseAuthorization(`Basic ${btoa('a:b:c::')}`)).toEqual({
      kind: 'basic',
      username: 'a',
      password: 'b:c::',
    });
  });

  const malformed: readonly [string, string][] = [
    ['an empty header', ''],
    ['a scheme alone', 'Basic'],
    ['a scheme and a space', 'Basic '],
    ['no scheme', 'YTpi'],
    ['another scheme', 'Digest YTpi'],
    ['base64 of an impossible length', 'Basic YTpiY'],
    ['the URL alphabet of base64', 'Basic __-_'],
    ['padding in the middle', 'Basic YT==pi'],
    ['a space in the middle', 'Basic YT pi'],
    ['two credentials', 'Basic YTpi, Basic YTpi'],
    ['no colon', `Basic ${btoa('admin')}`],
    ['broken UTF-8', `Basic ${btoa('a:\u00ff\u00fe')}`],
    ['a header flood', `Basic ${'A'.repeat(40_000)}`],
    ['a flood of spaces', `Bearer${' '.repeat(40_000)}x`],
  ];
  for (const [what, header] of malformed) {
    it(`sees no credentials in ${what}`, ({ expect }) => {
      expect(parseAuthorization(header)).toBeNull();
    });
  }
});

const DEPS = { ...authDeps(), service: HOST };

describe('identify', () => {
  const callers: readonly [string, string, boolean][] = [
    ['admin', ADMIN_PASSWORD, true],
    ['admin', '', false],
    ['admin', 'wrong', false],
    ['admin', `${ADMIN_PASSWORD} `, false],
    ['admin', ADMIN_PASSWORD.slice(0, -1), false],
    ['Admin', ADMIN_PASSWORD, false],
    ['', ADMIN_PASSWORD, false],
    ['', '', false],
    ['no body', ADMIN_PASSWORD, false],
    ['acme+', ADMIN_PASSWORD, false],
    ['(anonymous)', '', false],
  ];
  for (const [username, password, good] of callers) {
    it(`says ${good ? 'yes' : 'no'} to '${username}' with '${password}'`, async ({ expect }) => {
      expect(await identify({ kind: 'basic', username, password }, DEPS)).toEqual(
        good ? ADMINISTRATOR : null,
      );
    });
  }

  it('leaves it to the stores whether anybody else is who they say', async ({ expect }) => {
    for (const [username, claimed] of [
      ['ada', 'ada'],
      ['acme+ci', 'acme+ci'],
      ['$app', null],
    ] as const) {
      const credentials = { kind: 'basic', username, password: 'S3CRET' } as const;
      expect(await identify(credentials, DEPS)).toEqual({
        kind: 'claimant',
        claim: { kind: 'secret', username: claimed, secret: 'S3CRET' },
      });
    }
  });

  for (const adminPassword of [undefined, '']) {
    it(`takes no password where the secret is ${JSON.stringify(adminPassword)}`, async ({
      expect,
    }) => {
      await expect(
        identify({ kind: 'basic', username: 'admin', password: '' }, { ...DEPS, adminPassword }),
      ).rejects.toThrow(ConfigurationError);
    });
  }
});
