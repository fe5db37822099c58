import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { HOUR_MS, MINUTE_MS } from '../support/clock.ts';
import { openStage, type Stage } from '../support/stage.ts';
import { digestAt } from '../support/time-travel.ts';
import { TagModel } from './tags/model.ts';

const NAMES = ['a', 'b'];
const STEPS_MS = [-7 * MINUTE_MS, 0, 1, 10 * MINUTE_MS, HOUR_MS - 1, HOUR_MS];

/** An image, and how long its tags live. */
interface Image {
  readonly parsed: ParsedManifest;
  readonly lifeMs: number | null;
}

type Step =
  | { readonly kind: 'push'; readonly name: string; readonly image: number }
  | { readonly kind: 'delete'; readonly name: string }
  | { readonly kind: 'advance'; readonly ms: number };

const name = fc.constantFrom(...NAMES);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('push'), name, image: fc.nat({ max: 2 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), name }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('advance'), ms: fc.constantFrom(...STEPS_MS) }),
  },
);
/** A time near one at which something happened, or any time at all. */
const instant = fc.record({
  name,
  happening: fc.nat(),
  offsetMs: fc.oneof(
    fc.constantFrom(-1, 0, 1),
    fc.integer({ min: -2 * HOUR_MS, max: 2 * HOUR_MS }),
  ),
});

async function take(
  taken: Step,
  { stage, model, images }: { stage: Stage; model: TagModel; images: readonly Image[] },
): Promise<void> {
  const nowMs = stage.clock.nowMs();
  switch (taken.kind) {
    case 'push': {
      const image = images[taken.image];
      if (image === undefined) {
        throw new Error(`no image ${taken.image}`);
      }
      model.push(taken.name, taken.image, { nowMs, lifeMs: image.lifeMs });
      await stage.push(taken.name, image.parsed);
      return;
    }
    case 'delete':
      model.deleteTag(taken.name, nowMs);
      await stage.registry.deleteTag(stage.repository, taken.name);
      return;
    case 'advance':
      stage.clock.advance(taken.ms);
  }
}

/** Every generation of the name that holds the moment, by looking at them all. */
function imagesAt(model: TagModel, named: string, atMs: number): readonly number[] {
  return model.rows
    .filter((row) => row.name === named)
    .filter(({ startMs, endMs }) => startMs <= atMs && (endMs === null || atMs < endMs))
    .map(({ image }) => image);
}

describe('any past', () => {
  it('I2, I4: is one generation at most, and the one that is found', async ({ expect }) => {
    const stage = await openStage();
    const images: Image[] = [];
    for (const lifeMs of [null, HOUR_MS, null]) {
      const labels = lifeMs === null ? {} : { 'quay.expires-after': '1h' };
      images.push({ parsed: await stage.image({ labels }), lifeMs });
    }
    const digest = digestAt(stage, stage.repository);
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 30 }),
        fc.array(instant, { minLength: 20, maxLength: 20 }),
        async (steps, instants) => {
          await stage.clear();
          const model = new TagModel();
          for (const each of steps) {
            await take(each, { stage, model, images });
          }
          const nowMs = stage.clock.nowMs();
          const happenings = [nowMs, ...model.rows.flatMap((row) => [row.startMs, row.endMs])];
          const times = happenings.filter((time) => time !== null);
          for (const { name: named, happening, offsetMs } of instants) {
            const timeMs = (times[happening % times.length] ?? nowMs) + offsetMs;
            const atMs = Math.min(timeMs, nowMs);
            const expected = imagesAt(model, named, atMs);
            expect(expected.length).toBeLessThanOrEqual(1);
            const [image = -1] = expected;
            expect(await digest(named, atMs)).toBe(images[image]?.parsed.digest ?? null);
          }
        },
      ),
      { seed: 20_261_124, numRuns: 25, plugins: [fc.interruptAfterTimeLimit(15_000)] },
    );
  });
});
