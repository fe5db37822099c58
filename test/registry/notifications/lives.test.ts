import { describe, it } from 'vitest';

import { PURGE_ROWS_PER_STEP_MAX } from '../../../src/model/limits.ts';
import {
  NOTIFICATION_BACK_OFF_MS,
  NOTIFICATION_CLAIM_MS,
  NOTIFICATIONS_PER_REPOSITORY_MAX,
} from '../../../src/model/notification-limits.ts';
import { MINUTE_MS } from '../../support/clock.ts';
import { crashEverywhere, interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openNotificationStage, waitingMessages } from '../../support/notifications.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { execute, select, valueOf } from '../../support/stage.ts';

type Stage = Awaited<ReturnType<typeof openNotificationStage>>;

/** A receiver that two messages wait for and that takes them from now on. */
async function twoWait(): Promise<Stage & { readonly uuid: string }> {
  await execute('DELETE FROM repository_notification');
  const stage = await openNotificationStage();
  const { uuid } = await stage.tell();
  stage.receiver.answer = () => new Response(null, { status: 503 });
  await stage.pushTags(['v1']);
  stage.clock.advance(1);
  await stage.pushTags(['v2']);
  stage.receiver.answer = () => new Response(null);
  stage.receiver.messages.length = 0;
  stage.clock.advance(NOTIFICATION_BACK_OFF_MS);
  return { ...stage, uuid };
}

const isAtRest = async () => ({
  waiting: (await waitingMessages()).length,
  notifications: await select('SELECT due_ms, claim_token, attempts FROM repository_notification'),
});
const AT_REST = { waiting: 0, notifications: [{ due_ms: null, claim_token: null, attempts: 0 }] };

