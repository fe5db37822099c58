import { describe, it } from 'vitest';

import {
  AUDIT_METADATA_LENGTH_MAX,
  AUDIT_RECORD_PAGE_SIZE,
  AUDIT_RECORDS_COUNTED_MAX,
  AUDIT_RECORDS_LOOKED_AT_MAX,
  AUDIT_RECORDS_PER_PRUNE_MAX,
} from '../../src/model/limits.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { epochMs } from '../../src/model/time.ts';
import type { AuditOrigin, AuditScope } from '../../src/registry/audit-log.ts';
import { DAY_MS, HOUR_MS, START_MS, TestClock } from '../support/clock.ts';
import { losing } from '../support/lost-answers.ts';
import { aRepository, openTestRegistry } from '../support/registry.ts';
import { execute, select } from '../support/stage.ts';

const ADA: AuditOrigin = {
  performer: { kind: 'user', name: 'ada' },
  ip: '2001:db8::1',
  country: 'DE',
};
const NOBODY: AuditOrigin = {
  performer: { kind: 'anonymous', name: null },
  ip: null,
  country: null,
};

const ofRepository = ({ id }: RepositoryRef): AuditScope => ({
  kind: 'repository',
  repositoryId: id,
});
const ofNamespace = ({ namespaceName: name }: RepositoryRef): AuditScope => ({
  kind: 'namespace',
  name,
});
const ALL: AuditScope = { kind: 'all' };

/** So many records a minute apart, the last one now; every tenth is Ada's. */
async function recordMany(
  { id, namespaceId }: RepositoryRef,
  count: number,
  lastMs: number = START_MS,
): Promise<void> {
  await execute(
    `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?3)
    INSERT INTO audit_log (id, uuid, kind, namespace_id, repository_id, performer_kind,
      performer_name, metadata)
    SELECT (?4 - i * 60000) << 10, 'u' || i, iif(i % 2, 'push_repo', 'delete_tag'), ?2, ?1,
      'user', iif(i % 10, 'bob', 'ada'), json_object('number', i)
    FROM n`,
    id,
    namespaceId,
    count,
    lastMs,
  );
}

describe('recordAuditEvents', () => {
  it('writes what was done, by whom and from where, for its repository and its namespace', async ({
    expect,
  }) => {
    const { operations, clock, settleDeferred } = openTestRegistry();
    const repository = await aRepository({ operations });
    operations.recordAuditEvents(
      [
        { kind: 'create_repo', repository },
        { kind: 'push_repo', repository, metadata: { tag: 'v1', media_type: 'm' } },
      ],
      ADA,
    );
    operations.recordAuditEvents(
      [{ kind: 'login_failure', namespace: repository.namespaceName, metadata: { username: 'x' } }],
      NOBODY,
    );
    operations.recordAuditEvents([{ kind: 'collect_garbage' }], ADA);
    await settleDeferred();
    const common = { atMs: clock.nowMs(), ...ADA };
    const inIt = { namespaceName: repository.namespaceName, repositoryName: repository.name };
    const pushed = [
      { ...common, ...inIt, kind: 'push_repo', metadata: { tag: 'v1', media_type: 'm' } },
      { ...common, ...inIt, kind: 'create_repo', metadata: {} },
    ];
    const failed = {
      ...common,
      ...NOBODY,
      kind: 'login_failure',
      namespaceName: repository.namespaceName,
      repositoryName: null,
      metadata: { username: 'x' },
    };
    const items = async (scope: AuditScope) => (await operations.listAuditLog(scope)).items;
    expect(await items(ofRepository(repository))).toEqual(pushed);
    expect(await items(ofNamespace(repository))).toEqual([failed, ...pushed]);
    expect(await items(ALL)).toMatchObject([{ kind: 'collect_garbage' }, failed, ...pushed]);
    expect(await items({ kind: 'repository', repositoryId: repository.id + 1 })).toEqual([]);
  });

  it('costs one round trip and three rows for an event of a repository', async ({ expect }) => {
    const { operations, meter, settleDeferred } = openTestRegistry();
    const repository = await aRepository({ operations });
    const before = { ...meter.usage };
    operations.recordAuditEvents([{ kind: 'push_repo', repository }], ADA);
    await settleDeferred();
    expect(meter.usage.d1RoundTrips - before.d1RoundTrips).toBe(1);
    expect(meter.usage.d1RowsWritten - before.d1RowsWritten).toBe(3);
    operations.recordAuditEvents([], ADA);
    await settleDeferred();
    expect(meter.usage.d1RoundTrips - before.d1RoundTrips).toBe(1);
  });

  it('writes no event twice when an answer is lost, and reports what fails', async ({ expect }) => {
    const calm = openTestRegistry();
    const repository = await aRepository(calm);
    const { operations, settleDeferred } = openTestRegistry({
      gate: losing(['committed, then lost', 'lost before']).gate,
    });
    operations.recordAuditEvents(
      [
        { kind: 'create_repo', repository },
        { kind: 'push_repo', repository },
      ],
      ADA,
    );
    await settleDeferred();
    expect(await select('SELECT kind FROM audit_log ORDER BY id')).toEqual([
      { kind: 'create_repo' },
      { kind: 'push_repo' },
    ]);
    await execute('DROP TABLE audit_log');
    const broken = openTestRegistry();
    broken.operations.recordAuditEvents([{ kind: 'push_repo', repository }], ADA);
    await expect(broken.settleDeferred()).rejects.toThrow(/audit_log/);
  });

  it('leaves out the metadata that does not fit, and says so', async ({ expect }) => {
    const { operations, settleDeferred } = openTestRegistry();
    const tags = Array.from({ length: 50 }, (_, index) => `${'t'.repeat(125)}${100 + index}`);
    const long = 'x'.repeat(AUDIT_METADATA_LENGTH_MAX);
    operations.recordAuditEvents([{ kind: 'push_repo', metadata: { tags } }], ADA);
    operations.recordAuditEvents(
      [{ kind: 'push_repo', metadata: { first: 1, long, last: 2 } }],
      ADA,
    );
    await settleDeferred();
    const { items } = await operations.listAuditLog(ALL);
    expect(items.map(({ metadata }) => metadata)).toEqual([
      { truncated: true, first: 1 },
      { tags },
    ]);
  });
});

