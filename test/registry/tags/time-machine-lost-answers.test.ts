import { describe, it } from 'vitest';

import { DAY_MS, START_MS } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, endingOf, losing } from '../../support/lost-answers.ts';
import { openStage } from '../../support/stage.ts';

const ATTEMPTS = 3;

describe('a removal from the time machine whose answers are lost', () => {
  it.for([[true], [false]])(
    'says that it was done, whichever they are (isAlive %s)',
    async ([isAlive = false], { expect }) => {
      const stage = await openStage();
      const { registry, repository } = stage;
      const image = await stage.image();
      const removed: number[] = [];
      for (const [number, fates] of allFates(3).entries()) {
        const name = `v${number}`;
        const { tag, manifest } = await stage.push(name, image);
        if (!isAlive) {
          await registry.deleteTag(repository, name);
        }
        const before = await stage.generation();
        const { gate, losses } = losing(fates);
        const ending = await endingOf(
          stage.behind(gate).removeTagFromTimemachine(repository, name, manifest, { isAlive }),
          losses,
        );
        const story = fates.join(', ');
        const [row] = await stage.generations(name);
        const isRemoved = row?.['lifetime_end_ms'] === START_MS - 14 * DAY_MS;
        if ('given' in ending) {
          expect([ending.given, isRemoved], story).toEqual([true, true]);
        } else {
          expect(ending.losses, story).toBe(ATTEMPTS);
        }
        expect(await stage.generation(), story).toBe(before + (isAlive && isRemoved ? 1 : 0));
        removed.push(tag.id);
      }
      expect(await findViolations({ removed })).toEqual([]);
    },
  );

  it('leaves alone what was pushed before it begins again', async ({ expect }) => {
    const stage = await openStage();
    const { repository } = stage;
    const image = await stage.image();
    const { tag, manifest } = await stage.push('latest', image);
    let calls = 0;
    const gate: Gate = async (_call, run) => {
      calls += 1;
      const answer = await run();
      if (calls === 1) {
        await stage.push('latest', image);
        throw new Error('D1_ERROR: Network connection lost.');
      }
      return answer;
    };
    const options = { isAlive: true };
    expect(
      await stage.behind(gate).removeTagFromTimemachine(repository, 'latest', manifest, options),
    ).toBe(true);
    expect(await stage.generations('latest')).toMatchObject([
      { id: tag.id, is_current: 0 },
      { is_current: 1, lifetime_end_ms: null },
    ]);
    expect(await findViolations({ removed: [tag.id] })).toEqual([]);
  });
});