describe('a run that dies', () => {
  it('at any call to a store repeats a message at most, under its id', async ({ expect }) => {
    const points = await crashEverywhere(
      async () => {
        const stage = await twoWait();
        return {
          operation: stage.runBehind,
          check: async (point) => {
            expect([point, await findViolations()]).toEqual([point, []]);
            await stage.later(stage, NOTIFICATION_CLAIM_MS);
            expect([point, await isAtRest()]).toEqual([point, AT_REST]);
            const ids = stage.receiver.ids();
            expect(new Set(ids).size).toBe(2);
            expect(ids.length).toBeLessThanOrEqual(3);
            const tags = stage.receiver.bodies().map((body) => String(body['updated_tags']));
            expect(tags).toEqual(tags.toSorted());
          },
        };
      },
      { oneAfterTheOther: true },
    );
    expect(points.length).toBeGreaterThanOrEqual(4);
  });

  it('between sending and noting that it did, sends the message again', async ({ expect }) => {
    const stage = await twoWait();
    let calls = 0;
    void stage.runBehind((_call, run) => {
      calls += 1;
      return calls === 1 ? run() : new Promise<never>(() => undefined);
    });
    while (stage.receiver.messages.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    // It counts as held until then.
    expect((await stage.later(stage, NOTIFICATION_CLAIM_MS - 1)).waiting).toBe(2);
    expect((await stage.later(stage, 1)).waiting).toBe(0);
    const [first, again, second] = stage.receiver.ids();
    expect([again, stage.receiver.ids().length]).toEqual([first, 3]);
    expect(second).not.toBe(first);
  });

  it('behind a push leaves what it was to tell to cron', async ({ expect }) => {
    const { tell, pushTags, read, later, receiver } = await openNotificationStage();
    const notification = await tell();
    let isDead = true;
    receiver.answer = () =>
      isDead ? new Promise<never>(() => undefined) : new Response(null, { status: 202 });
    await pushTags(['v1'], { isSent: false });
    while (receiver.messages.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    isDead = false;
    expect(await read(notification)).toMatchObject({ waiting: 1 });
    expect(await later(notification, NOTIFICATION_CLAIM_MS)).toMatchObject({ waiting: 0 });
  });
});

describe('two runs at once', () => {
  it('send each message once, in every order of their calls', async ({ expect }) => {
    const schedules = await interleaveAll(async () => {
      const stage = await twoWait();
      return {
        racers: [stage.runBehind, stage.runBehind],
        check: async (outcomes, schedule) => {
          const delivered = outcomes.map((outcome) => valueOf(outcome).delivered);
          expect([schedule, (delivered[0] ?? 0) + (delivered[1] ?? 0)]).toEqual([schedule, 2]);
          expect(stage.receiver.bodies().map((body) => body['updated_tags'])).toEqual([
            ['v1'],
            ['v2'],
          ]);
          expect([schedule, await isAtRest()]).toEqual([schedule, AT_REST]);
        },
      };
    });
    expect(schedules).toBeGreaterThan(4);
  });

  it('of which one only seems dead, do no harm but a message twice', async ({ expect }) => {
    const stage = await twoWait();
    let isFirst = true;
    stage.receiver.answer = async () => {
      if (isFirst) {
        isFirst = false;
        await stage.later(stage, NOTIFICATION_CLAIM_MS);
        return new Response(null, { status: 500 });
      }
      return new Response(null);
    };
    await stage.housekeeping.deliverNotifications();
    expect(await isAtRest()).toEqual(AT_REST);
    expect(await stage.read(stage)).toMatchObject({ numberOfFailures: 0, lastError: null });
  });
});

describe('a run that was taken over', () => {
  it('sends nothing more, and what it has sent counts', async ({ expect }) => {
    const stage = await twoWait();
    let asked = 0;
    stage.receiver.answer = async ({ body }) => {
      asked += 1;
      if (asked === 1) {
        // Slow to answer; meanwhile another run gets as far as the second message.
        await stage.later(stage, NOTIFICATION_CLAIM_MS);
      }
      return new Response(null, { status: body.includes('"v2"') ? 500 : 200 });
    };
    await stage.housekeeping.deliverNotifications({ durationMs: 2 * NOTIFICATION_CLAIM_MS });
    expect(stage.receiver.bodies().map((body) => body['updated_tags'])).toEqual([
      ['v1'],
      ['v1'],
      ['v2'],
    ]);
    expect(await stage.read(stage)).toMatchObject({
      waiting: 1,
      lastError: 'hooks.example.com answers 500',
    });
  });
});

describe('a push beside a run', () => {
  it('is told, in every order of their calls', async ({ expect }) => {
    await interleaveAll(async () => {
      const stage = await twoWait();
      const image = await stage.image();
      return {
        racers: [
          stage.runBehind,
          async (gate) => {
            const world = openTestRegistry({ gate, clock: stage.clock, ...sentBy(stage) });
            await world.operations.createManifestAndRetargetTags(stage.repository, image, ['v3']);
            await world.settleDeferred();
          },
        ],
        check: async (outcomes, schedule) => {
          expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
          expect([schedule, await findViolations()]).toEqual([schedule, []]);
          // What came last may be left to cron.
          await stage.later(stage, 0);
          expect([schedule, await isAtRest()]).toEqual([schedule, AT_REST]);
          expect(stage.receiver.messages).toHaveLength(3);
        },
      };
    });
  });
});

const sentBy = ({ receiver }: Stage) => ({ fetch: receiver.fetch });

describe('a run whose answers are lost', () => {
  it('comes to the same end', async ({ expect }) => {
    for (const status of [200, 500]) {
      for (const fates of allFates(4)) {
        const stage = await twoWait();
        stage.receiver.answer = () => new Response(null, { status });
        await stage.runBehind(losing(fates).gate).catch(() => undefined);
        stage.receiver.answer = () => new Response(null);
        await stage.later(stage, 10 * MINUTE_MS);
        expect([fates, status, await isAtRest()]).toEqual([fates, status, AT_REST]);
        expect(new Set(stage.receiver.ids()).size).toBe(2);
      }
    }
  }, 120_000);
});

describe('a notification', () => {
  it('is one of its own repository', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { operations, tell, read } = stage;
    const notification = await tell();
    const other = await aRepository(stage);
    expect(await operations.getNotification(other, notification.uuid)).toBeNull();
    expect(await operations.deleteNotification(other, notification.uuid)).toBeNull();
    expect(await operations.resetNotification(other, notification.uuid)).toBeNull();
    expect(await operations.testNotification(other, notification.uuid)).toBeNull();
    expect(await operations.listNotifications(other)).toEqual([]);
    expect(await read(notification)).toMatchObject({ event: 'repo_push' });
  });

  it('is one of some that a repository has, whichever answers are lost', async ({ expect }) => {
    const { tell, repository, operations, operationsBehind } = await openNotificationStage();
    const content = { event: 'repo_push', eventConfig: {}, title: null } as const;
    for (const fates of allFates(2)) {
      const operationsLosing = operationsBehind(losing(fates).gate);
      await operationsLosing.createNotification(repository, {
        ...content,
        url: 'https://hooks.example.com/',
      });
    }
    const made = await operations.listNotifications(repository);
    expect(made).toHaveLength(allFates(2).length);
    for (let count = made.length; count < NOTIFICATIONS_PER_REPOSITORY_MAX; count += 1) {
      await tell();
    }
    await expect(tell()).rejects.toMatchObject({ code: 'LimitReached' });
    await operations.deleteNotification(repository, made[0]?.uuid ?? '');
    await expect(tell()).resolves.toBeDefined();
  });

  it('is deleted with what waits for it', async ({ expect }) => {
    const stage = await twoWait();
    expect(await waitingMessages()).toHaveLength(2);
    expect(await stage.operations.deleteNotification(stage.repository, stage.uuid)).toMatchObject({
      uuid: stage.uuid,
      waiting: 2,
    });
    expect(await waitingMessages()).toEqual([]);
    expect(await stage.operations.deleteNotification(stage.repository, stage.uuid)).toBeNull();
    await stage.housekeeping.deliverNotifications();
    expect(stage.receiver.messages).toEqual([]);
  });

  it('goes with its repository, and so does what waits for it', async ({ expect }) => {
    const stage = await twoWait();
    await stage.tell();
    // More than one step takes.
    await execute(
      `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)
      INSERT INTO notification_delivery (notification_id, created_ms, message_id, body)
      SELECT r.id, n, 'm' || n, '{}' FROM counted, repository_notification r`,
      PURGE_ROWS_PER_STEP_MAX - 10,
    );
    await stage.operations.markRepositoryForDeletion(stage.repository);
    stage.clock.advance(MINUTE_MS);
    await stage.housekeeping.purgeRepositories();
    expect(await select('SELECT * FROM repository')).toEqual([]);
    expect(await select('SELECT * FROM repository_notification')).toEqual([]);
    expect(await waitingMessages()).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('is not made in a repository that is gone', async ({ expect }) => {
    const { operations, repository } = await openNotificationStage();
    await operations.markRepositoryForDeletion(repository);
    const content = { event: 'repo_push', eventConfig: {}, title: null } as const;
    const url = 'https://hooks.example.com/';
    expect(await operations.createNotification(repository, { ...content, url })).toBeNull();
  });
});
