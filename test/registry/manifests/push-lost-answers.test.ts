import { describe, it } from 'vitest';

import { AnswerLost } from '../../../src/storage/d1/errors.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openStage, select } from '../../support/stage.ts';

const ATTEMPTS = 3;
/** A push by tag calls twice: its reads, then its batch. */
const FATES = allFates(4);

describe('a push whose answers are lost', () => {
  it.for([
    ['makes one generation', {}],
    ['is not refused by the immutable tag that it made itself', { 'quay.immutable': 'true' }],
  ] as const)('%s, whichever they are', async ([, labels], { expect }) => {
    const stage = await openStage();
    for (const fates of FATES) {
      await stage.clear();
      await stage.push('latest', await stage.image());
      const before = await stage.generation();
      const image = await stage.image({ labels });
      const { gate, losses } = losing(fates);
      const [outcome] = await Promise.allSettled([stage.push('latest', image, gate)]);
      const rows = await stage.generations('latest');
      const story = fates.join(', ');
      if (outcome.status === 'fulfilled') {
        expect(rows, story).toHaveLength(2);
        expect(outcome.value.tag.id).toBe(rows[1]?.['id']);
        expect(outcome.value.created).toBe(true);
        expect(outcome.value.manifest.bytes).toEqual(image.bytes);
      } else {
        expect([outcome.reason, losses()], story).toEqual([expect.any(AnswerLost), ATTEMPTS]);
        expect(rows.length).toBeLessThanOrEqual(2);
      }
      expect(await stage.generation()).toBe(before + rows.length - 1);
    }
    expect(await findViolations()).toEqual([]);
  });

  it('adds one generation to a name that points to the manifest already', async ({ expect }) => {
    const stage = await openStage();
    for (const fates of FATES) {
      await stage.clear();
      const image = await stage.image();
      await stage.push('latest', image);
      const [outcome] = await Promise.allSettled([stage.push('latest', image, losing(fates).gate)]);
      const rows = await stage.generations('latest');
      if (outcome.status === 'fulfilled') {
        expect(rows, fates.join(', ')).toHaveLength(2);
        expect(outcome.value).toMatchObject({ created: false, tag: { id: rows[1]?.['id'] } });
      } else {
        expect(rows.length).toBeLessThanOrEqual(2);
      }
    }
  });

  it('by digest keeps the manifest by one temporary tag', async ({ expect }) => {
    const stage = await openStage();
    for (const fates of FATES) {
      await stage.clear();
      const image = await stage.image();
      const { gate, losses } = losing(fates);
      const [outcome] = await Promise.allSettled([
        stage.behind(gate).createManifestWithTempTag(stage.repository, image, 60),
      ]);
      const tags = await select('SELECT id FROM tag');
      if (outcome.status === 'fulfilled') {
        expect(tags, fates.join(', ')).toHaveLength(1);
      } else {
        expect([outcome.reason, losses()]).toEqual([expect.any(AnswerLost), ATTEMPTS]);
        expect(tags.length).toBeLessThanOrEqual(1);
      }
    }
    expect(await findViolations()).toEqual([]);
  });

  it('and whose body is in R2 owns that body', async ({ expect }) => {
    const stage = await openStage();
    for (const [call] of [1, 2, 3].entries()) {
      for (const fate of ['committed, then lost', 'lost before'] as const) {
        await stage.clear();
        const image = await stage.image({ padding: 1_000_001 });
        const fates = [...Array.from({ length: call }, () => 'answered' as const), fate];
        const { tag } = await stage.push('latest', image, losing(fates).gate);
        expect((await stage.registry.getManifestForTag(tag))?.bytes).toEqual(image.bytes);
        expect(await stage.generations('latest')).toHaveLength(1);
        expect(await findViolations()).toEqual([]);
      }
    }
  });

  it.for([['committed, then lost'], ['lost before']] as const)(
    'ends in an error when all are %s',
    async ([fate], { expect }) => {
      const stage = await openStage();
      const image = await stage.image();
      const push = (gate: Gate) => stage.push('latest', image, gate);
      await expect(push(losing([], fate).gate)).rejects.toBeInstanceOf(AnswerLost);
      await expect(push(losing(['answered'], fate).gate)).rejects.toBeInstanceOf(AnswerLost);
      expect(await findViolations()).toEqual([]);
    },
  );
});
