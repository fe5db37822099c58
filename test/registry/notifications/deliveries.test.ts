import { describe, it, vi } from 'vitest';

import {
  NOTIFICATION_ATTEMPTS_MAX,
  NOTIFICATION_BACK_OFF_FACTOR,
  NOTIFICATION_BACK_OFF_MS,
  NOTIFICATION_FAILURES_MAX,
  NOTIFICATION_RECEIVERS_AT_ONCE_MAX,
} from '../../../src/model/notification-limits.ts';
import { DAY_MS, MINUTE_MS } from '../../support/clock.ts';
import { openNotificationStage, RECEIVER, waitingMessages } from '../../support/notifications.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute, select } from '../../support/stage.ts';

const refusing = (status: number) => () => new Response('<html>secret</html>', { status });

describe('a receiver', () => {
  it('that fails is asked again ever more rarely, and told the same', async ({ expect }) => {
    const { tell, pushTags, later, receiver, read } = await openNotificationStage();
    const notification = await tell();
    receiver.answer = refusing(500);
    await pushTags(['v1']);
    expect(await read(notification)).toMatchObject({
      waiting: 1,
      numberOfFailures: 0,
      lastError: 'hooks.example.com answers 500',
    });
    let waitMs = NOTIFICATION_BACK_OFF_MS;
    for (let attempt = 2; attempt < NOTIFICATION_ATTEMPTS_MAX; attempt += 1) {
      await later(notification, waitMs - 1);
      expect(receiver.messages).toHaveLength(attempt - 1);
      expect((await later(notification, 1)).report).toMatchObject({ failed: 1, givenUp: 0 });
      expect(receiver.messages).toHaveLength(attempt);
      waitMs *= NOTIFICATION_BACK_OFF_FACTOR;
    }
    receiver.answer = refusing(200);
    expect(await later(notification, waitMs)).toMatchObject({
      waiting: 0,
      lastError: null,
      report: { delivered: 1 },
    });
    expect(new Set(receiver.ids()).size).toBe(1);
    expect(new Set(receiver.messages.map(({ body }) => body)).size).toBe(1);
    const times = receiver.messages.map(({ headers }) => headers['webhook-timestamp']);
    expect(new Set(times).size).toBe(NOTIFICATION_ATTEMPTS_MAX);
  });

  it('gets what waits in its order, and is asked once however much does', async ({ expect }) => {
    const { tell, pushTags, later, receiver } = await openNotificationStage();
    const notification = await tell();
    receiver.answer = refusing(503);
    for (const tagName of ['v1', 'v2', 'v3']) {
      await pushTags([tagName]);
      await later(notification, 1);
    }
    expect(receiver.messages).toHaveLength(1);
    receiver.answer = refusing(200);
    expect(await later(notification, MINUTE_MS)).toMatchObject({ report: { delivered: 3 } });
    expect(receiver.bodies().map((body) => body['updated_tags'])).toEqual([
      ['v1'],
      ['v1'],
      ['v2'],
      ['v3'],
    ]);
  });

  it('that takes something and then fails is asked again as after a first failure', async ({
    expect,
  }) => {
    const { tell, pushTags, later, receiver } = await openNotificationStage();
    const notification = await tell();
    receiver.answer = refusing(500);
    await pushTags(['v1']);
    await later(notification, 1);
    await pushTags(['v2']);
    await later(notification, NOTIFICATION_BACK_OFF_MS);
    receiver.answer = ({ body }) => new Response(null, { status: body.includes('v1') ? 200 : 500 });
    await later(notification, DAY_MS);
    expect(receiver.messages).toHaveLength(4);
    await later(notification, NOTIFICATION_BACK_OFF_MS);
    expect(receiver.messages).toHaveLength(5);
  });

  it('that never takes anything is not told any more, until that is reset', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { tell, pushTags, later, receiver, operations, repository, read } = stage;
    const notification = await tell();
    receiver.answer = refusing(500);
    for (const tagName of ['v1', 'v2', 'v3', 'v4', 'v5']) {
      await pushTags([tagName], { isSent: false });
    }
    await stage.settleDeferred();
    const seen: (readonly [number, number])[] = [];
    for (let day = 0; day < NOTIFICATION_ATTEMPTS_MAX * NOTIFICATION_FAILURES_MAX; day += 1) {
      const { numberOfFailures, waiting } = await later(notification, DAY_MS);
      seen.push([numberOfFailures, waiting]);
      if (numberOfFailures === NOTIFICATION_FAILURES_MAX) {
        break;
      }
    }
    // Given up one by one; with the third goes the rest.
    expect(new Set(seen.map(String))).toEqual(new Set(['0,5', '1,4', '2,3', '3,0']));
    const asked = receiver.messages.length;
    expect(asked).toBe(NOTIFICATION_ATTEMPTS_MAX * NOTIFICATION_FAILURES_MAX);
    expect(await select('SELECT due_ms FROM repository_notification')).toEqual([{ due_ms: null }]);
    await pushTags(['v6']);
    expect(await operations.testNotification(repository, notification.uuid)).toMatchObject({
      isSent: false,
    });
    expect((await later(notification, DAY_MS)).report).toMatchObject({ delivered: 0, failed: 0 });
    expect(receiver.messages).toHaveLength(asked);
    expect(await waitingMessages()).toEqual([]);
    receiver.answer = refusing(200);
    await operations.resetNotification(repository, notification.uuid);
    expect(await read(notification)).toMatchObject({ numberOfFailures: 0, lastError: null });
    await pushTags(['v7']);
    expect(receiver.bodies().at(-1)).toMatchObject({ updated_tags: ['v7'] });
  });

  it('that takes something has its failures taken back', async ({ expect }) => {
    const { tell, pushTags, receiver, read } = await openNotificationStage();
    const notification = await tell();
    await execute('UPDATE repository_notification SET number_of_failures = 2, attempts = 3');
    await pushTags(['v1']);
    expect(await read(notification)).toMatchObject({ numberOfFailures: 0 });
    receiver.answer = refusing(500);
    await pushTags(['v2']);
    expect(await read(notification)).toMatchObject({ numberOfFailures: 0, waiting: 1 });
  });

  it('is asked at once where a reset says so', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { tell, pushTags, receiver, operations, repository } = stage;
    const notification = await tell();
    receiver.answer = refusing(500);
    await pushTags(['v1']);
    receiver.answer = refusing(200);
    await operations.resetNotification(repository, notification.uuid);
    await stage.settleDeferred();
    expect(receiver.messages).toHaveLength(2);
    expect(await waitingMessages()).toEqual([]);
  });

  it('that redirects did not take it, and nobody goes where it leads', async ({ expect }) => {
    const { tell, pushTags, receiver, read } = await openNotificationStage();
    const notification = await tell();
    for (const status of [301, 302, 303, 307, 308]) {
      await execute('UPDATE repository_notification SET due_ms = NULL');
      receiver.answer = () =>
        new Response(null, { status, headers: { Location: 'https://169.254.169.254/' } });
      await pushTags(['v1']);
      expect((await read(notification)).lastError).toBe(`hooks.example.com answers ${status}`);
    }
    expect(new Set(receiver.messages.map(({ url }) => url))).toEqual(new Set([RECEIVER]));
  });

  it('that hangs is waited for some seconds', async ({ expect }) => {
    const { tell, pushTags, receiver, read } = await openNotificationStage();
    const notification = await tell();
    const expired = new AbortController();
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(expired.signal);
    receiver.answer = (_message, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
        expired.abort(new DOMException('too late', 'TimeoutError'));
      });
    await pushTags(['v1']);
    expect(timeout).toHaveBeenCalledWith(10_000);
    timeout.mockRestore();
    expect((await read(notification)).lastError).toBe(
      'hooks.example.com does not answer within 10 s',
    );
  });

  it('that breaks off, or says what it should not, is named by its host alone', async ({
    expect,
  }) => {
    const { tell, pushTags, receiver, read, later } = await openNotificationStage();
    const notification = await tell({ url: `${RECEIVER}/a-token?key=of-services` });
    receiver.answer = () => Promise.reject(new TypeError(`connection to ${RECEIVER}/a-token lost`));
    await pushTags(['v1']);
    expect((await read(notification)).lastError).toBe('hooks.example.com does not answer');
    receiver.answer = refusing(404);
    expect((await later(notification, MINUTE_MS)).lastError).toBe('hooks.example.com answers 404');
  });

  it('is not read from, however much it says', async ({ expect }) => {
    const { tell, pushTags, receiver } = await openNotificationStage();
    await tell();
    let isCancelled = false;
    let pulls = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulls += 1;
        controller.enqueue(new Uint8Array(65_536));
      },
      cancel() {
        isCancelled = true;
      },
    });
    receiver.answer = () => new Response(endless);
    await pushTags(['v1']);
    expect([isCancelled, pulls < 5]).toEqual([true, true]);
    expect(await waitingMessages()).toEqual([]);
  });

  it('in a private network is told only while that is allowed', async ({ expect }) => {
    const settings = { notificationPrivateAddresses: true };
    const stage = await openNotificationStage({ settings });
    const { tell, pushTags, receiver, clock } = stage;
    const notification = await tell({ url: 'http://10.0.0.1:8080/hook' });
    await pushTags(['v1']);
    expect(receiver.messages).toHaveLength(1);
    await pushTags(['v2'], { isSent: false });
    await stage.settleDeferred();
    receiver.answer = refusing(500);
    await pushTags(['v3']);
    const asked = receiver.messages.length;
    clock.advance(DAY_MS);
    const { housekeeping, operations } = openTestRegistry({ clock, fetch: receiver.fetch });
    expect(await housekeeping.deliverNotifications()).toMatchObject({ failed: 1 });
    expect(receiver.messages).toHaveLength(asked);
    expect(await operations.getNotification(stage.repository, notification.uuid)).toMatchObject({
      lastError: 'http://10.0.0.1:8080 is not asked: only https is',
    });
  });
});

