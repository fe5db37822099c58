import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import {
  algorithmOf,
  computeDigest,
  digestOf,
  hasDigestSyntax,
  hashBytesOf,
  hexOf,
  parseDigest,
} from '../../src/model/digest.ts';

const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const SHA512_OF_NOTHING =
  'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce' +
  '47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e';

const LENGTHS = { sha256: 32, sha512: 64 } as const;
const algorithmAndHash = fc
  .constantFrom('sha256', 'sha512')
  .chain((algorithm) =>
    fc.tuple(
      fc.constant(algorithm),
      fc.uint8Array({ minLength: LENGTHS[algorithm], maxLength: LENGTHS[algorithm] }),
    ),
  );

describe('parseDigest', () => {
  it.for([`sha256:${SHA256_OF_NOTHING}`, `sha512:${SHA512_OF_NOTHING}`])(
    'takes %s',
    (text, { expect }) => {
      expect(parseDigest(text)).toBe(text);
      expect(hasDigestSyntax(text)).toBe(true);
    },
  );

  it.for([
    '',
    ':',
    'sha256',
    'sha256:',
    SHA256_OF_NOTHING,
    `sha256:${SHA256_OF_NOTHING.slice(1)}`,
    `sha256:${SHA256_OF_NOTHING}0`,
    `sha256:${SHA256_OF_NOTHING.toUpperCase()}`,
    `sha256:${SHA256_OF_NOTHING}\n`,
    ` sha256:${SHA256_OF_NOTHING}`,
    `sha256:g${SHA256_OF_NOTHING.slice(1)}`,
    `sha512:${SHA256_OF_NOTHING}`,
    `sha256:${SHA512_OF_NOTHING}`,
    `SHA256:${SHA256_OF_NOTHING}`,
  ])('refuses %j, which has not even the syntax', (text, { expect }) => {
    expect(parseDigest(text)).toBeNull();
    expect(hasDigestSyntax(text)).toBe(false);
  });

  it.for(['md5:d41d8cd98f00b204e9800998ecf8427e', 'multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdB'])(
    'refuses %s, whose algorithm it does not compute',
    (text, { expect }) => {
      expect(parseDigest(text)).toBeNull();
      expect(hasDigestSyntax(text)).toBe(true);
    },
  );

  it('takes only what has the syntax', ({ expect }) => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `sha256:${text}`),
        ),
        (text) => {
          expect(parseDigest(text) === null || hasDigestSyntax(text)).toBe(true);
        },
      ),
    );
  });
});

describe('a digest', () => {
  it('is written and read without loss', ({ expect }) => {
    fc.assert(
      fc.property(algorithmAndHash, ([algorithm, hash]) => {
        const digest = digestOf(algorithm, hash);

        expect(parseDigest(digest)).toBe(digest);
        expect(algorithmOf(digest)).toBe(algorithm);
        expect(`${algorithm}:${hexOf(digest)}`).toBe(digest);
        expect(Array.from(hashBytesOf(digest))).toEqual(Array.from(hash));
      }),
    );
  });

  it('is computed over the bytes', async ({ expect }) => {
    const nothing = new Uint8Array();

    expect(await computeDigest('sha256', nothing)).toBe(`sha256:${SHA256_OF_NOTHING}`);
    expect(await computeDigest('sha512', nothing)).toBe(`sha512:${SHA512_OF_NOTHING}`);
  });

  it('of a view covers the view alone', async ({ expect }) => {
    const whole = new Uint8Array([1, 2, 3, 4]);

    expect(await computeDigest('sha256', whole.subarray(1, 3))).toBe(
      await computeDigest('sha256', new Uint8Array([2, 3])),
    );
  });
});
