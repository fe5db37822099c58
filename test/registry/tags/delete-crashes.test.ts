import { describe, it } from 'vitest';

import { anIndex } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { openStage, select } from '../../support/stage.ts';

const SETTINGS = { resetChildManifestExpiration: true };

/** An index with one tag, a child that a temporary tag keeps, and the index's signature. */
async function aSignedIndex() {
  const stage = await openStage({ settings: SETTINGS });
  return {
    ...stage,
    async arrange() {
      await stage.clear();
      const child = await stage.image();
      await stage.registry.createManifestWithTempTag(stage.repository, child, 3600);
      const index = await anIndex([child]);
      const { manifest } = await stage.push('latest', index);
      await stage.push(`${index.digest.replace(':', '-')}.sig`, await stage.image());
      return { manifest };
    },
    /** How many of the three tags are alive. */
    alive: async () => (await select('SELECT id FROM tag WHERE is_current = 1')).length,
  };
}

describe('a delete that dies anywhere', () => {
  it('of a tag did nothing, or ended the tag, its signature and the temporary tags', async ({
    expect,
  }) => {
    const stage = await aSignedIndex();
    const points = await crashEverywhere(async () => {
      await stage.arrange();
      const before = await stage.generation();
      return {
        operation: (gate) => stage.behind(gate).deleteTag(stage.repository, 'latest'),
        check: async (point) => {
          const alive = await stage.alive();
          expect([0, 3], JSON.stringify(point)).toContain(alive);
          expect(await stage.generation()).toBe(before + (alive === 0 ? 1 : 0));
          expect(await findViolations()).toEqual([]);
          const again = await stage.registry.deleteTag(stage.repository, 'latest');
          expect(again?.name ?? null).toBe(alive === 0 ? null : 'latest');
          expect(await stage.alive()).toBe(0);
          expect(await findViolations()).toEqual([]);
        },
      };
    });
    expect(points).toHaveLength(2);
  });

  it('by digest did nothing, or all of it', async ({ expect }) => {
    const stage = await aSignedIndex();
    const points = await crashEverywhere(async () => {
      const { manifest } = await stage.arrange();
      return {
        operation: (gate: Gate) => stage.behind(gate).deleteTagsForManifest(manifest),
        check: async (point) => {
          const alive = await stage.alive();
          expect([0, 3], JSON.stringify(point)).toContain(alive);
          expect(await findViolations()).toEqual([]);
          const { tags } = await stage.registry.deleteTagsForManifest(manifest);
          expect(tags).toHaveLength(alive === 0 ? 0 : 1);
          expect(await stage.alive()).toBe(0);
          expect(await findViolations()).toEqual([]);
        },
      };
    });
    expect(points).toHaveLength(2);
  });
});
