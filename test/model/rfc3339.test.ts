import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { formatRfc3339, parseRfc3339 } from '../../src/model/rfc3339.ts';

const FIRST_MS = Date.UTC(2026, 10, 1);

describe('parseRfc3339', () => {
  it.for([
    ['2026-11-01T00:00:00Z', 0],
    ['2026-11-01t00:00:00z', 0],
    ['2026-11-01', 0],
    ['2026-11-01T00:00:00.5Z', 500],
    ['2026-11-01T00:00:00.1239999Z', 123],
    ['2026-11-01T00:00:00-00:00', 0],
    ['2026-11-01T02:30:00+02:30', 0],
    ['2026-10-31T16:00:00.001-08:00', 1],
    ['2026-11-01T23:59:59.999Z', 86_399_999],
  ] as const)('reads %s', ([text, ms], { expect }) => {
    expect(parseRfc3339(text)).toBe(FIRST_MS + ms);
  });

  it('knows leap years', ({ expect }) => {
    expect(parseRfc3339('2028-02-29')).toBe(Date.UTC(2028, 1, 29));
    expect(parseRfc3339('2026-02-29')).toBeNull();
    expect(parseRfc3339('2100-02-29T00:00:00Z')).toBeNull();
  });

  it.for([
    '',
    'now',
    'yesterday',
    '1793491200',
    '2026',
    '2026-11',
    '2026-13-01',
    '2026-02-30T00:00:00Z',
    '2026-11-01T24:00:00Z',
    '2026-11-01T00:60:00Z',
    '2016-12-31T23:59:60Z',
    '2026-11-01T00:00Z',
    '2026-11-01T00:00:00',
    '2026-11-01T00:00:00.Z',
    '2026-11-01T00:00:00+0100',
    '2026-11-01T00:00:00+24:00',
    '2026-11-01 00:00:00Z',
    '20261101T000000Z',
    '2026-11-01Z',
    '+002026-11-01T00:00:00Z',
    '2026-11-01T00:00:00Z\n',
    'Sun, 01 Nov 2026 00:00:00 GMT',
    '２０２６-11-01',
    '0000-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
  ])('refuses %j', (text, { expect }) => {
    expect(parseRfc3339(text)).toBeNull();
  });
});

describe('formatRfc3339', () => {
  it('writes what the other one reads', ({ expect }) => {
    const time = fc.integer({
      min: Date.parse('0000-01-01'),
      max: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
    });
    fc.assert(
      fc.property(time, (timeMs) => {
        const text = formatRfc3339(timeMs);
        expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        expect(parseRfc3339(text ?? '')).toBe(timeMs);
      }),
    );
  });

  it('gives null for years that it cannot write', ({ expect }) => {
    expect(formatRfc3339(Date.UTC(10_000, 0, 1))).toBeNull();
    expect(formatRfc3339(Date.parse('0000-01-01') - 1)).toBeNull();
    expect(formatRfc3339(Number.MAX_SAFE_INTEGER)).toBeNull();
  });
});
