import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { computeDigest } from '../../../src/model/digest.ts';
import { RunningHash } from '../../../src/registry/uploads/running-hash.ts';
import { uniqueBytes } from '../../support/content.ts';

const bytesAndCuts = fc
  .uint8Array({ maxLength: 400 })
  .chain((bytes) =>
    fc.tuple(
      fc.constant(new Uint8Array(bytes)),
      fc.array(fc.nat({ max: bytes.length }), { maxLength: 6 }),
    ),
  );

/** The hash of bytes that come in pieces, put down and taken up again between any two. */
function hashInPieces(bytes: Uint8Array, cuts: readonly number[]): RunningHash {
  let hash = RunningHash.empty();
  let from = 0;
  for (const to of [...cuts].toSorted((one, other) => one - other).concat(bytes.byteLength)) {
    hash.update(bytes.subarray(from, to));
    hash = RunningHash.restore(hash.serialize());
    from = to;
  }
  return hash;
}

describe('a running hash', () => {
  it('is the SHA-256 of all its bytes, wherever it was put down', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(bytesAndCuts, async ([bytes, cuts]) => {
        const expected = await computeDigest('sha256', bytes);
        expect(hashInPieces(bytes, cuts).digest()).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('is right at every cut around the ends of blocks', async ({ expect }) => {
    const bytes = uniqueBytes(200);
    const expected = await computeDigest('sha256', bytes);
    for (let cut = 0; cut <= bytes.byteLength; cut += 1) {
      expect(hashInPieces(bytes, [cut]).digest()).toBe(expected);
    }
  });

  it('has the same text for the same bytes, however they came', ({ expect }) => {
    fc.assert(
      fc.property(bytesAndCuts, ([bytes, cuts]) => {
        expect(hashInPieces(bytes, cuts).serialize()).toBe(hashInPieces(bytes, []).serialize());
      }),
    );
  });

  it('can go on after it was put down', async ({ expect }) => {
    const hash = RunningHash.empty();
    const bytes = uniqueBytes(100);
    hash.update(bytes.subarray(0, 70));
    hash.serialize();
    hash.update(bytes.subarray(70));
    expect(hash.digest()).toBe(await computeDigest('sha256', bytes));
  });

  it('stays right above four gigabytes, where its count no longer fits 32 bits', ({ expect }) => {
    const count = 2 ** 32 + 3 * 64 + 10;
    const bytes = Uint8Array.from(atob(hashInPieces(new Uint8Array(10), []).serialize()), (c) =>
      c.charCodeAt(0),
    );
    new DataView(bytes.buffer).setBigUint64(33, BigInt(count));
    const text = btoa(String.fromCharCode(...bytes));
    expect(RunningHash.restore(text).serialize()).toBe(text);
  });

  it('takes up nothing but what it put down', ({ expect }) => {
    expect(() => RunningHash.restore('')).toThrow(TypeError);
    expect(() => RunningHash.restore(btoa('short'))).toThrow(TypeError);
    const [, ...rest] = atob(RunningHash.empty().serialize());
    expect(() => RunningHash.restore(btoa(['\u0002', ...rest].join('')))).toThrow(TypeError);
  });
});
