import { Webhook } from 'standardwebhooks';
import { describe, it } from 'vitest';

import { createHousekeeping } from '../../../src/registry/index.ts';
import { openNotificationStage } from '../../support/notifications.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { execute } from '../../support/stage.ts';

const legacyImageKey = () => {
  throw new Error('the secret is not set');
};

/** The published verifier knows no clock but the machine's. */
async function aMessageOfNow() {
  const stage = await openNotificationStage();
  stage.clock.set(Date.now());
  const notification = await stage.tell();
  await stage.pushTags(['v1']);
  const [message] = stage.receiver.messages;
  if (message === undefined) {
    throw new Error('nothing was sent');
  }
  return { ...stage, notification, message };
}

describe('a message', () => {
  it('is verified by the secret that its notification was made with', async ({ expect }) => {
    const { notification, message, repository } = await aMessageOfNow();
    const said = new Webhook(notification.secret).verify(message.body, { ...message.headers });
    expect(said).toMatchObject({ repository: `acme/${repository.name}`, updated_tags: ['v1'] });
  });

  it('is none of another notification, another content, another id or another time', async ({
    expect,
  }) => {
    const { notification, message, tell } = await aMessageOfNow();
    const other = await tell();
    expect(other.secret).not.toBe(notification.secret);
    const headers = { ...message.headers };
    const verify = (secret: string, body: string, changed: Record<string, string>) => () =>
      new Webhook(secret).verify(body, { ...headers, ...changed });
    const { secret } = notification;
    expect(verify(secret, message.body, {})).not.toThrow();
    expect(verify(other.secret, message.body, {})).toThrow();
    expect(verify(secret, message.body.replace('v1', 'v2'), {})).toThrow();
    expect(verify(secret, message.body, { 'webhook-id': crypto.randomUUID() })).toThrow();
    const later = String(Number(headers['webhook-timestamp']) + 1);
    expect(verify(secret, message.body, { 'webhook-timestamp': later })).toThrow();
  });

  it('is signed as long as the registry keeps its key, and not sent without', async ({
    expect,
  }) => {
    const { tell, pushTags, receiver, clock, repository } = await openNotificationStage();
    const { uuid } = await tell();
    receiver.answer = () => new Response(null, { status: 500 });
    await pushTags(['v1']);
    await execute('UPDATE repository_notification SET due_ms = 0');
    const reported: unknown[] = [];
    const { deps, operations } = openTestRegistry({
      clock,
      fetch: receiver.fetch,
      onFailure: (error) => void reported.push(error),
    });
    await createHousekeeping({ ...deps, legacyImageKey }).deliverNotifications();
    const found = await operations.getNotification(repository, uuid);
    expect([receiver.messages.length, reported.length, found?.lastError]).toEqual([
      1,
      1,
      'something went wrong here; the log has more',
    ]);
  });
});
