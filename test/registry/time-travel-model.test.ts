import * as fc from 'fast-check';
import { describe, it } from 'vitest';

import type { ParsedManifest } from '../../src/image/parsed-manifest.ts';
import { HOUR_MS, MINUTE_MS } from '../support/clock.ts';
import { openStage, type Stage } from '../support/stage.ts';
import { digestAt } from '../support/time-travel.ts';

const NAMES = ['a', 'b'];
const STEPS_MS = [-7 * MINUTE_MS, 0, 1, 10 * MINUTE_MS, HOUR_MS - 1, HOUR_MS];

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
  { stage, images }: { stage: Stage; images: readonly ParsedManifest[] },
): Promise<void> {
  switch (taken.kind) {
    case 'push': {
      const image = images[taken.image];
      if (image === undefined) {
        throw new Error(`no image ${taken.image}`);
      }
      await stage.push(taken.name, image);
      return;
    }
    case 'delete':
      await stage.registry.deleteTag(stage.repository, taken.name);
      return;
    case 'advance':
      stage.clock.advance(taken.ms);
  }
}

interface Generation {
  readonly startMs: number;
  readonly endMs: number | null;
  readonly digest: string;
}

/** All generations of a name, as the table of tags has them. */
async function generationsOf(stage: Stage, named: string): Promise<readonly Generation[]> {
  return (await stage.generations(named)).map((row) => ({
    startMs: Number(row['lifetime_start_ms']),
    endMs: row['lifetime_end_ms'] === null ? null : Number(row['lifetime_end_ms']),
    digest: String(row['digest']),
  }));
}

describe('any past', () => {
  it('I2, I4: is one generation at most, and the one that is found', async ({ expect }) => {
    const stage = await openStage();
    const images: ParsedManifest[] = [];
    for (const labels of [{}, { 'quay.expires-after': '1h' }, {}]) {
      images.push(await stage.image({ labels }));
    }
    const digest = digestAt(stage, stage.repository);
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 30 }),
        fc.array(instant, { minLength: 20, maxLength: 20 }),
        async (steps, instants) => {
          await stage.clear();
          for (const each of steps) {
            await take(each, { stage, images });
          }
          const nowMs = stage.clock.nowMs();
          const generations = new Map<string, readonly Generation[]>();
          for (const each of NAMES) {
            generations.set(each, await generationsOf(stage, each));
          }
          const times = [...generations.values()]
            .flat()
            .flatMap(({ startMs, endMs }) => [startMs, endMs])
            .filter((time) => time !== null);
          for (const { name: named, happening, offsetMs } of instants) {
            const timeMs = (times[happening % times.length] ?? nowMs) + offsetMs;
            const atMs = Math.min(timeMs, nowMs);
            const holding = (generations.get(named) ?? []).filter(
              ({ startMs, endMs }) => startMs <= atMs && (endMs === null || atMs < endMs),
            );
            expect(holding.length).toBeLessThanOrEqual(1);
            expect(await digest(named, atMs)).toBe(holding[0]?.digest ?? null);
          }
        },
      ),
      { seed: 20_261_124, numRuns: 25, plugins: [fc.interruptAfterTimeLimit(15_000)] },
    );
  });
});
