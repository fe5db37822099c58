import { describe, it } from 'vitest';

import { HOUR_MS, MINUTE_MS, START_MS } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { begun, keepFor, keepNewest, openRetentionStage } from '../../support/retention.ts';
import { change, execute, select, valueOf } from '../../support/stage.ts';
import { seedTags } from '../../support/tags.ts';

const many = (count: number) =>
  Array.from({ length: count }, (_, at) => begun(`t${String(at).padStart(4, '0')}`, count - at));

describe('a run of the retention policies', () => {
  it('applies a policy soon after it was written, and again every hour', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, many(3));
    const run = async () => (await stage.housekeeping.applyRetention()).ended;
    await stage.keep(keepNewest(2));
    expect([await run(), await run()]).toEqual([1, 0]);
    await seedTags(stage.repository, [begun('new', 0)]);
    stage.clock.advance(HOUR_MS - 1);
    expect(await run()).toBe(0);
    stage.clock.advance(1);
    expect(await run()).toBe(1);
    const policy = await stage.keep(keepNewest(1));
    expect(await run()).toBe(1);
    await stage.operations.deleteRetentionPolicy(stage.repositoryScope, policy.uuid);
  });

  it('of a namespace does its repositories, and no other', async ({ expect }) => {
    const stage = await openRetentionStage();
    const neighbour = await aRepository(stage);
    await execute(
      `INSERT INTO manifest (repository_id, digest, media_type, size_bytes, created_ms, bytes)
      SELECT id, 'sha256:neighbour', 'x/y', 2, 0, '{}' FROM repository WHERE id = ?`,
      neighbour.id,
    );
    await seedTags(stage.repository, many(3));
    await seedTags(neighbour, many(3));
    await stage.keep(keepNewest(1), stage.namespaceScope);
    expect(await stage.housekeeping.applyRetention()).toEqual({
      repositories: 2,
      ended: 4,
      isFinished: true,
    });
    await seedTags(stage.repository, [begun('x', 0)]);
    await seedTags(neighbour, [begun('x', 0)]);
    await stage.clearRetention();
    await stage.keep(keepNewest(1));
    expect(await stage.housekeeping.applyRetention()).toMatchObject({ repositories: 1 });
  });

  it('stops at its limits, oldest first, and goes on the next time', async ({ expect }) => {
    const stage = await openRetentionStage();
    await seedTags(stage.repository, many(120));
    await stage.keep(keepNewest(5));
    const ended: number[] = [];
    for (let runs = 0; runs < 4; runs += 1) {
      const report = await stage.housekeeping.applyRetention({ statements: 9 });
      ended.push(report.ended);
      const [oldest] = await stage.names();
      const total = ended.reduce((sum, each) => sum + each, 0);
      expect(oldest).toBe(`t${String(total).padStart(4, '0')}`);
    }
    expect(ended).toEqual([50, 50, 15, 0]);
    expect((await stage.housekeeping.applyRetention()).isFinished).toBe(true);
  });

  it('forgets the task of an owner without policies', async ({ expect }) => {
    const stage = await openRetentionStage();
    const { uuid } = await stage.keep(keepNewest(1));
    await stage.operations.deleteRetentionPolicy(stage.repositoryScope, uuid);
    await stage.housekeeping.applyRetention();
    expect(await select('SELECT * FROM retention_task')).toEqual([]);
  });

  it('with nothing due is one round trip of a few rows, however many policies wait', async ({
    expect,
  }) => {
    const stage = await openRetentionStage();
    for (let count = 0; count < 20; count += 1) {
      const { id } = await aRepository(stage);
      await stage.keep(keepNewest(1), { kind: 'repository', id });
    }
    await stage.housekeeping.applyRetention();
    const { housekeeping, meter } = openTestRegistry();
    expect(await housekeeping.applyRetention()).toMatchObject({ repositories: 0 });
    expect(meter.usage).toMatchObject({ d1RoundTrips: 1, d1RowsWritten: 0 });
    expect(meter.usage.d1RowsRead).toBeLessThanOrEqual(4);
  });

  it('that fails leaves the other tasks to the next run, and comes back to its own', async ({
    expect,
  }) => {
    const stage = await openRetentionStage();
    const neighbour = await aRepository(stage);
    await stage.keep(keepFor(1, 'x'), { kind: 'repository', id: neighbour.id });
    await execute("UPDATE repository_retention_policy SET tag_pattern = '('");
    stage.clock.advance(1);
    await seedTags(stage.repository, [begun('a', 1)]);
    await stage.keep(keepFor(1));
    await expect(stage.housekeeping.applyRetention()).rejects.toThrow('policy invalid');
    expect(await stage.housekeeping.applyRetention()).toMatchObject({ ended: 1 });
    stage.clock.advance(15 * MINUTE_MS);
    await expect(stage.housekeeping.applyRetention()).rejects.toThrow('policy invalid');
  });

  it('dies anywhere, and the next ones finish its work', async ({ expect }) => {
    const stage = await openRetentionStage();
    const points = await crashEverywhere(async () => {
      await stage.clearRetention();
      await seedTags(stage.repository, many(60));
      await stage.keep(keepNewest(3), stage.namespaceScope);
      return {
        operation: (gate) => stage.housekeepingBehind(gate).applyRetention(),
        check: async (point) => {
          expect(await findViolations(), JSON.stringify(point)).toEqual([]);
          expect((await stage.names()).slice(-3)).toEqual(['t0057', 't0058', 't0059']);
          stage.clock.advance(15 * MINUTE_MS);
          await stage.housekeeping.applyRetention();
          expect(await stage.names(), JSON.stringify(point)).toHaveLength(3);
        },
      };
    });
    expect(points.length).toBeGreaterThan(10);
  });
});

