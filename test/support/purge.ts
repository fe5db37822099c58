import { MINUTE_MS } from './clock.ts';
import { footprint } from './footprint.ts';
import type { TestRegistry } from './registry.ts';
import { select } from './stage.ts';
import { drainGraves } from './uploads.ts';

/** What the stores hold, but the record of what was removed. */
export async function holdings() {
  const { gc_removal: _, ...stores } = await footprint();
  const [counts] = await select(
    `SELECT (SELECT count(*) FROM repository) AS repositories,
      (SELECT count(*) FROM namespace) AS namespaces`,
  );
  return { ...stores, ...counts };
}

/** Runs cron's jobs until nothing is marked any more and the bucket is drained. */
export async function purgeAll({
  clock,
  housekeeping,
}: Pick<TestRegistry, 'clock' | 'housekeeping'>) {
  for (let runs = 1; runs < 100; runs += 1) {
    clock.advance(10 * MINUTE_MS);
    await housekeeping.collectGarbage();
    await housekeeping.purgeRepositories();
    if ((await select('SELECT * FROM deleted_repository')).length === 0) {
      break;
    }
  }
  await drainGraves();
}
