import { env } from 'cloudflare:workers';

import { runSchedule } from '../../src/cron/run.ts';
import { MANIFEST_INLINE_BYTES_MAX } from '../../src/model/limits.ts';
import type { TagName } from '../../src/model/names.ts';
import { HOUR_MS } from '../support/clock.ts';
import { anImage, pushTagged } from '../support/content.ts';
import { lookUp, type Scene } from '../support/costs.ts';
import { repositoryNamed } from '../support/quota.ts';
import { openTestRegistry } from '../support/registry.ts';

/** Lists, ends, and what comes after: the rows of the design's table that are no pull and no push. */

const PAGE = 50;

const deleteTag: Scene = async ({ registry, repository, name }) => {
  await pushTagged(registry, repository, { tagName: 'doomed' });
  return async (counted) => {
    const found = await lookUp(counted, name);
    if ((await counted.registry.deleteTag(found, 'doomed')) === null) {
      throw new Error('nothing was deleted');
    }
  };
};

const listHistory: Scene =
  async ({ repository }) =>
  ({ registry }) =>
    registry.listRepositoryTagHistory(repository, { size: PAGE });

/** Above what a row of the database takes. */
const LARGE = { annotations: { text: 'x'.repeat(MANIFEST_INLINE_BYTES_MAX) } };

const pullLarge: Scene = async ({ registry, repository, name }) => {
  await pushTagged(registry, repository, { tagName: 'large', ...LARGE });
  return async ({ operations }) => {
    const found = await operations.resolveTag(name, 'large' as TagName, { withBytes: true });
    if (!found?.manifest?.bytes) {
      throw new Error('nothing was pulled');
    }
  };
};

const pushLarge: Scene = async ({ registry, repository, name }) => {
  const image = await anImage(registry, repository, LARGE);
  return async (counted) => {
    const found = await lookUp(counted, name);
    await counted.registry.createManifestAndRetargetTag(found, image, 'large');
  };
};

/**
 * From a tag past the window to the last blob, in a repository and a namespace of their own beside
 * the filled ones. The leases of its push are over and taken, unless it goes at once.
 */
const collectImage =
  (layers: number, { isLeased = false } = {}): Scene =>
  async ({ registry }) => {
    const repository = await repositoryNamed(registry, `doomed/${crypto.randomUUID()}`);
    const forgetAtOnce = (sql: string) => env.DB.prepare(sql).bind(repository.id);
    await env.DB.batch([
      forgetAtOnce(`UPDATE namespace SET removed_tag_expiration_s = 0
        WHERE id = (SELECT namespace_id FROM repository WHERE id = ?)`),
      forgetAtOnce('UPDATE repository_gc SET policy_s = 0 WHERE repository_id = ?'),
    ]);
    await pushTagged(registry, repository, { tagName: 'doomed', layers });
    const collectedMs = registry.clock.nowMs() + 2 * HOUR_MS;
    if (!isLeased) {
      const before = openTestRegistry();
      before.clock.set(collectedMs);
      await before.housekeeping.collectRepository(repository.id);
    }
    await registry.registry.deleteTag(repository, 'doomed');
    return async ({ housekeeping, clock }) => {
      clock.set(collectedMs);
      const { tags, manifests, blobs } = await housekeeping.collectRepository(repository.id);
      if (tags !== 1 || manifests !== 1 || blobs !== layers + 1) {
        throw new Error(`collected ${tags} tags, ${manifests} manifests, ${blobs} blobs`);
      }
    };
  };

/** A tick that finds nothing, the second of its kind. */
const idleTick =
  (cron: string): Scene =>
  async ({ registry }) => {
    const tick = ({ housekeeping, meter }: typeof registry) =>
      runSchedule(cron, () => ({ housekeeping, usage: meter.usage }));
    await tick(registry);
    return tick;
  };

/** What is removed is written down too, which the design's 30 rows for each layer do not know. */
const perCollection = (layers: number) => ({
  roundTrips: 4,
  rowsRead: 150 + 36 * layers,
  rowsWritten: 25 + 8 * layers,
});
/** With the leases of its push, which otherwise go an hour after it. */
const perLeasedCollection = (layers: number) => ({
  roundTrips: 6,
  rowsRead: 180 + 45 * layers,
  rowsWritten: 55 + 8 * layers,
});
const idle = (roundTrips: number) => ({ roundTrips, rowsRead: 60, rowsWritten: 4 });

/** Each with what it may cost. */
export const LIFECYCLE = [
  ['tag delete', deleteTag, { roundTrips: 2, rowsRead: 16, rowsWritten: 8 }],
  ['history page', listHistory, { roundTrips: 1, rowsRead: 2 * PAGE + 8, rowsWritten: 0 }],
  [
    'GET manifest above 1,000,000 bytes',
    pullLarge,
    { roundTrips: 1, rowsRead: 8, rowsWritten: 0, r2Reads: 1 },
  ],
  [
    'manifest push above 1,000,000 bytes',
    pushLarge,
    { roundTrips: 4, rowsRead: 60 + 14, rowsWritten: 30 + 2, r2Reads: 1, r2Writes: 1 },
  ],
  ['GC of an image of 1 layer', collectImage(1), perCollection(1)],
  ['GC of an image of 20 layers', collectImage(20), perCollection(20)],
  [
    'GC of 20 layers and their leases',
    collectImage(20, { isLeased: true }),
    perLeasedCollection(20),
  ],
  ['idle tick, every minute', idleTick('* * * * *'), idle(6)],
  ['idle tick, every 5 minutes', idleTick('*/5 * * * *'), idle(6)],
  ['idle tick, every 10 minutes', idleTick('*/10 * * * *'), idle(6)],
  ['idle tick, every 15 minutes', idleTick('*/15 * * * *'), idle(6)],
  ['idle tick, every hour', idleTick('17 * * * *'), idle(6)],
  ['idle tick, every hour, audit', idleTick('41 * * * *'), idle(4)],
] as const;
