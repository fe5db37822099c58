import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { parseImportReference } from '../../src/model/import-source.ts';

const PUBLIC = { allowPrivate: false };
const PRIVATE = { allowPrivate: true };
const DIGEST = `sha256:${'a'.repeat(64)}`;

function problemOf(text: string, rules = PUBLIC): string | null {
  const parsed = parseImportReference(text, rules);
  return 'problem' in parsed ? parsed.problem : null;
}

const parsed = (text: string) => parseImportReference(text, PUBLIC);

describe('a source', () => {
  it('is a host, a name, and what is meant there', ({ expect }) => {
    expect(parsed('registry.example.com/acme/app:1.2')).toEqual({
      reference: {
        origin: 'https://registry.example.com',
        path: 'acme/app',
        reference: '1.2',
        tagName: '1.2',
      },
    });
    expect(parsed(`https://registry.example.com:5000/a/b-c__d@${DIGEST}`)).toEqual({
      reference: {
        origin: 'https://registry.example.com:5000',
        path: 'a/b-c__d',
        reference: DIGEST,
        tagName: null,
      },
    });
    expect(parsed(`registry.example.com/app:v1@${DIGEST}`)).toMatchObject({
      reference: { reference: DIGEST, tagName: 'v1' },
    });
    expect(parsed('registry.example.com/app')).toMatchObject({ reference: { reference: null } });
  });

  it('is refused without a host, with credentials, or what could climb out of its path', ({
    expect,
  }) => {
    const texts = [
      'app:1.2',
      'acme/app:1.2',
      'localhost/app:1.2',
      'ada:secret@registry.example.com/app:1',
      'https://ada:secret@registry.example.com/app:1',
      'registry.example.com/../app:1',
      'registry.example.com/a/./b:1',
      'registry.example.com/a//b:1',
      'registry.example.com/a?x=1:1',
      'registry.example.com/a%2fb:1',
      'registry.example.com/App:1',
      'registry.example.com/app:-1',
      'registry.example.com/app:',
      'registry.example.com/app@sha256:1234',
      'registry.example.com:99999/app:1',
      'registry.example.com:443x/app:1',
      'registry.example.com./app:1',
      'registry.example.com\\@127.0.0.1/app:1',
      'http://registry.example.com/app:1',
      'ftp://registry.example.com/app:1',
      ` registry.example.com/app:1`,
      `registry.example.com/${'a'.repeat(600)}:1`,
      '',
    ];
    expect(texts.filter((text) => problemOf(text) === null)).toEqual([]);
  });

  it('is written as it is, in no other form of an address', ({ expect }) => {
    const forms = ['2130706433', '0x7f.1', '127.1', '0177.0.0.1', '134744072', '0x8.8.8.8'];
    const texts = forms.map((host) => `${host}/app:1`);
    expect(texts.filter((text) => problemOf(text, PRIVATE) === null)).toEqual([]);
    expect(problemOf('8.8.8.8/app:1')).toBeNull();
  });

  it('may be private, and without TLS, where the operator allows it', ({ expect }) => {
    const texts = ['http://localhost:5000/app:1', '10.0.0.1/app:1', '[::1]:5000/app:1'];
    expect(texts.map((text) => problemOf(text, PRIVATE))).toEqual([null, null, null]);
    expect(texts.filter((text) => problemOf(text) === null)).toEqual([]);
  });

  it('never throws, and gives nothing but a checked origin', ({ expect }) => {
    const pieces = fc.constantFrom(
      'http://',
      'https://',
      'registry.example.com',
      '127.0.0.1',
      '[::1]',
      '@',
      ':',
      '/',
      'a',
      '1.2',
      DIGEST,
      '\\',
      '#',
      '?',
      '%',
      '..',
      ' ',
      'é',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map((list) => list.join('')),
        ),
        (text) => {
          const parsed = parseImportReference(text, PUBLIC);
          if ('reference' in parsed) {
            const url = new URL(
              `${parsed.reference.origin}/v2/${parsed.reference.path}/manifests/x`,
            );
            expect(url.protocol).toBe('https:');
            expect(url.pathname).toBe(`/v2/${parsed.reference.path}/manifests/x`);
            expect(url.hostname).not.toMatch(/^127\.|^\[|localhost/);
          }
        },
      ),
    );
  });
});
