import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { formatRepositoryName, parseRepositoryName, parseTagName } from '../../src/model/names.ts';

const REPOSITORY_NAME_LENGTH_MAX = 255;

/** One component of a name, by the distribution-spec's own expression. */
const component = fc.stringMatching(/^[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}$/);

describe('parseTagName', () => {
  it.for(['l', '1', '_', 'latest', 'v1.0-RC_2', 'sha256-abc.sig', 'A..', 'x'.repeat(128)])(
    'scenario 55: takes %s',
    (text, { expect }) => {
      expect(parseTagName(text)).toBe(text);
    },
  );

  it.for([
    '',
    'x'.repeat(129),
    '.fail',
    '-fail',
    'a b',
    'a/b',
    'a:b',
    '$temp-1',
    'latest\n',
    '\nlatest',
    'é',
    'a+b',
    'a%2F',
  ])('scenario 55: refuses %j', (text, { expect }) => {
    expect(parseTagName(text)).toBeNull();
  });

  it('takes every word of its alphabet and nothing that could be a digest', ({ expect }) => {
    fc.assert(
      fc.property(fc.stringMatching(/^\w[\w.-]{1,127}$/), (text) => {
        expect(parseTagName(text)).toBe(text);
        expect(parseTagName(`${text}:${text}`)).toBeNull();
      }),
    );
  });
});

describe('parseRepositoryName', () => {
  it.for([
    ['library', 'alpine', 'alpine'],
    ['a', 'b', 'a/b'],
    ['org', 'team/app', 'org/team/app'],
    ['a', 'blobs/b', 'a/blobs/b'],
    ['tags', 'list', 'tags/list'],
    ['a-b', 'c__d/e.f', 'a-b/c__d/e.f'],
    ['a---b', '0', 'a---b/0'],
  ] as const)('splits %s from %s at the first slash', (row, { expect }) => {
    const [namespace, repository, text] = row;

    expect(parseRepositoryName(text)).toEqual({ namespace, repository });
  });

  it.for([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A/b',
    'a/B',
    'a/_b',
    'a/b_',
    'a/.b',
    'a/b.',
    'a/-b',
    'a..b/c',
    'a/b___c',
    'a/b._c',
    'a/b c',
    'a/b\n',
    'a/é',
    '../a',
    'a/_catalog',
  ])('refuses %j', (text, { expect }) => {
    expect(parseRepositoryName(text)).toBeNull();
  });

  it('counts the namespace that a single component belongs to', ({ expect }) => {
    const full = 'x'.repeat(REPOSITORY_NAME_LENGTH_MAX - 'a/'.length);

    expect(parseRepositoryName(`a/${full}`)).not.toBeNull();
    expect(parseRepositoryName(`a/${full}x`)).toBeNull();
    expect(parseRepositoryName(full)).toBeNull();
  });

  it('is undone by formatRepositoryName', ({ expect }) => {
    const components = fc.array(component, { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(components, (parts) => {
        const text = parts.join('/');
        const name = parseRepositoryName(text);

        expect(name?.namespace).toBe(parts[0]);
        expect(name === null ? null : formatRepositoryName(name)).toBe(text);
      }),
    );
  });

  it('takes a long run of separators as quickly as any name', ({ expect }) => {
    expect(parseRepositoryName(`a/${'a-'.repeat(100_000)}/`)).toBeNull();
    expect(parseRepositoryName(`a/a${'-'.repeat(100_000)}`)).toBeNull();
  });
});