describe('listAuditLog', () => {
  it('gives every record of a span once, page by page, also those that come meanwhile', async ({
    expect,
  }) => {
    const { operations, ...world } = openTestRegistry();
    const repository = await aRepository({ operations });
    await recordMany(repository, 60);
    await recordMany(await aRepository({ operations }), 30, START_MS - 7);
    // From the record of one minute to before that of another.
    const span = { fromMs: epochMs(START_MS - 49 * 60_000), toMs: epochMs(START_MS) };
    const numbers: unknown[] = [];
    const sizes: number[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof operations.listAuditLog>> =
        await operations.listAuditLog(ofRepository(repository), { ...span, cursor });
      numbers.push(...page.items.map(({ metadata }) => metadata['number']));
      sizes.push(page.items.length);
      cursor = page.cursor ?? null;
      operations.recordAuditEvents([{ kind: 'push_repo', repository }], ADA);
      await world.settleDeferred();
    } while (cursor !== null);
    expect(numbers).toEqual(Array.from({ length: 49 }, (_, index) => index + 1));
    expect(sizes).toEqual([AUDIT_RECORD_PAGE_SIZE, AUDIT_RECORD_PAGE_SIZE, 9]);
  });

  it('is about the last week unless told, and refuses what is no cursor or span', async ({
    expect,
  }) => {
    const { operations } = openTestRegistry();
    const repository = await aRepository({ operations });
    await recordMany(repository, 1, START_MS - 7 * DAY_MS + 1);
    await recordMany(repository, 1, START_MS - 7 * DAY_MS);
    const { items, fromMs, toMs } = await operations.listAuditLog(ALL);
    expect([items.length, fromMs, toMs]).toEqual([1, START_MS - 7 * DAY_MS + 1, START_MS + 1]);
    for (const cursor of ['', 'x', '-1', '9'.repeat(16)]) {
      await expect(operations.listAuditLog(ALL, { cursor })).rejects.toMatchObject({
        code: 'InvalidFilter',
      });
    }
    const backwards = { fromMs: epochMs(START_MS), toMs: epochMs(START_MS - 1) };
    await expect(operations.aggregateAuditLog(ALL, backwards)).rejects.toMatchObject({
      code: 'InvalidFilter',
      detail: { parameter: 'span' },
    });
  });

  it('finds one performer among many, looking at so many records a page', async ({ expect }) => {
    const { operations, meter } = openTestRegistry();
    const repository = await aRepository({ operations });
    await recordMany(repository, AUDIT_RECORDS_LOOKED_AT_MAX + 105);
    const scope = ofNamespace(repository);
    const found: unknown[] = [];
    let cursor: string | null = null;
    do {
      const before = { ...meter.usage };
      const page: Awaited<ReturnType<typeof operations.listAuditLog>> =
        await operations.listAuditLog(scope, { performer: 'ada', cursor });
      found.push(...page.items.map(({ metadata }) => metadata['number']));
      cursor = page.cursor ?? null;
      expect(meter.usage.d1RoundTrips - before.d1RoundTrips).toBe(1);
      expect(meter.usage.d1RowsRead - before.d1RowsRead).toBeLessThan(
        4 * AUDIT_RECORDS_LOOKED_AT_MAX + 60,
      );
    } while (cursor !== null);
    expect(found).toEqual(Array.from({ length: 111 }, (_, index) => index * 10));
    const none = await operations.listAuditLog(scope, { performer: 'eve' });
    expect(none).toMatchObject({ items: [], hasMore: true });
    const rest = await operations.listAuditLog(scope, {
      performer: 'eve',
      cursor: none.cursor ?? null,
    });
    expect(rest).toMatchObject({ items: [], hasMore: false });
  });

  it('reads a page and no more of a long log', async ({ expect }) => {
    const { operations, meter } = openTestRegistry();
    const repository = await aRepository({ operations });
    await recordMany(repository, 2000);
    for (const scope of [ofRepository(repository), ofNamespace(repository), ALL]) {
      const before = { ...meter.usage };
      await operations.listAuditLog(scope, { toMs: epochMs(START_MS - HOUR_MS) });
      expect(meter.usage.d1RowsRead - before.d1RowsRead).toBeLessThanOrEqual(
        2 * (AUDIT_RECORD_PAGE_SIZE + 1) + 2,
      );
    }
  });

  it('tells of what is gone, and nothing to whoever has its name next', async ({ expect }) => {
    const { operations, ...world } = openTestRegistry();
    const repository = await aRepository({ operations });
    operations.recordAuditEvents([{ kind: 'push_repo', repository }], ADA);
    await world.settleDeferred();
    await operations.markRepositoryForDeletion(repository);
    await world.housekeeping.purgeRepositories();
    expect(await select('SELECT id FROM repository')).toEqual([]);
    const name = { namespace: repository.namespaceName, repository: repository.name };
    const next = await aRepository({ operations }, name);
    expect((await operations.listAuditLog(ofRepository(next))).items).toEqual([]);
    const { items } = await operations.listAuditLog(ofNamespace(repository));
    expect(items).toMatchObject([{ kind: 'push_repo', repositoryName: repository.name }]);
  });
});

