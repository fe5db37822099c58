import { describe, it } from 'vitest';

import { AnswerLost } from '../../../src/storage/d1/errors.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openStage } from '../../support/stage.ts';

const ATTEMPTS = 3;
const FATES = allFates(4);

describe('a delete whose answers are lost', () => {
  it('of a tag gives the tag with its end, whichever they are', async ({ expect }) => {
    const stage = await openStage();
    for (const fates of FATES) {
      await stage.clear();
      const { tag } = await stage.push('latest', await stage.image());
      const before = await stage.generation();
      stage.clock.advance(1000);
      const { gate, losses } = losing(fates);
      const [outcome] = await Promise.allSettled([
        stage.behind(gate).deleteTag(stage.repository, 'latest'),
      ]);
      const [row] = await stage.generations('latest');
      const story = fates.join(', ');
      if (outcome.status === 'fulfilled') {
        expect(outcome.value, story).toEqual({
          ...tag,
          lifetimeEndMs: stage.clock.nowMs(),
          lifetimeEndTs: stage.clock.nowMs() / 1000,
        });
      } else {
        expect([outcome.reason, losses()], story).toEqual([expect.any(AnswerLost), ATTEMPTS]);
      }
      expect(await stage.generation()).toBe(before + (row?.['is_current'] === 1 ? 0 : 1));
    }
    expect(await findViolations()).toEqual([]);
  });

  it('of a tag leaves alone what was pushed before it begins again', async ({ expect }) => {
    const stage = await openStage();
    const { tag: old } = await stage.push('latest', await stage.image());
    stage.clock.advance(1000);
    const next = await stage.image({ labels: { 'quay.immutable': 'true' } });
    let calls = 0;
    const gate: Gate = async (_call, run) => {
      calls += 1;
      const answer = await run();
      if (calls === 1) {
        stage.clock.advance(1);
        await stage.push('latest', next);
        throw new Error('D1_ERROR: Network connection lost.');
      }
      return answer;
    };
    const deleted = await stage.behind(gate).deleteTag(stage.repository, 'latest');
    expect(deleted?.id).toBe(old.id);
    const alive = await stage.registry.getRepoTag(stage.repository, 'latest');
    expect(alive?.manifestDigest).toBe(next.digest);
    expect(await findViolations()).toEqual([]);
  });

  it('by digest gives the tags that it ended, whichever they are', async ({ expect }) => {
    const stage = await openStage();
    for (const fates of FATES) {
      await stage.clear();
      const image = await stage.image();
      const { manifest, tag } = await stage.push('one', image);
      const { tag: other } = await stage.push('other', image);
      stage.clock.advance(1000);
      const { gate, losses } = losing(fates);
      const [outcome] = await Promise.allSettled([
        stage.behind(gate).deleteTagsForManifest(manifest),
      ]);
      const story = fates.join(', ');
      if (outcome.status === 'fulfilled') {
        expect(outcome.value, story).toEqual({
          tags: [tag, other].map(({ id, name }) => ({ id, name })),
          hiddenEnded: 0,
          stillAvailable: false,
        });
        expect(await stage.names()).toEqual([]);
      } else {
        expect([outcome.reason, losses()], story).toEqual([expect.any(AnswerLost), ATTEMPTS]);
      }
    }
    expect(await findViolations()).toEqual([]);
  });
});
