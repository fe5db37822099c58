import { describe, it } from 'vitest';

import { DAY_MS, HOUR_MS, START_MS } from '../../support/clock.ts';
import { openStage } from '../../support/stage.ts';

describe('a pull of a tag that ends by itself', () => {
  it('is told of the end from exactly 72 hours before it', async ({ expect }) => {
    const stage = await openStage();
    const name = { namespace: stage.repository.namespaceName, repository: stage.repository.name };
    const labels = { 'quay.expires-after': '4d' };
    const { tag } = await stage.push('v1', await stage.image({ labels }));
    const endMs = START_MS + 4 * DAY_MS;
    const toldAt = async (nowMs: number) => {
      stage.clock.set(nowMs);
      const resolved = await stage.operations.resolveTag(name, tag.name, { withBytes: false });
      return resolved?.endsSoonMs;
    };
    expect(await toldAt(START_MS)).toBeNull();
    expect(await toldAt(endMs - 72 * HOUR_MS - 1)).toBeNull();
    expect(await toldAt(endMs - 72 * HOUR_MS)).toBe(endMs);
    expect(await toldAt(endMs - 1)).toBe(endMs);
    // Over: there is nothing to pull.
    expect(await toldAt(endMs)).toBeNull();
  });

  it('that has no end is told of none', async ({ expect }) => {
    const stage = await openStage();
    const name = { namespace: stage.repository.namespaceName, repository: stage.repository.name };
    const { tag } = await stage.push('v1', await stage.image());
    const resolved = await stage.operations.resolveTag(name, tag.name, { withBytes: false });
    expect(resolved?.endsSoonMs).toBeNull();
  });
});