describe('aggregateAuditLog', () => {
  it('counts by day and kind, in order of time, all or one performer', async ({ expect }) => {
    const { operations } = openTestRegistry();
    const repository = await aRepository({ operations });
    const dayMs = Math.floor(START_MS / DAY_MS) * DAY_MS;
    await recordMany(repository, 4, dayMs + 60_000);
    await recordMany(repository, 1, START_MS - 8 * DAY_MS);
    const span = { toMs: epochMs(dayMs + HOUR_MS) };
    const { counts, isComplete } = await operations.aggregateAuditLog(
      ofRepository(repository),
      span,
    );
    expect(isComplete).toBe(true);
    expect(counts).toEqual([
      { kind: 'delete_tag', dayMs: dayMs - DAY_MS, count: 1 },
      { kind: 'push_repo', dayMs: dayMs - DAY_MS, count: 1 },
      { kind: 'delete_tag', dayMs, count: 1 },
      { kind: 'push_repo', dayMs, count: 1 },
    ]);
    const hers = await operations.aggregateAuditLog(ALL, { ...span, performer: 'ada' });
    expect(hers.counts).toEqual([{ kind: 'delete_tag', dayMs, count: 1 }]);
  });

  it('counts so many and says that there are more', async ({ expect }) => {
    const { operations } = openTestRegistry();
    const repository = await aRepository({ operations });
    await recordMany(repository, AUDIT_RECORDS_COUNTED_MAX + 1);
    const all = { fromMs: epochMs(0) };
    const { counts, isComplete } = await operations.aggregateAuditLog(ALL, all);
    const sum = counts.reduce((total, { count }) => total + count, 0);
    expect([sum, isComplete]).toEqual([AUDIT_RECORDS_COUNTED_MAX, false]);
  });
});

describe('forgetOldRecords', () => {
  it('forgets what is so many days old, to the millisecond, and so many a run', async ({
    expect,
  }) => {
    const clock = new TestClock();
    const settings = { auditLogDays: 30 };
    const { housekeeping, operations, meter } = openTestRegistry({ clock, settings });
    const repository = await aRepository({ operations });
    const forgotten = async () => (await housekeeping.forgetOldRecords()).auditRecords;
    await recordMany(repository, 10, START_MS - 30 * DAY_MS + 1);
    expect(await forgotten()).toBe(9);
    clock.advance(1);
    expect(await forgotten()).toBe(1);
    await recordMany(repository, AUDIT_RECORDS_PER_PRUNE_MAX + 7, START_MS - 31 * DAY_MS);
    await recordMany(repository, 100);
    expect([await forgotten(), await forgotten()]).toEqual([AUDIT_RECORDS_PER_PRUNE_MAX, 7]);
    const before = { ...meter.usage };
    expect(await forgotten()).toBe(0);
    expect(meter.usage.d1RowsRead - before.d1RowsRead).toBeLessThanOrEqual(16);
    expect(meter.usage.d1RowsWritten - before.d1RowsWritten).toBe(0);
    expect(await select('SELECT count(*) AS n FROM audit_log')).toEqual([{ n: 100 }]);
  });
});
