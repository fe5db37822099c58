import { describe, it } from 'vitest';

import {
  DEFERRED_WAIT_MS_MAX,
  PULL_REPORT_DELAY_MS,
  PULLS_TALLIED_MAX,
} from '../../../src/model/limits.ts';
import { PullTally } from '../../../src/registry/pulls/tally.ts';
import { MINUTE_MS, SECOND_MS } from '../../support/clock.ts';
import { pullByDigest, pullByTag } from '../../support/recorded-pulls.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { openStage, select } from '../../support/stage.ts';

const reports = async () =>
  (await select('SELECT pulls FROM pull_report ORDER BY id')).map(
    ({ pulls }) => JSON.parse(String(pulls)) as unknown,
  );

describe('the tally of an isolate', () => {
  it('counts pulls by tag for the tag and its manifest, others for the manifest', ({ expect }) => {
    const tally = new PullTally();
    expect(tally.takeReport(0)).toBeNull();
    const pull = { repositoryId: 7, manifestId: 3, tagName: null, pulledMs: 30 };
    tally.add(pull);
    tally.add({ ...pull, tagName: 'v1', pulledMs: 20 });
    tally.add({ ...pull, tagName: 'v1', pulledMs: 10 });
    tally.add({ ...pull, repositoryId: 8, manifestId: 4, tagName: 'v1', pulledMs: 5 });
    expect(JSON.parse(tally.takeReport(40) ?? '')).toEqual({
      tags: [
        [7, 'v1', 2, 20],
        [8, 'v1', 1, 5],
      ],
      manifests: [
        [3, 3, 30],
        [4, 1, 5],
      ],
    });
    expect(tally.takeReport(50)).toBeNull();
  });

  it('is reported by one at a time, an interval apart', ({ expect }) => {
    const tally = new PullTally();
    const ask = (nowMs: number) => tally.promiseReport(nowMs, 60);
    tally.add({ repositoryId: 1, manifestId: 1, tagName: null, pulledMs: 0 });
    expect(ask(0)).toBe(PULL_REPORT_DELAY_MS);
    expect(ask(SECOND_MS)).toBeNull();
    // Who promised it was stopped.
    const overdueMs = PULL_REPORT_DELAY_MS + 10 * SECOND_MS;
    expect(ask(overdueMs)).toBe(PULL_REPORT_DELAY_MS);
    const reportedMs = overdueMs + PULL_REPORT_DELAY_MS;
    tally.takeReport(reportedMs);
    // The next one is due in a minute, which is longer than anybody may wait.
    expect(ask(reportedMs + SECOND_MS)).toBeNull();
    const first = reportedMs + MINUTE_MS - DEFERRED_WAIT_MS_MAX;
    expect(ask(first - 1)).toBeNull();
    expect(ask(first)).toBe(DEFERRED_WAIT_MS_MAX);
    tally.takeReport(reportedMs + MINUTE_MS);
    expect(ask(reportedMs + 10 * MINUTE_MS)).toBe(PULL_REPORT_DELAY_MS);
    // A short interval is never waited longer for than it lasts.
    expect(new PullTally().promiseReport(0, 1)).toBe(SECOND_MS);
  });

  it('is reported at once when it is full', ({ expect }) => {
    const tally = new PullTally();
    const add = (id: number) => {
      tally.add({ repositoryId: 1, manifestId: id, tagName: `t${id}`, pulledMs: 0 });
      return tally.promiseReport(0, 60);
    };
    const last = PULLS_TALLIED_MAX / 2;
    expect(add(1)).toBe(PULL_REPORT_DELAY_MS);
    for (let id = 2; id < last; id += 1) {
      expect(add(id)).toBeNull();
    }
    expect(add(last)).toBe(0);
    expect(tally.takeReport(0)?.length).toBeLessThan(PULLS_TALLIED_MAX * 200);
  });
});

describe('what was pulled', () => {
  it('is one row behind many answers of an isolate, and none before', async ({ expect }) => {
    const stage = await openStage();
    const { repository, clock } = stage;
    const { manifest } = await stage.push('v1', await stage.image());
    const pullTally = new PullTally();
    const wakes: (() => void)[] = [];
    const waits: number[] = [];
    const sleep = (ms: number) =>
      new Promise<void>((resolve) => {
        waits.push(ms);
        wakes.push(resolve);
      });
    // Each request has its own stores; the tally is the isolate's.
    const requests = Array.from({ length: 3 }, () => openTestRegistry({ clock, pullTally, sleep }));
    const [first, second, third] = requests;
    if (first === undefined || second === undefined || third === undefined) {
      throw new Error('three requests');
    }
    const later = pullByTag(first, repository, 'v1');
    await pullByTag(second, repository, 'v1');
    clock.advance(SECOND_MS);
    await pullByDigest(third, repository, manifest.digest);
    expect(waits).toEqual([PULL_REPORT_DELAY_MS]);
    expect(requests.map(({ meter }) => meter.usage)).toMatchObject(
      requests.map(() => ({ d1RoundTrips: 1, d1RowsWritten: 0 })),
    );
    expect(await reports()).toEqual([]);
    wakes.forEach((wake) => {
      wake();
    });
    await later;
    const lastMs = clock.nowMs();
    expect(await reports()).toEqual([
      {
        tags: [[repository.id, 'v1', 2, lastMs - SECOND_MS]],
        manifests: [[manifest.id, 3, lastMs]],
      },
    ]);
    expect(requests.map(({ meter }) => meter.usage.d1RowsWritten)).toEqual([1, 0, 0]);
  });

  it('is not counted where the setting says so', async ({ expect }) => {
    const stage = await openStage({ settings: { pullReportIntervalSec: 0 } });
    await stage.push('v1', await stage.image());
    await pullByTag(stage, stage.repository, 'v1');
    expect(await reports()).toEqual([]);
  });
});
