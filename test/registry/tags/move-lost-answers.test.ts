import { describe, it } from 'vitest';

import { AnswerLost } from '../../../src/storage/d1/errors.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { FATES_OF_READ_AND_WRITE, losing } from '../../support/lost-answers.ts';
import { openStage } from '../../support/stage.ts';

const ATTEMPTS = 3;
describe('a move whose answers are lost', () => {
  it.for([
    ['makes one generation', {}],
    ['is not refused by the immutable tag that it made itself', { 'quay.immutable': 'true' }],
    ['adds one generation where the tag points to the manifest already', null],
  ] as const)('%s, whichever they are', async ([, labels], { expect }) => {
    const stage = await openStage();
    const image = await stage.image();
    const { manifest: source } = await stage.push('source', image);
    const { manifest: target } =
      labels === null
        ? { manifest: source }
        : await stage.push('target', await stage.image({ labels }));
    for (const [number, fates] of FATES_OF_READ_AND_WRITE.entries()) {
      const name = `v${number}`;
      await stage.push(name, image);
      const before = await stage.generation();
      const { gate, losses } = losing(fates);
      const [outcome] = await Promise.allSettled([
        stage.behind(gate).retargetTag(stage.repository, name, target),
      ]);
      const rows = await stage.generations(name);
      const story = fates.join(', ');
      if (outcome.status === 'fulfilled') {
        expect(rows, story).toHaveLength(2);
        const found = await stage.registry.getRepoTag(stage.repository, name);
        expect(outcome.value, story).toEqual(found);
        expect(found?.manifestDigest).toBe(target.digest);
      } else {
        expect([outcome.reason, losses()], story).toEqual([expect.any(AnswerLost), ATTEMPTS]);
        expect(rows.length).toBeLessThanOrEqual(2);
      }
      expect(await stage.generation()).toBe(before + rows.length - 1);
    }
    expect(await findViolations()).toEqual([]);
  });

  it('and which restores does not take a push for its own work', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image();
    const { manifest } = await stage.push('latest', image);
    await stage.push('latest', await stage.image());
    let calls = 0;
    const gate: Gate = async (_call, run) => {
      calls += 1;
      if (calls === 2) {
        await stage.push('latest', image);
        throw new Error('D1_ERROR: Network connection lost.');
      }
      return run();
    };
    const options = { isReversion: true };
    await stage.behind(gate).retargetTag(stage.repository, 'latest', manifest, options);
    const rows = await stage.generations('latest');
    expect(rows.map((row) => row['reversion'])).toEqual([0, 0, 0, 1]);
    expect(await findViolations()).toEqual([]);
  });
});
