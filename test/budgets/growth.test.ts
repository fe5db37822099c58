import { afterAll, describe, it } from 'vitest';

import type { Usage } from '../../src/model/usage.ts';
import { costOf, openWorlds, type World } from '../support/costs.ts';
import {
  type Fill,
  fillGenerationsOf,
  fillManifests,
  fillNamespaces,
  fillTags,
} from '../support/fillings.ts';
import { findRowViolations } from '../support/invariants.ts';
import { printTable } from '../support/table.ts';
import { BUDGETS } from './operations.ts';
import { TAG_CHANGES } from './tag-changes.ts';

/**
 * What an operation asks of the stores is the same, to the row, among a hundred and among a hundred
 * thousand: tags and manifests of its repository, generations of the name that it is about, other
 * namespaces and repositories.
 */
const SIZES = [100, 1000, 10_000, 100_000];
/** All of that is filled, and every operation run, in each of four worlds. */
const LASTS_MS_MAX = 240_000;

/** What operations give their names to; of each there are many generations. */
const NAMES = ['latest', 'doomed', 'pushed-1'];

const KINDS: readonly (readonly [string, Fill])[] = [
  ['tags', fillTags],
  ['manifests', fillManifests],
  ['generations', fillGenerationsOf(NAMES)],
  ['namespaces', fillNamespaces],
];

/** More chunks are more of the same, and take long. */
const isOfManyChunks = (operation: string) => operation.includes('4 chunks');

const OPERATIONS = [...BUDGETS, ...TAG_CHANGES].filter(([operation]) => !isOfManyChunks(operation));

/** Ticks are idle until an operation has left something that will be due. */
const isIdle = (operation: string) => operation.startsWith('idle');
/** Where there is a quota, other namespaces' pushes are looked at too; so these come last. */
const hasQuota = (operation: string) => operation.endsWith('quota');

/** The costs of each operation among ever more of a kind. */
async function measure(fill: Fill): Promise<ReadonlyMap<string, readonly Usage[]>> {
  const usages = new Map<string, Usage[]>(OPERATIONS.map(([operation]) => [operation, []]));
  const run = async (world: World, isOfPhase: (operation: string) => boolean) => {
    for (const [operation, scene] of OPERATIONS.filter(([name]) => isOfPhase(name))) {
      usages.get(operation)?.push(await costOf(scene, world));
    }
  };
  const worlds = await openWorlds(SIZES.length);
  for (const [at, world] of worlds.entries()) {
    await fill(world, SIZES[at] ?? 0);
    await run(world, isIdle);
  }
  for (const isOfPhase of [(name: string) => !isIdle(name) && !hasQuota(name), hasQuota]) {
    for (const world of worlds) {
      await run(world, isOfPhase);
    }
  }
  return usages;
}

/** What is not the same at all sizes: `d1RowsRead: 4, 4, 5, 8`. */
function whatGrew([first, ...others]: readonly Usage[]): readonly string[] {
  return (Object.keys(first ?? {}) as (keyof Usage)[])
    .filter((what) => others.some((other) => other[what] !== first?.[what]))
    .map((what) => `${what}: ${[first, ...others].map((usage) => usage?.[what]).join(', ')}`);
}

describe('what an operation reads and writes', () => {
  const rowsRead = new Map<string, string[]>(OPERATIONS.map(([operation]) => [operation, []]));
  afterAll(() => {
    const head = ['rows read, by number of', ...KINDS.map(([kind]) => kind)];
    printTable([head, ...[...rowsRead].map(([operation, cells]) => [operation, ...cells])]);
  });

  it.for(KINDS)(
    'is the same however many %s there are',
    { timeout: LASTS_MS_MAX },
    async ([, fill], { expect }) => {
      const usages = await measure(fill);
      for (const [operation, counts] of usages) {
        const rows = new Set(counts.map(({ d1RowsRead }) => d1RowsRead));
        rowsRead.get(operation)?.push([...rows].join(' to '));
      }
      expect([...usages.values()].map(({ length }) => length)).toEqual(
        OPERATIONS.map(() => SIZES.length),
      );
      const grew = [...usages].map(([operation, counts]) => [operation, whatGrew(counts)]);
      expect(grew.filter(([, whats]) => whats?.length !== 0)).toEqual([]);
    },
  );

  it.for(KINDS)(
    'is measured in rows as the registry leaves them: %s',
    async ([, fill], { expect }) => {
      const [world] = await openWorlds(1);
      const before = await findRowViolations();
      await fill(world, SIZES[0] ?? 0);
      expect(
        (await findRowViolations()).filter((violation) => !before.includes(violation)),
      ).toEqual([]);
    },
  );
});
