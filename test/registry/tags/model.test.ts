import { env } from 'cloudflare:workers';
import * as fc from 'fast-check';
import { describe, type ExpectStatic, it } from 'vitest';

import { SECOND_MS } from '../../support/clock.ts';
import { findViolations } from '../../support/invariants.ts';
import { openStage } from '../../support/stage.ts';
import { expectedAnswers } from './model/answers.ts';
import { answersOf, readTable } from './model/ask.ts';
import type { Generation, NamedGeneration } from './model/generation.ts';
import { type Run, run } from './model/runs.ts';
import type { Step } from './model/steps.ts';
import { take } from './model/take.ts';
import { beginRun, stageImages, type World } from './model/world.ts';

const LIMIT_MS = Number(env.MODEL_SECONDS) * SECOND_MS;
const RUNS_PER_SECOND_MAX = 10;

/** Steps that change no visible tag but its lock. */
const UNSEEN: readonly Step['kind'][] = [
  'advance',
  'go',
  'configure',
  'look',
  'keep',
  'require',
  'change lock',
  'sweep',
];

/** Steps that write what they find, even if that is what was there. */
const UNCONDITIONAL: readonly Step['kind'][] = ['change ends', 'change locks'];

interface Moment {
  readonly generation: number;
  readonly rows: readonly Generation[];
  readonly alive: readonly NamedGeneration[];
}

/** I14: the generation of the tags rises when their set is changed, or when one of them ends. */
function generationMoved(step: Step, before: Moment, after: Moment): 'well' | 'not' | 'needlessly' {
  const endsOf = ({ alive }: Moment) => JSON.stringify(alive.map(({ id, endMs }) => [id, endMs]));
  const wroteNothing = JSON.stringify(before.rows) === JSON.stringify(after.rows);
  if (UNSEEN.includes(step.kind) || (wroteNothing && !UNCONDITIONAL.includes(step.kind))) {
    return after.generation === before.generation ? 'well' : 'needlessly';
  }
  const isRaised = after.generation > before.generation;
  return isRaised || endsOf(before) === endsOf(after) ? 'well' : 'not';
}

/** Takes all steps in both worlds, and compares the two after each; gives what is violated then. */
async function follow({ taken }: Run, start: World, expect: ExpectStatic) {
  const { stage, state } = start;
  let world = start;
  let lockedMayEnd = false;
  let generation = await stage.generation();
  for (const { step, question } of taken) {
    const { immutableTags, immutableTagsCanExpire } = state.settings;
    lockedMayEnd ||= immutableTagsCanExpire || !immutableTags;
    const before = { generation, rows: state.rows, alive: state.alive };
    const { expected, answered, world: next } = await take(step, world);
    world = next;
    expect(answered).toEqual(expected);
    const table = await readTable(world);
    expect(table.rows).toEqual(state.rows);
    ({ generation } = table);
    const after = { generation, rows: state.rows, alive: state.alive };
    expect(generationMoved(step, before, after)).toBe('well');
    expect(await answersOf(question, world)).toEqual(expectedAnswers(question, world, generation));
  }
  const removed = [...state.removed].map((row) => row + world.idsBefore + 1);
  return findViolations({ removed, lockedMayEnd });
}

describe('any sequence of writes, settings and moments', () => {
  it(
    'I1 to I5, I9, I10, I14 to I18, I20, I21: leaves the tags that the rules say',
    async ({ annotate, expect }) => {
      const stage = await openStage();
      const images = await stageImages(stage);
      let steps = 0;
      await fc.assert(
        fc.asyncProperty(run, async (each) => {
          const world = await beginRun(each, { stage, images });
          expect(await follow(each, world, expect)).toEqual([]);
          steps += each.taken.length;
        }),
        {
          seed: Number(env.MODEL_SEED),
          numRuns: RUNS_PER_SECOND_MAX * Number(env.MODEL_SECONDS),
          plugins: [fc.interruptAfterTimeLimit(LIMIT_MS)],
        },
      );
      await annotate(`${steps} steps were as the model says`);
    },
    LIMIT_MS + 40_000,
  );
});
