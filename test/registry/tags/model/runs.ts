import * as fc from 'fast-check';

import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../support/clock.ts';
import { question, type Question } from './questions.ts';
import type { ModelSettings } from './state.ts';
import { EDGES, flag, image, nth, settings, step, type Step } from './steps.ts';

/**
 * Steps that meet, and that would seldom stand together by chance. What one of them draws from is
 * what the rules tell apart.
 */

type Scene = fc.Arbitrary<readonly Step[]>;

const scene = (...steps: readonly fc.Arbitrary<Step>[]): Scene => fc.tuple(...steps);
const oneOf = (...steps: readonly Step[]) => fc.constantFrom<Step>(...steps);
const push = (nameKey: 'a' | 'b' | 'signature', ...images: readonly number[]) =>
  oneOf(...images.map((each): Step => ({ kind: 'push', nameKey, image: each })));
const deleteTag: Step = { kind: 'delete tag', nameKey: 'a' };
const back: Step = { kind: 'advance', ms: -7 * MINUTE_MS };
const lock: Step = { kind: 'change lock', nameKey: 'a', sight: 'now', immutable: true };
const nothing: Step = { kind: 'advance', ms: 0 };

const remove = fc.record({
  kind: fc.constant('remove' as const),
  nameKey: fc.constant('a' as const),
  nth,
  isAlive: flag,
  includeSubmanifests: flag,
});

/** A tag leaves an image that is signed. */
const signed = scene(
  push('a', 0),
  push('signature', 0, 1, 2),
  oneOf(
    nothing,
    { kind: 'push', nameKey: 'b', image: 0 },
    { kind: 'push', nameKey: 'b', image: 1 },
    { kind: 'push', nameKey: 'attestation', image: 0 },
  ),
  oneOf(
    nothing,
    { kind: 'change lock', nameKey: 'signature', sight: 'now', immutable: true },
    back,
  ),
  oneOf(
    deleteTag,
    { kind: 'delete image', image: 0 },
    { kind: 'push', nameKey: 'a', image: 0 },
    { kind: 'push', nameKey: 'a', image: 1 },
    { kind: 'move', nameKey: 'a', image: 2, reversion: true },
    { kind: 'sweep' },
  ),
);

const held = ([1, 2, 3] as const).map((each) =>
  oneOf(...([60, 7200] as const).map((sec): Step => ({ kind: 'keep', image: each, sec }))),
);

/** The tag of an index goes whose children are held by temporary tags. */
const children: Scene = scene(
  ...held,
  push('a', 4, 5),
  oneOf(nothing, { kind: 'advance', ms: 10 * MINUTE_MS }),
  oneOf(
    deleteTag,
    { kind: 'delete image', image: 5 },
    { kind: 'delete image', image: 2 },
    { kind: 'remove', nameKey: 'a', nth: 30, isAlive: true, includeSubmanifests: true },
    { kind: 'remove', nameKey: 'a', nth: 0, isAlive: false, includeSubmanifests: true },
  ),
);

/** An index holds an index that has lost its tag. */
const nested = scene(
  push('b', 0),
  push('b', 1),
  push('b', 4),
  push('a', 6),
  oneOf({ kind: 'delete image', image: 4 }, { kind: 'push', nameKey: 'b', image: 0 }),
);

/** A tag is old when its end is chosen. */
const old = scene(
  push('a', 0, 1),
  oneOf(nothing, { kind: 'advance', ms: HOUR_MS }, { kind: 'advance', ms: DAY_MS }),
  fc.record({
    kind: fc.constant('change end' as const),
    nameKey: fc.constant('a' as const),
    sight: fc.constant('now' as const),
    end: fc.record({
      from: fc.constant('start' as const),
      ms: fc.constantFrom(HOUR_MS, HOUR_MS + MINUTE_MS, DAY_MS, 2 * DAY_MS),
    }),
  }),
);

/** A tag ends, perhaps by a clock that is ahead, and its name is used again or forgotten. */
const ended = scene(
  push('a', 0, 1, 2, 3),
  oneOf(nothing, lock, { kind: 'advance', ms: 10 * MINUTE_MS }, { kind: 'advance', ms: HOUR_MS }),
  oneOf(deleteTag, nothing),
  fc.oneof(
    oneOf(back, nothing),
    fc.record({
      kind: fc.constant('go' as const),
      edge: fc.constantFrom(...EDGES),
      nth,
    }),
  ),
  fc.oneof(
    push('a', 0, 1),
    remove,
    oneOf({ kind: 'sweep' }),
    oneOf({ kind: 'move', nameKey: 'a', image: 0, reversion: true }),
  ),
);

/** What a clock that is ahead wrote meets one that is behind. */
const skewed = scene(
  push('a', 0, 1),
  oneOf({ kind: 'advance', ms: 10 * MINUTE_MS }),
  oneOf(deleteTag, { kind: 'push', nameKey: 'a', image: 1 }),
  oneOf(back),
  fc.oneof(
    push('a', 0, 1),
    remove,
    oneOf(deleteTag, { kind: 'move', nameKey: 'a', image: 1, reversion: false }),
  ),
);

/** A tag that moved is forgotten, here or there, now and once more. */
const moved = scene(push('a', 0, 1), push('a', 0, 1, 4), remove, remove);

/** A policy meets tags that end. */
const locked = scene(
  push('a', 1),
  oneOf(
    { kind: 'create policy', scope: 'repository', pattern: '[ab]', matches: true },
    { kind: 'create policy', scope: 'namespace', pattern: 'a', matches: true },
    { kind: 'change locks', image: 1, immutable: true },
  ),
  image.map((each): Step => ({ kind: 'change ends', image: each, sec: 3600 })),
);

/** A tag is locked and has an end, by settings that may change. */
const lockedWithEnd = scene(
  push('a', 0, 1),
  oneOf(lock),
  oneOf({ kind: 'change end', nameKey: 'a', sight: 'now', end: { from: 'now', ms: DAY_MS } }),
  fc.record({ kind: fc.constant('configure' as const), settings }),
  oneOf(
    lock,
    { kind: 'change ends', image: 0, sec: 90_000 },
    { kind: 'change locks', image: 0, immutable: true },
    { kind: 'change end', nameKey: 'a', sight: 'now', end: null },
    { kind: 'create policy', scope: 'repository', pattern: 'a', matches: true },
  ),
);

const steps: Scene = fc.oneof(
  { weight: 8, arbitrary: step.map((each): readonly Step[] => [each]) },
  { weight: 3, arbitrary: signed },
  { weight: 1, arbitrary: children },
  { weight: 1, arbitrary: nested },
  { weight: 1, arbitrary: old },
  { weight: 2, arbitrary: ended },
  { weight: 1, arbitrary: moved },
  { weight: 1, arbitrary: skewed },
  { weight: 1, arbitrary: locked },
  { weight: 1, arbitrary: lockedWithEnd },
);

/** One sequence, from an empty repository on. */
export interface Run {
  readonly settings: ModelSettings;
  readonly windowMs: number;
  readonly taken: readonly { readonly step: Step; readonly question: Question }[];
}

export const run: fc.Arbitrary<Run> = fc.record({
  settings,
  windowMs: fc.constantFrom(0, DAY_MS, 14 * DAY_MS),
  taken: fc
    .array(fc.record({ steps, question }), { minLength: 5, maxLength: 20 })
    .map((scenes) =>
      scenes.flatMap((each) => each.steps.map((one) => ({ step: one, question: each.question }))),
    ),
});
