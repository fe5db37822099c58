import { describe, it } from 'vitest';

import type { Tag } from '../../../src/model/datatypes.ts';
import {
  EXPIRY_NOTIFICATIONS_PER_STEP_MAX,
  EXPIRY_SWEEP_INTERVAL_MS,
  NOTIFIED_TAGS_MAX,
} from '../../../src/model/notification-limits.ts';
import { DAY_MS, HOUR_MS } from '../../support/clock.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openNotificationStage, waitingMessages } from '../../support/notifications.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute, select, valueOf } from '../../support/stage.ts';

type Stage = Awaited<ReturnType<typeof openNotificationStage>>;

/** Tags that end so many days from now. */
async function endsIn(stage: Stage, tags: Readonly<Record<string, number>>): Promise<void> {
  for (const [tagName, days] of Object.entries(tags)) {
    const { tag } = await stage.push(tagName, await stage.image());
    await setEnd(stage, tag, days);
  }
}

async function setEnd({ clock, registry }: Stage, tag: Tag, days: number): Promise<void> {
  const end = new Date(clock.nowMs() + days * DAY_MS);
  const { ok } = await registry.changeRepositoryTagExpiration(tag, end);
  if (!ok) {
    throw new Error(`${tag.name} got no end`);
  }
}

/** Looks for what ends, sends it, and gives what was told. */
async function toldBy({ housekeeping, receiver }: Stage): Promise<readonly unknown[]> {
  receiver.messages.length = 0;
  await housekeeping.tellOfEndingTags();
  await housekeeping.deliverNotifications();
  return receiver.bodies().map((body) => body['tags']);
}

const tellOfExpiry = (stage: Stage, days: number) =>
  stage.tell({ event: 'repo_image_expiry', eventConfig: { days } });

describe('tags that will end', () => {
  it('are told of once, the first to end first', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { repository, receiver, clock } = stage;
    await endsIn(stage, { soon: 6, sooner: 2, late: 8 });
    await stage.push('never', await stage.image());
    await stage.operations.createManifestByDigest(repository, await stage.image(), 60);
    await tellOfExpiry(stage, 7);
    expect(await toldBy(stage)).toEqual([['sooner', 'soon']]);
    expect(receiver.bodies()).toEqual([
      {
        event: 'repo_image_expiry',
        time: '2026-11-01T00:00:00.000Z',
        repository: `acme/${repository.name}`,
        namespace: 'acme',
        name: repository.name,
        expiring_in: '7 days',
        tags: ['sooner', 'soon'],
      },
    ]);
    clock.advance(HOUR_MS);
    expect(await toldBy(stage)).toEqual([]);
    clock.advance(DAY_MS);
    expect(await toldBy(stage)).toEqual([['late']]);
    clock.advance(8 * DAY_MS);
    expect(await toldBy(stage)).toEqual([]);
  });

  it('are told of again once they have another end', async ({ expect }) => {
    const stage = await openNotificationStage();
    await endsIn(stage, { v1: 2 });
    await tellOfExpiry(stage, 7);
    expect(await toldBy(stage)).toEqual([['v1']]);
    const tag = await stage.registry.getRepoTag(stage.repository, 'v1');
    await setEnd(stage, tag as Tag, 3);
    stage.clock.advance(HOUR_MS);
    expect(await toldBy(stage)).toEqual([['v1']]);
  });

  it('are told of by each notification for itself, once an hour at most', async ({ expect }) => {
    const stage = await openNotificationStage();
    await endsIn(stage, { v1: 2, v2: 6 });
    await tellOfExpiry(stage, 3);
    await tellOfExpiry(stage, 7);
    expect(await toldBy(stage)).toEqual([['v1'], ['v1', 'v2']]);
    expect(new Set(stage.receiver.ids()).size).toBe(2);
    await endsIn(stage, { v3: 1 });
    stage.clock.advance(EXPIRY_SWEEP_INTERVAL_MS - 1);
    expect(await toldBy(stage)).toEqual([]);
    stage.clock.advance(1);
    expect(await toldBy(stage)).toEqual([['v3'], ['v3']]);
  });

  it('are told of some at a time', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { tag } = await stage.push('v', await stage.image());
    await execute(
      `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)
      INSERT INTO tag (repository_id, name, manifest_id, lifetime_start_ms, lifetime_end_ms,
        is_current)
      SELECT repository_id, printf('t%04d', n), manifest_id, 0, ? + n, 1 FROM counted, tag
      WHERE tag.id = ?`,
      NOTIFIED_TAGS_MAX + 5,
      stage.clock.nowMs() + HOUR_MS,
      tag.id,
    );
    await tellOfExpiry(stage, 1);
    const [first] = await toldBy(stage);
    stage.clock.advance(EXPIRY_SWEEP_INTERVAL_MS);
    const [second] = await toldBy(stage);
    const names = [...(first as string[]), ...(second as string[])];
    expect([(first as string[]).length, names.length]).toEqual([100, 105]);
    expect(names).toEqual(names.toSorted());
    expect(new Set(names).size).toBe(105);
  });

  it('are not told of where nobody is told any more, or the namespace is disabled', async ({
    expect,
  }) => {
    const stage = await openNotificationStage();
    await endsIn(stage, { v1: 2 });
    await tellOfExpiry(stage, 7);
    await execute('UPDATE repository_notification SET number_of_failures = 3');
    expect(await toldBy(stage)).toEqual([]);
    await execute('UPDATE repository_notification SET number_of_failures = 0');
    await execute('UPDATE namespace SET enabled = 0');
    stage.clock.advance(HOUR_MS);
    expect(await toldBy(stage)).toEqual([]);
    await execute('UPDATE namespace SET enabled = 1');
    stage.clock.advance(HOUR_MS);
    expect(await toldBy(stage)).toEqual([['v1']]);
  });

  it('are looked for by as many notifications as there are', async ({ expect }) => {
    const stage = await openNotificationStage();
    await endsIn(stage, { v1: 2 });
    const count = 2 * EXPIRY_NOTIFICATIONS_PER_STEP_MAX;
    await execute(
      `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)
      INSERT INTO repository_notification (uuid, repository_id, event, method, config_json,
        event_config_json, last_ran_ms)
      SELECT 'n' || n, ?, 'repo_image_expiry', 'webhook', '{}', '{"days":7}', 0 FROM counted`,
      count,
      stage.repository.id,
    );
    expect(await stage.housekeeping.tellOfEndingTags()).toEqual({
      messages: count,
      isFinished: true,
    });
    expect(await select('SELECT * FROM tag_notification_success')).toHaveLength(count);
  });
});

