import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { parsePastTag } from '../../src/model/past-tag.ts';
import { tagNamed } from '../support/time-travel.ts';

describe('parsePastTag', () => {
  it.for([
    ['latest.at.20261101Z', 'latest', '2026-11-01T00:00:00Z'],
    ['latest.at.20261101T235959Z', 'latest', '2026-11-01T23:59:59Z'],
    ['1.0-rc_1.at.20280229Z', '1.0-rc_1', '2028-02-29T00:00:00Z'],
    ['x.at.20260101Z.at.20261101Z', 'x.at.20260101Z', '2026-11-01T00:00:00Z'],
    ['at.at.20261101Z', 'at', '2026-11-01T00:00:00Z'],
    ['x..at.00010101Z', 'x.', '0001-01-01T00:00:00Z'],
    [`${'x'.repeat(115)}.at.20261101Z`, 'x'.repeat(115), '2026-11-01T00:00:00Z'],
  ] as const)('reads %s', ([text, tagName, time], { expect }) => {
    expect(parsePastTag(tagNamed(text))).toEqual({ tagName, atMs: Date.parse(time) });
  });

  it.for([
    'latest',
    'latest.at.',
    'latest.at.20261101',
    'latest.at.2026110Z',
    'latest.at.20261399Z',
    'latest.at.20260230Z',
    'latest.at.20260229Z',
    'latest.at.20260001Z',
    'latest.at.20261101TZ',
    'latest.at.20261101T12Z',
    'latest.at.20261101T1200Z',
    'latest.at.20261101T240000Z',
    'latest.at.20261101T235960Z',
    'latest.at.20261101t235959z',
    'latest.at.20261101Z.1',
    'latest.AT.20261101Z',
    'latest-at-20261101Z',
    'at.20261101Z',
    '20261101Z',
  ])('says nothing of %s', (text, { expect }) => {
    expect(parsePastTag(tagNamed(text))).toBeNull();
  });

  it('reads every second that there is', ({ expect }) => {
    const second = fc.integer({
      min: Date.parse('0000-01-01') / 1000,
      max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000,
    });
    fc.assert(
      fc.property(second, (seconds) => {
        const time = new Date(seconds * 1000).toISOString().replaceAll(/[-:]|\.000/g, '');
        const past = parsePastTag(tagNamed(`latest.at.${time}`));
        expect(past).toEqual({ tagName: 'latest', atMs: seconds * 1000 });
      }),
    );
  });
});
