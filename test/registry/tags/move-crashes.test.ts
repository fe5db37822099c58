import { describe, it } from 'vitest';

import type { Gate } from '../../support/gate.ts';
import { crashEverywhere } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { openStage } from '../../support/stage.ts';

describe('a move that dies anywhere', () => {
  it('did nothing or all of it, and succeeds when it is sent again', async ({ expect }) => {
    const stage = await openStage();
    const { repository } = stage;
    const points = await crashEverywhere(async () => {
      await stage.clear();
      const old = await stage.image();
      await stage.push('latest', old);
      await stage.push(`${old.digest.replace(':', '-')}.sig`, await stage.image());
      const labels = { 'quay.expires-after': '1d' };
      const { manifest } = await stage.push('target', await stage.image({ labels }));
      const before = await stage.generation();
      const move = (gate?: Gate) => {
        const registry = gate === undefined ? stage.registry : stage.behind(gate);
        return registry.retargetTag(repository, 'latest', manifest);
      };
      return {
        operation: move,
        check: async (point) => {
          const rows = await stage.generations('latest');
          const isDone = rows.length === 2;
          expect(isDone, JSON.stringify(point)).toBe(
            point.when === 'after' && point.callNumber === 2,
          );
          // The signature goes with the last tag, the generation rises, and the hint knows.
          expect(await stage.names()).toHaveLength(isDone ? 2 : 3);
          expect(await stage.generation()).toBe(before + (isDone ? 1 : 0));
          expect(await findViolations()).toEqual([]);
          const { id } = await move();
          const current = await stage.registry.getRepoTag(repository, 'latest');
          expect(current).toMatchObject({ id, manifestDigest: manifest.digest });
          expect(await stage.names()).toEqual(['latest', 'target']);
          expect(await findViolations()).toEqual([]);
        },
      };
    });
    expect(points).toHaveLength(4);
  });
});
