import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { isLabelKey, labelMediaType, parseLabelMediaType } from '../../src/image/labels.ts';

/** The rule as other registries write it. */
const SPECIFIED = /^[a-z0-9](([a-z0-9]|[-.](?![.-]))*[a-z0-9])?$/;
const isSpecified = (key: string): boolean => key.length <= 255 && SPECIFIED.test(key);

/** Texts that are keys, nearly keys, and anything else. */
const nearlyKey = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '0', '-', '.'), maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('a', 'z', '9', '-', '.', '_', 'A', '\n', ' ', 'ä') }),
  fc.stringMatching(/^[a-z0-9]+([-.][a-z0-9]+)*[-.]?$/),
  fc.string({ unit: fc.constantFrom('a', '.'), minLength: 250, maxLength: 260 }),
  fc.nat({ max: 4 }).map((more) => 'a'.repeat(253 + more)),
  fc.string({ unit: 'binary' }),
);
const chosenSource = fc.constantFrom('api', 'internal');

describe('isLabelKey', () => {
  it('is the specified rule for keys that somebody chose', ({ expect }) => {
    fc.assert(
      fc.property(nearlyKey, chosenSource, (key, source) => {
        expect(isLabelKey(key, source)).toBe(isSpecified(key));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes anything but the empty key from an image', ({ expect }) => {
    fc.assert(
      fc.property(nearlyKey, (key) => {
        expect(isLabelKey(key, 'manifest')).toBe(key !== '');
      }),
    );
  });

  it('decides about the longest keys at once', ({ expect }) => {
    for (const key of [
      `${'a'.repeat(100_000)}_`,
      `${'a.'.repeat(100_000)}_`,
      '-'.repeat(100_000),
    ]) {
      expect(isLabelKey(key, 'api')).toBe(false);
    }
  });
});

describe('the media type of a value', () => {
  it('is JSON exactly for what is, as it stands, a JSON object or array', ({ expect }) => {
    const value = fc.oneof(
      fc.json(),
      fc.json().map((json) => ` ${json}`),
      fc.json().map((json) => `{${json}}`),
      fc.json().map((json) => `[${json}]`),
      fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '1', ' ') }),
      fc.string(),
    );
    fc.assert(
      fc.property(value, (text) => {
        expect(labelMediaType(text) === 'application/json').toBe(isJsonCollection(text));
      }),
      { numRuns: 1000 },
    );
  });

  it('that is given is one of the two, to the letter', ({ expect }) => {
    expect(parseLabelMediaType('text/plain')).toBe('text/plain');
    expect(parseLabelMediaType('application/json')).toBe('application/json');
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.constantFrom('', 'Text/plain', 'text/plain ')),
        (text) => {
          fc.pre(text !== 'text/plain' && text !== 'application/json');
          expect(parseLabelMediaType(text)).toBeNull();
        },
      ),
    );
  });
});

function isJsonCollection(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && text === text.trim();
  } catch {
    return false;
  }
}
