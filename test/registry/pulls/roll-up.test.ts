import { describe, it } from 'vitest';

import { PULL_REPORTS_PER_STEP_MAX } from '../../../src/model/limits.ts';
import { PullTally } from '../../../src/registry/pulls/tally.ts';
import { DAY_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, endingOf, losing } from '../../support/lost-answers.ts';
import { pullByDigest, pullByTag } from '../../support/recorded-pulls.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute, openStage, select } from '../../support/stage.ts';
import { tagNamed } from '../../support/time-travel.ts';

/** A report of so many pulls of a tag, as an isolate writes it. */
function reportOf(pull: { repositoryId: number; manifestId: number; tagName: string | null }) {
  return async (times: number, pulledMs: number) => {
    const tally = new PullTally();
    for (let count = 0; count < times; count += 1) {
      tally.add({ ...pull, pulledMs });
    }
    await execute('INSERT INTO pull_report (pulls) VALUES (?)', tally.takeReport(0));
  };
}

/** A stage with the tag v1, and reports of its pulls. */
async function openReports() {
  const stage = await openStage();
  const image = await stage.image();
  const { manifest } = await stage.push('v1', image);
  const { repository } = stage;
  const pull = { repositoryId: repository.id, manifestId: manifest.id, tagName: 'v1' };
  return {
    ...stage,
    image,
    manifest,
    nextImage: () => stage.image(),
    report: reportOf(pull),
    forget: async () => {
      for (const table of ['pull_report', 'tag_pull_statistics', 'manifest_pull_statistics']) {
        await execute(`DELETE FROM ${table}`);
      }
    },
    rollUp: (gate?: Gate) =>
      openTestRegistry(gate === undefined ? {} : { gate }).housekeeping.rollUpPulls(),
    statistics: async () => {
      const of = await stage.operations.readPullStatistics(repository, tagNamed('v1'));
      return of && [of.tagPullCount, of.lastTagPullMs, of.manifestPullCount, of.lastManifestPullMs];
    },
  };
}

/** The names of tags that were pulled. */
const countedNames = async () =>
  (await select('SELECT tag_name AS name FROM tag_pull_statistics ORDER BY 1')).map(
    ({ name }) => name,
  );

