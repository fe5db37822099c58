import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { matchesSubject, subjectPatternProblem } from '../../src/model/federation.ts';

/** Tries every way to spread the subject over the wildcards. */
function matchesNaively(pattern: string, subject: string): boolean {
  if (pattern === '') {
    return subject === '';
  }
  if (pattern.startsWith('*')) {
    return Array.from({ length: subject.length + 1 }, (_, taken) => taken).some((taken) =>
      matchesNaively(pattern.slice(1), subject.slice(taken)),
    );
  }
  return subject.startsWith(pattern[0] ?? '') && matchesNaively(pattern.slice(1), subject.slice(1));
}

/** Few letters and short texts, so that pieces repeat and overlap. */
const subjectText = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 6 });
const patternText = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 5 });
/** What stands for `b`: a letter, or what means something to other kinds of patterns. */
const letter = fc.constantFrom('b', '.', '?', '+', '\\', '[', '$', '\n', 'é');

describe('matchesSubject', () => {
  it('says what trying all ways says', ({ expect }) => {
    fc.assert(
      fc.property(patternText, subjectText, letter, (pattern, subject, b) => {
        const isMatch = matchesSubject(pattern.replaceAll('b', b), subject.replaceAll('b', b));
        expect(isMatch).toBe(matchesNaively(pattern, subject));
      }),
      { numRuns: 5000 },
    );
  });

  it('takes the subjects that a pattern was made of', ({ expect }) => {
    fc.assert(
      fc.property(fc.array(subjectText, { maxLength: 6 }), subjectText, (pieces, filling) => {
        expect(matchesSubject(pieces.join('*'), pieces.join(filling))).toBe(true);
      }),
    );
  });

  const main = 'repo:acme/app:ref:refs/heads/main';
  const cases: readonly (readonly [string, string, boolean])[] = [
    [main, main, true],
    [main, `${main}2`, false],
    [main, `x${main}`, false],
    [main, main.toUpperCase(), false],
    ['repo:acme/app:*', main, true],
    ['repo:acme/app:*', 'repo:acme/app2:ref:refs/heads/main', false],
    ['repo:acme/app:*', 'repo:acme/app:', true],
    ['repo:acme/*:ref:refs/heads/main', main, true],
    ['repo:acme/*:ref:refs/heads/main', 'repo:acme/app:ref:refs/heads/main2', false],
    ['repo:acme/*:ref:refs/heads/main', 'repo:acme/app:pull_request', false],
    ['repo:acme/app:ref:refs/tags/v*', 'repo:acme/app:ref:refs/tags/v1.0', true],
    ['repo:acme/app:ref:refs/tags/v*', 'repo:acme/app:ref:refs/heads/v1', false],
    ['a:b*b', 'a:b', false],
    ['repo:acme/a.p', 'repo:acme/app', false],
    ['repo:acme/[a]*', 'repo:acme/app', false],
  ];
  it.for(cases)('%s and %s: %s', ([pattern, subject, isMatch], { expect }) => {
    expect(matchesSubject(pattern, subject)).toBe(isMatch);
  });

  it('takes no subject of more than 1024 characters, and no long time for one', ({ expect }) => {
    const subject = `a:${'ab'.repeat(511)}`;
    expect(matchesSubject('a:*', subject)).toBe(true);
    expect(matchesSubject('a:*', `${subject}x`)).toBe(false);
    // What goes back for each wildcard would try more ways here than there are seconds.
    expect(matchesSubject(`a:${'*ab'.repeat(80)}*c`, subject)).toBe(false);
  });
});

describe('subjectPatternProblem', () => {
  it.for([
    'repo:acme/app:ref:refs/heads/main',
    'project_path:acme/app:ref_type:branch:ref:main',
    'repo:acme/*',
    'repo:a*',
    'system:serviceaccount:ci:*',
    'repo:acme/app:environment:Production 1',
    '113456789',
    `repo:${'x'.repeat(250)}`,
  ])('takes %s', (pattern, { expect }) => {
    expect(subjectPatternProblem(pattern)).toBeNull();
  });

  it.for([
    '',
    '*',
    '***',
    'repo:*',
    'repo:*/app:ref:refs/heads/main',
    'repo*',
    '*:ref:refs/heads/main',
    'repo:/*',
    `repo:${'x'.repeat(251)}`,
    'repo:acme/app\n',
    'repo:acme/\ud800',
  ])('refuses %j', (pattern, { expect }) => {
    expect(subjectPatternProblem(pattern)).not.toBeNull();
  });
});
