import * as fc from 'fast-check';

import { EDGES, flag, image, NAME_KEYS, nameKey, nth } from './steps.ts';

/** What each reading method is asked with. */
export const question = fc.record({
  nameKey,
  names: fc.shuffledSubarray([...NAME_KEYS], { minLength: 1 }),
  image,
  limit: fc.integer({ min: 1, max: 4 }),
  size: fc.integer({ min: 3, max: 12 }),
  page: fc.integer({ min: 1, max: 3 }),
  history: fc.record(
    {
      specific: nameKey,
      activeTagsOnly: flag,
      /** An instant at which a row started or ended, or beside it. */
      since: fc.record({
        nth,
        edge: fc.constantFrom(...EDGES),
        offsetMs: fc.integer({ min: -1, max: 1 }),
      }),
      filterTagName: fc.constantFrom('eq:a', 'like:A', 'like:sha256-', 'like:', 'eq:', 'ge:a', 'a'),
    },
    { requiredKeys: [] },
  ),
});

export type Question = typeof question extends fc.Arbitrary<infer Value> ? Value : never;