describe('a tag that a plan has found', () => {
  const CHANGES = [
    { what: 'is locked', sql: "UPDATE tag SET immutable = 1 WHERE name = 'a' AND is_current = 1" },
    {
      what: 'is locked by its policy being gone',
      sql: 'DELETE FROM repository_retention_policy',
    },
    {
      what: 'gets another policy',
      sql: 'UPDATE repository_retention_policy SET tags_max = 9, revision = revision + 1',
    },
    { what: 'is frozen', sql: 'UPDATE repository SET state = 1' },
  ];
  it.for(CHANGES)('I9: and that $what before it is ended stays', async ({ sql }, { expect }) => {
    const stage = await openRetentionStage();
    let kept = 0;
    const schedules = await interleaveAll(async () => {
      await stage.clearRetention();
      await execute('UPDATE repository SET state = 0');
      await seedTags(stage.repository, [begun('a', 2), begun('b', 1)]);
      await stage.keep(keepNewest(1));
      let aliveAtChange = false;
      return {
        racers: [
          (gate: Gate) => stage.housekeepingBehind(gate).applyRetention(),
          async (gate: Gate) => {
            const [, alive = []] = await change(
              sql,
              "SELECT 1 FROM tag WHERE name = 'a' AND is_current = 1",
            )(gate);
            aliveAtChange = alive.length > 0;
          },
        ],
        check: async ([applied], schedule) => {
          valueOf(applied);
          const names = await stage.names();
          expect(names, schedule).toEqual(aliveAtChange ? ['a', 'b'] : ['b']);
          kept += Number(aliveAtChange);
        },
      };
    });
    expect(kept).toBeGreaterThan(2);
    expect(schedules).toBeGreaterThan(kept);
  });

  it('I9: and that moves is the mover’s', async ({ expect }) => {
    const stage = await openRetentionStage();
    const { manifest } = await stage.push('other', await stage.image());
    const schedules = await interleaveAll(async () => {
      await stage.clearRetention();
      await seedTags(stage.repository, [begun('a', 2), begun('b', 1)]);
      await stage.keep(keepNewest(1));
      return {
        racers: [
          // So much that it ends after it ended the tag.
          (gate: Gate) => stage.housekeepingBehind(gate).applyRetention({ statements: 8 }),
          (gate: Gate) => stage.behind(gate).retargetTag(stage.repository, 'a', manifest),
        ],
        check: async ([applied, moved], schedule) => {
          valueOf(applied);
          const rows = await stage.generations('a');
          expect(rows, schedule).toMatchObject([
            { is_current: 0, lifetime_end_ms: START_MS },
            { id: valueOf(moved).id, is_current: 1, lifetime_end_ms: null },
          ]);
        },
      };
    });
    expect(schedules).toBeGreaterThan(10);
    expect(await findViolations()).toEqual([]);
  });

  it('I4: and that is deleted meanwhile is ended once', async ({ expect }) => {
    const stage = await openRetentionStage();
    await interleaveAll(async () => {
      await stage.clearRetention();
      await seedTags(stage.repository, [begun('a', 2), begun('b', 1)]);
      await stage.keep(keepNewest(1));
      const before = await stage.generation();
      return {
        racers: [
          (gate: Gate) => stage.housekeepingBehind(gate).applyRetention(),
          (gate: Gate) => stage.behind(gate).deleteTag(stage.repository, 'a'),
        ],
        check: async ([applied, deleted], schedule) => {
          const ended = valueOf(applied).ended + Number(valueOf(deleted) !== null);
          expect(ended, schedule).toBe(1);
          expect(await stage.generation(), schedule).toBe(before + 1);
          expect(await stage.names()).toEqual(['b']);
        },
      };
    });
  });

  it('a policy that changes while its task is done is applied once more', async ({ expect }) => {
    const stage = await openRetentionStage();
    await interleaveAll(async () => {
      await stage.clearRetention();
      await seedTags(stage.repository, [begun('a', 2), begun('b', 1)]);
      const { uuid } = await stage.keep(keepNewest(2));
      return {
        racers: [
          (gate: Gate) => stage.housekeepingBehind(gate).applyRetention(),
          (gate: Gate) =>
            stage
              .operationsBehind(gate)
              .updateRetentionPolicy(stage.repositoryScope, uuid, keepNewest(1)),
        ],
        check: async (outcomes, schedule) => {
          outcomes.forEach((outcome) => valueOf<unknown>(outcome));
          await stage.housekeeping.applyRetention();
          expect(await stage.names(), schedule).toEqual(['b']);
          const [task] = await select('SELECT due_ms FROM retention_task');
          expect(task).toEqual({ due_ms: START_MS + HOUR_MS });
        },
      };
    });
  });
});
