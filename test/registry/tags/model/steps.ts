import * as fc from 'fast-check';

import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../support/clock.ts';
import type { ScopeKind } from './policies.ts';
import type { ModelSettings } from './state.ts';

/** What may happen to the tags of a repository. */

/** `signature` and `attestation` follow images 0 and 4; `stray` only looks as if it did. */
export const NAME_KEYS = ['a', 'b', 'C', 'signature', 'attestation', 'stray'] as const;
export type NameKey = (typeof NAME_KEYS)[number];

/** The labels of each image, its subject, and the images that it lists. */
export const IMAGES: readonly {
  readonly expiresAfter?: string;
  readonly immutable?: string;
  readonly subject?: number;
  readonly children?: readonly number[];
}[] = [
  {},
  { expiresAfter: '1h' },
  { immutable: 'true' },
  { expiresAfter: '60m', immutable: ' TRUE ', subject: 0 },
  { children: [1] },
  { children: [2, 3] },
  { children: [4, 0] },
];

export const EDGES = ['start', 'end - 1', 'end', 'end + window - 1', 'end + window'] as const;
export type Edge = (typeof EDGES)[number];

/** A tag as it is now, or as it was when it was last looked at. */
export type Sight = 'now' | 'before';

/** Most steps meet what others did before. */
const weighted = <Value>(weights: readonly (readonly [Value, number])[]) =>
  fc.oneof(...weights.map(([value, weight]) => ({ weight, arbitrary: fc.constant(value) })));
export const nameKey: fc.Arbitrary<NameKey> = weighted([
  ['a', 6],
  ['b', 2],
  ['C', 1],
  ['signature', 2],
  ['attestation', 1],
  ['stray', 1],
]);
export const image = weighted([
  [0, 4],
  [1, 4],
  [2, 1],
  [3, 2],
  [4, 2],
  [5, 1],
  [6, 1],
]);
export const nth = fc.nat(30);
const usually = weighted([
  [true, 3],
  [false, 1],
]);
const sight = fc.constantFrom<Sight>('now', 'before');
export const flag = fc.boolean();
const kind = <const Kind extends string>(name: Kind) => fc.constant(name);

/** An end, counted from the tag's start or from now; null: none. */
const chosenEnd = fc.option(
  fc.record({
    from: fc.constantFrom('start' as const, 'now' as const),
    ms: fc.constantFrom(
      -HOUR_MS,
      0,
      HOUR_MS - 1,
      HOUR_MS,
      HOUR_MS + SECOND_MS - 1,
      2 * HOUR_MS + 500,
      DAY_MS,
      728 * DAY_MS,
      900 * DAY_MS,
    ),
  }),
  { freq: 3 },
);

export type ChosenEnd = typeof chosenEnd extends fc.Arbitrary<infer Value> ? Value : never;

export const settings: fc.Arbitrary<ModelSettings> = fc.record({
  immutableTags: usually,
  immutableTagsCanExpire: flag,
  cosignCascade: usually,
  resetChildManifestExpiration: usually,
});

const policy = {
  scope: fc.constantFrom<ScopeKind>('repository', 'namespace'),
  pattern: fc.constantFrom('a', '[ab]', '[a-z]', '.*[.]sig', 'C|b'),
  matches: usually,
};

const begins = [
  { weight: 8, arbitrary: fc.record({ kind: kind('push'), nameKey, image }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('push illegal'), image }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('keep'), image, sec: fc.constantFrom(60, 3600, 7200) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: kind('move'), nameKey, image, reversion: flag }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('require'),
      image,
      reach: fc.constantFrom('stored' as const, 'hidden' as const, 'visible' as const),
    }),
  },
] as const;

const ends = [
  { weight: 4, arbitrary: fc.record({ kind: kind('delete tag'), nameKey }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('delete image'), image }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind('remove'),
      nameKey,
      /** Which generation of the name has the image; the last one if it is alive. */
      nth,
      isAlive: flag,
      includeSubmanifests: flag,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('sweep') }) },
] as const;

const changes = [
  { weight: 2, arbitrary: fc.record({ kind: kind('look'), nameKey }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: kind('change end'), nameKey, sight, end: chosenEnd }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('change lock'), nameKey, sight, immutable: flag }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('change ends'),
      image,
      sec: fc.constantFrom(0, 1, 600, 3600, 90_000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('change locks'), image, immutable: flag }) },
] as const;

const surroundings = [
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('advance'),
      ms: fc.constantFrom(-7 * MINUTE_MS, -1, 1, MINUTE_MS + 1, 10 * MINUTE_MS, HOUR_MS, DAY_MS),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: kind('go'), edge: fc.constantFrom(...EDGES), nth }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('configure'), settings }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('create policy'), ...policy }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('update policy'), nth, ...policy }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('delete policy'), nth }) },
] as const;

export const step = fc.oneof(...begins, ...ends, ...changes, ...surroundings);

export type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;