/** Two tags that nobody was told of yet, and a sweep behind a gate. */
async function swept() {
  await execute('DELETE FROM repository_notification');
  const stage = await openNotificationStage();
  await endsIn(stage, { v1: 2, v2: 3 });
  await tellOfExpiry(stage, 7);
  const behind: (
    gate: Parameters<Stage['runBehind']>[0],
  ) => ReturnType<Stage['housekeeping']['tellOfEndingTags']> = (gate) =>
    openTestRegistry({ gate, clock: stage.clock }).housekeeping.tellOfEndingTags();
  return { ...stage, behind };
}

describe('a sweep of tags that will end', () => {
  it('that dies tells of each once, by itself or by the next', async ({ expect }) => {
    await crashEverywhere(async () => {
      const stage = await swept();
      return {
        operation: stage.behind,
        check: async (point) => {
          stage.clock.advance(HOUR_MS);
          await stage.housekeeping.tellOfEndingTags();
          expect([point, await waitingMessages()]).toMatchObject([
            point,
            [{ body: expect.stringContaining('"tags":["v1","v2"]') as string }],
          ]);
        },
      };
    });
  });

  it('beside another tells of each once', async ({ expect }) => {
    await interleaveAll(async () => {
      const stage = await swept();
      return {
        racers: [stage.behind, stage.behind],
        check: async (outcomes) => {
          const counts = outcomes.map((outcome) => valueOf(outcome).messages);
          expect([
            counts.toSorted((one, other) => one - other),
            (await waitingMessages()).length,
          ]).toEqual([[0, 1], 1]);
        },
      };
    });
  });

  it('whose answers are lost tells of each once', async ({ expect }) => {
    for (const fates of allFates(3)) {
      const stage = await swept();
      await stage.behind(losing(fates).gate).catch(() => undefined);
      stage.clock.advance(HOUR_MS);
      await stage.housekeeping.tellOfEndingTags();
      expect(await waitingMessages()).toHaveLength(1);
    }
  });
});
