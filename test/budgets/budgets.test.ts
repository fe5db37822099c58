import { afterAll, describe, it } from 'vitest';

import { costOf, fillTags, openWorlds } from '../support/costs.ts';
import { printTable } from '../support/table.ts';
import { BUDGETS } from './operations.ts';

/** That it costs the same among a hundred thousand is what `growth.test.ts` shows. */
const TAGS = 100;

describe('what an operation costs', () => {
  const lines = [
    ['operation', 'round trips', 'rows read', 'at most', 'written', 'at most', 'KV', 'R2'],
  ];
  afterAll(() => {
    printTable(lines);
  });

  it.for(BUDGETS)('%s keeps to its budget', async ([operation, scene, budget], { expect }) => {
    const [world] = await openWorlds(1);
    await fillTags(world, TAGS);
    const cost = await costOf(scene, world);
    const { d1RoundTrips, d1RowsRead, d1RowsWritten } = cost;
    lines.push([
      operation,
      ...[d1RoundTrips, d1RowsRead, budget.rowsRead, d1RowsWritten, budget.rowsWritten].map(String),
      `${cost.kvReads} + ${cost.kvWrites}`,
      `${cost.r2Reads} + ${cost.r2Writes}`,
    ]);
    expect(cost.d1RoundTrips).toBe(budget.roundTrips);
    expect(cost.d1RowsRead).toBeLessThanOrEqual(budget.rowsRead);
    expect(cost.d1RowsWritten).toBeLessThanOrEqual(budget.rowsWritten);
    expect(cost.r2Reads).toBeLessThanOrEqual(budget.r2Reads ?? 0);
    expect(cost.r2Writes).toBeLessThanOrEqual(budget.r2Writes ?? 0);
    expect(cost.kvReads).toBe(budget.kvReads ?? 0);
    expect(cost.kvWrites).toBe(budget.kvWrites ?? 0);
  });
});
