import { describe, it } from 'vitest';

import { isRegistryError } from '../../../src/model/errors.ts';
import { NOTIFICATIONS_WAITING_MAX } from '../../../src/model/notification-limits.ts';
import { createRegistryOperations } from '../../../src/registry/index.ts';
import { START_MS } from '../../support/clock.ts';
import { allFates, losing } from '../../support/lost-answers.ts';
import { openNotificationStage, RECEIVER, waitingMessages } from '../../support/notifications.ts';
import { aRepository, openTestRegistry } from '../../support/registry.ts';
import { change, execute, select } from '../../support/stage.ts';

describe('a push', () => {
  it('is told to whoever wants to hear of it, once, with all its tags', async ({ expect }) => {
    const { tell, pushTags, receiver, repository, read } = await openNotificationStage();
    const { uuid } = await tell();
    await tell({ event: 'repo_image_expiry', eventConfig: { days: 1 } });
    const { digest } = await pushTags(['v1', 'v1.2']);
    expect(receiver.messages).toMatchObject([
      {
        url: RECEIVER,
        method: 'POST',
        redirect: 'manual',
        headers: {
          'Content-Type': 'application/json',
          'webhook-timestamp': String(START_MS / 1000),
        },
      },
    ]);
    expect(receiver.bodies()).toEqual([
      {
        event: 'repo_push',
        time: '2026-11-01T00:00:00.000Z',
        repository: `acme/${repository.name}`,
        namespace: 'acme',
        name: repository.name,
        updated_tags: ['v1', 'v1.2'],
        manifest_digest: digest,
      },
    ]);
    expect(await waitingMessages()).toEqual([]);
    expect(await read({ uuid })).toMatchObject({
      waiting: 0,
      numberOfFailures: 0,
      lastError: null,
    });
    expect(await select('SELECT due_ms, claim_token FROM repository_notification')).toEqual([
      { due_ms: null, claim_token: null },
      { due_ms: null, claim_token: null },
    ]);
  });

  it('is told to all that want to hear of it, under one id', async ({ expect }) => {
    const { tell, pushTags, receiver } = await openNotificationStage();
    await tell();
    await tell({ url: 'https://other.example.com/' });
    await pushTags(['v1']);
    await pushTags(['v1']);
    const [first, second, third, fourth] = receiver.ids();
    expect(new Set(receiver.messages.map(({ url }) => url)).size).toBe(2);
    expect([second, fourth]).toEqual([first, third]);
    expect(first).not.toBe(third);
  });

  it('tells nobody of another repository, by digest, or of a tag that was moved', async ({
    expect,
  }) => {
    const stage = await openNotificationStage();
    const { tell, repository, registry, operations, receiver } = stage;
    await tell({}, await aRepository(stage));
    const { uuid } = await tell();
    await operations.deleteNotification(repository, uuid);
    const { manifest } = await stage.push('v1', await stage.image());
    await tell();
    await operations.createManifestByDigest(repository, await stage.image(), 60);
    await registry.retargetTag(repository, 'v2', manifest);
    expect(receiver.messages).toEqual([]);
    expect(await waitingMessages()).toEqual([]);
  });

  it('that is refused tells nobody', async ({ expect }) => {
    const stage = await openNotificationStage();
    const { tell, registry, repository, receiver } = stage;
    const { tag } = await stage.push('v1', await stage.image());
    await registry.changeTagImmutability(tag, true);
    await tell();
    const refused = await stage.push('v1', await stage.image()).catch((error: unknown) => error);
    expect(isRegistryError(refused) && refused.code).toBe('TagImmutable');
    expect(receiver.messages).toEqual([]);
    expect(await waitingMessages()).toEqual([]);
    expect((await registry.getRepoTag(repository, 'v1'))?.id).toBe(tag.id);
  });

  it('whose transaction is rolled back tells nobody', async ({ expect }) => {
    const stage = await openNotificationStage();
    await stage.tell();
    const image = await stage.image();
    let calls = 0;
    const rename = change(`UPDATE repository SET state = 3 WHERE id = ${stage.repository.id}`);
    const pushing = stage.push('v1', image, async (_call, run) => {
      calls += 1;
      if (calls === 2) {
        // Between its reads and its writes.
        await rename((_call, go) => go());
      }
      return run();
    });
    await expect(pushing).rejects.toMatchObject({ code: 'RetargetFailed' });
    expect(calls).toBeGreaterThanOrEqual(2);
    expect(await select('SELECT * FROM tag')).toEqual([]);
    expect(await waitingMessages()).toEqual([]);
  });

  it('is told of once for each generation that it made, whichever answers are lost', async ({
    expect,
  }) => {
    const stage = await openNotificationStage();
    await stage.tell();
    for (const fates of allFates(4)) {
      await execute('DELETE FROM notification_delivery');
      await execute('DELETE FROM tag');
      const { gate } = losing(fates);
      const { deps } = openTestRegistry({ gate, clock: stage.clock });
      // Nothing is sent, so that what was written can be counted.
      const operations = createRegistryOperations({
        ...deps,
        defer: (work) => void work.catch(() => undefined),
        legacyImageKey: () => {
          throw new Error('nothing is signed');
        },
        report: () => undefined,
      });
      const image = await stage.image();
      await operations
        .createManifestAndRetargetTags(stage.repository, image, ['v1'])
        .catch(() => undefined);
      const generations = await select('SELECT id FROM tag');
      expect([fates, (await waitingMessages()).length]).toEqual([fates, generations.length]);
    }
  });

  it('is not kept where too much waits already', async ({ expect }) => {
    const { tell, pushTags, read } = await openNotificationStage();
    const notification = await tell();
    await execute(
      `WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)
      INSERT INTO notification_delivery (notification_id, created_ms, message_id, body)
      SELECT r.id, n, 'm' || n, '{}' FROM counted, repository_notification r`,
      NOTIFICATIONS_WAITING_MAX - 1,
    );
    await execute('UPDATE repository_notification SET due_ms = 9e15');
    await pushTags(['v1']);
    expect(await read(notification)).toMatchObject({ waiting: NOTIFICATIONS_WAITING_MAX });
    await pushTags(['v2']);
    expect(await read(notification)).toMatchObject({ waiting: NOTIFICATIONS_WAITING_MAX });
  });
});