describe('the roll-up of pulls', () => {
  it('adds what isolates counted to the tag and its manifest, and says it', async ({ expect }) => {
    const { repository, clock, operations, housekeeping, image, ...stage } = await openReports();
    const isolate = () => openTestRegistry({ clock });
    expect(await stage.statistics()).toEqual([0, null, 0, null]);
    await pullByTag(isolate(), repository, 'v1');
    clock.advance(DAY_MS);
    await pullByDigest(isolate(), repository, image.digest);
    await pullByTag(isolate(), repository, 'v1');
    clock.advance(1);
    await pullByDigest(isolate(), repository, image.digest);
    expect(await housekeeping.rollUpPulls()).toEqual({ reports: 4, isFinished: true });
    const nowMs = clock.nowMs();
    expect(await operations.readPullStatistics(repository, tagNamed('v1'))).toEqual({
      tagName: 'v1',
      tagPullCount: 2,
      lastTagPullMs: nowMs - 1,
      currentManifestDigest: image.digest,
      manifestPullCount: 4,
      lastManifestPullMs: nowMs,
    });
    expect(await operations.readManifestPullStatistics(repository, image.digest)).toEqual({
      manifestDigest: image.digest,
      manifestPullCount: 4,
      lastManifestPullMs: nowMs,
    });
    // A tag that moved keeps its count; the manifest that it is on now has its own.
    await stage.push('v1', await stage.nextImage());
    expect(await stage.statistics()).toEqual([2, nowMs - 1, 0, null]);
    expect(await operations.readManifestPullStatistics(repository, image.digest)).toBeNull();
    expect(await operations.readPullStatistics(repository, tagNamed('v2'))).toBeNull();
  });

  it('adds every report once, whatever crashes, comes twice, or is lost', async ({ expect }) => {
    const { forget, report, rollUp, statistics } = await openReports();
    const prepare = async () => {
      await forget();
      await report(2, 10);
      await report(3, 30);
      await report(1, 20);
    };
    const whole = [6, 30, 6, 30];
    const points = await crashEverywhere(async () => {
      await prepare();
      return {
        operation: (gate) => rollUp(gate),
        check: async ({ when }) => {
          expect(await statistics()).toEqual(when === 'after' ? whole : [0, null, 0, null]);
          await rollUp();
          expect(await statistics()).toEqual(whole);
        },
      };
    });
    expect(points).toHaveLength(2);
    await interleaveAll(async () => {
      await prepare();
      return {
        racers: [rollUp, rollUp],
        check: async (_outcomes, schedule) => {
          expect([schedule, await statistics()]).toEqual([schedule, whole]);
        },
      };
    });
    for (const fates of allFates(3)) {
      await prepare();
      const { gate, losses } = losing(fates);
      await endingOf(rollUp(gate), losses);
      const isDone = fates.some((fate) => fate !== 'lost before');
      expect([fates, await statistics()]).toEqual([fates, isDone ? whole : [0, null, 0, null]]);
    }
    expect(await select('SELECT * FROM pull_report')).toHaveLength(3);
  });

  it('takes some reports at a time, and all in the end', async ({ expect }) => {
    const { report, rollUp, statistics } = await openReports();
    const reports = 2 * PULL_REPORTS_PER_STEP_MAX + 1;
    for (let count = 1; count <= reports; count += 1) {
      await report(1, count);
    }
    const counted = openTestRegistry();
    expect(await counted.housekeeping.rollUpPulls()).toEqual({ reports, isFinished: true });
    expect(await statistics()).toEqual([reports, reports, reports, reports]);
    // A row for each report, and one for the tag and one for the manifest at each step.
    expect(counted.meter.usage).toMatchObject({ d1RoundTrips: 3, d1RowsWritten: reports + 2 * 3 });
    expect(await rollUp()).toEqual({ reports: 0, isFinished: true });
  });

  it('scenario 61 (blobs): leaves nothing behind of what is gone, or is going', async ({
    expect,
  }) => {
    const { repository, registry, operations, housekeeping, clock, ...stage } = await openReports();
    const goneTag = reportOf({ repositoryId: repository.id, manifestId: 1, tagName: 'never' });
    const goneManifest = reportOf({ repositoryId: 999, manifestId: 999, tagName: 'v1' });
    await goneTag(1, 1);
    await goneManifest(1, 1);
    await housekeeping.rollUpPulls();
    expect(await select('SELECT * FROM tag_pull_statistics')).toEqual([]);
    expect(await select('SELECT manifest_id AS id FROM manifest_pull_statistics')).toEqual([
      { id: stage.manifest.id },
    ]);
    // An ended tag may come back; with its last generation its count goes.
    const other = await stage.push('v2', await anIndex([stage.image]));
    const report = reportOf({
      repositoryId: repository.id,
      manifestId: other.manifest.id,
      tagName: 'v2',
    });
    await stage.report(5, 5);
    await report(2, 7);
    await registry.deleteTag(repository, 'v2');
    await housekeeping.rollUpPulls();
    expect(await countedNames()).toEqual(['v1', 'v2']);
    clock.advance(14 * DAY_MS);
    await housekeeping.collectGarbage();
    expect(await countedNames()).toEqual(['v1']);
    expect(await select('SELECT * FROM manifest_pull_statistics')).toHaveLength(1);
    await report(2, 7);
    await housekeeping.rollUpPulls();
    expect(await countedNames()).toEqual(['v1']);
    // A repository that is given up takes none any more, and a purge takes what it has.
    await operations.markRepositoryForDeletion(repository);
    await stage.report(1, 9);
    await housekeeping.rollUpPulls();
    expect(await select('SELECT pull_count AS n FROM tag_pull_statistics')).toEqual([{ n: 5 }]);
    clock.advance(DAY_MS);
    await housekeeping.purgeRepositories();
    expect(await countedNames()).toEqual([]);
    expect(await select('SELECT * FROM repository')).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });
});
