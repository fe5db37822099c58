import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import { openLegacyImageIds } from '../../src/model/legacy-image-id.ts';

const SECRET = 'a secret for these tests alone, that is long';

const place = fc.record({
  manifestId: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  layerIndex: fc.nat({ max: 2 ** 32 - 1 }),
});

describe('the id of a legacy image', () => {
  it('scenario 37 (blobs): reads back as what it was made of', async ({ expect }) => {
    const ids = await openLegacyImageIds(SECRET);
    const seen = new Set<string>();
    for (const manifestId of [1, 1000, 60_000]) {
      for (let layerIndex = 0; layerIndex <= 9; layerIndex += 1) {
        const id = await ids.encode({ manifestId, layerIndex });
        expect(id).toMatch(/^[0-9a-f]{64}$/);
        expect(await ids.decode(id)).toEqual({ manifestId, layerIndex });
        seen.add(id);
      }
    }
    expect(seen.size).toBe(30);
    expect(await ids.decode('invalidvalue')).toBeNull();
  });

  it('reads back whatever it was made of, and is the same every time', async ({ expect }) => {
    await fc.assert(
      fc.asyncProperty(place, async (given) => {
        const id = await (await openLegacyImageIds(SECRET)).encode(given);
        const ids = await openLegacyImageIds(SECRET);
        expect(await ids.decode(id)).toEqual(given);
        expect(await ids.encode(given)).toBe(id);
      }),
    );
  });

  it('has exactly this text for ever', async ({ expect }) => {
    const ids = await openLegacyImageIds(SECRET);
    expect(await ids.encode({ manifestId: 4711, layerIndex: 3 })).toBe(
      '0af5c7c1fa91bcedd99cb943281bf1941cba6bbaf7cac39a5b97ce300ecad472',
    );
  });

  it('is nothing once any of its bits is changed', async ({ expect }) => {
    const ids = await openLegacyImageIds(SECRET);
    const id = await ids.encode({ manifestId: 4711, layerIndex: 3 });
    for (let at = 0; at < id.length; at += 1) {
      for (const bit of [1, 2, 4, 8]) {
        const digit = (Number.parseInt(id.charAt(at), 16) ^ bit).toString(16);
        expect(await ids.decode(id.slice(0, at) + digit + id.slice(at + 1))).toBeNull();
      }
    }
  });

  it('is nothing under another secret, and tells nothing of its place', async ({ expect }) => {
    const ids = await openLegacyImageIds(SECRET);
    const other = await openLegacyImageIds(`${SECRET}.`);
    const leaf = await ids.encode({ manifestId: 1, layerIndex: 0 });
    expect(await other.decode(leaf)).toBeNull();
    const next = await ids.encode({ manifestId: 1, layerIndex: 1 });
    const same = leaf.split('').filter((digit, at) => digit === next[at]).length;
    expect(same).toBeLessThan(20);
  });

  it('is nothing for any other text', async ({ expect }) => {
    const ids = await openLegacyImageIds(SECRET);
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[0-9a-f]{64}$/),
      fc.stringMatching(/^[0-9A-F]{64}$/),
    );
    await fc.assert(
      fc.asyncProperty(text, async (given) => {
        expect(await ids.decode(given)).toBeNull();
      }),
      { numRuns: 50 },
    );
    const id = await ids.encode({ manifestId: 1, layerIndex: 0 });
    for (const bent of [id.toUpperCase(), `${id}\n`, ` ${id}`, id.slice(1), `sha256:${id}`]) {
      expect(await ids.decode(bent)).toBeNull();
    }
  });
});
