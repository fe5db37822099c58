import { describe, it } from 'vitest';

import { formatByteCount, parseByteCount } from '../../src/model/quota.ts';

describe('a size in words', () => {
  it('is a number of bytes, binary or decimal', ({ expect }) => {
    for (const [text, bytes] of [
      ['1', 1],
      ['512 B', 512],
      ['10 GiB', 10_737_418_240],
      ['10GiB', 10_737_418_240],
      ['1.5 TB', 1_500_000_000_000],
      ['0.0015 KB', null],
      ['1.001 B', 1],
      ['0 GB', null],
      ['0.1 B', null],
      ['9007199254740991', null],
      ['900719925474099', 900_719_925_474_099],
      ['9999 TiB', null],
      ['8191 TiB', 8191 * 1024 ** 4],
      ['1 PiB', null],
      ['1 gib', null],
      ['GiB', null],
      ['', null],
      ['-1', null],
      ['1e3', null],
      [' 1', null],
    ] as const) {
      expect([text, parseByteCount(text)]).toEqual([text, bytes]);
    }
  });

  it('is told in the largest unit that it fills', ({ expect }) => {
    expect([1, 1023, 1024, 1500, 10_737_418_240, 8191 * 1024 ** 4].map(formatByteCount)).toEqual([
      '1 B',
      '1023 B',
      '1 KiB',
      '1.46 KiB',
      '10 GiB',
      '8191 TiB',
    ]);
  });
});