describe('a run of deliveries', () => {
  it('asks several receivers at once, and more after those', async ({ expect }) => {
    const { tell, pushTags, receiver, housekeeping } = await openNotificationStage();
    const count = NOTIFICATION_RECEIVERS_AT_ONCE_MAX + 2;
    for (let number = 0; number < count; number += 1) {
      await tell({ url: `https://hooks.example.com/${number}` });
    }
    await pushTags(['v1'], { isSent: false });
    let open = 0;
    let most = 0;
    receiver.answer = async () => {
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => setTimeout(resolve, 20));
      open -= 1;
      return new Response(null);
    };
    await housekeeping.deliverNotifications();
    expect(new Set(receiver.messages.map(({ url }) => url)).size).toBe(count);
    expect(most).toBeLessThanOrEqual(2 * NOTIFICATION_RECEIVERS_AT_ONCE_MAX);
  });

  it('stops at its limits, and the next goes on', async ({ expect }) => {
    const { tell, pushTags, later, receiver, clock } = await openNotificationStage();
    const notification = await tell();
    receiver.answer = refusing(500);
    for (const tagName of ['v1', 'v2', 'v3']) {
      await pushTags([tagName]);
    }
    receiver.answer = () => {
      clock.advance(2000);
      return new Response(null);
    };
    expect(await later(notification, MINUTE_MS, { durationMs: 1000 })).toMatchObject({
      waiting: 2,
      report: { delivered: 1, isFinished: false },
    });
    expect(await later(notification, 0)).toMatchObject({
      waiting: 0,
      report: { delivered: 2, isFinished: true },
    });
  });
});
