import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, it, vi } from 'vitest';

import { NOTIFICATIONS_PER_REPOSITORY_MAX } from '../../../src/model/notification-limits.ts';
import { aName, imageIn, pushImage, sendAndSettle } from '../../support/http.ts';
import { errorOf, messageOf, mistakeOf } from '../../support/management.ts';
import { type ManagedAnswer, sendManaged } from '../../support/openapi.ts';
import { FakeReceiver } from '../../support/receiver.ts';
import { execute, select } from '../../support/stage.ts';

const NONE = crypto.randomUUID();
const URL_OF_RECEIVER = 'https://hooks.example.com/services/a-token';
const PUSHES = { event: 'repo_push', method: 'webhook', config: { url: URL_OF_RECEIVER } };

let receiver: FakeReceiver;
beforeEach(() => {
  receiver = new FakeReceiver();
  vi.stubGlobal('fetch', receiver.fetch);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

const allOf = (name: string): string => `/repository/${name}/notification/`;

async function make(name: string, json: object = PUSHES): Promise<ManagedAnswer> {
  return sendManaged('POST', allOf(name), { json, via: sendAndSettle });
}

const fieldsOf = ({ json }: ManagedAnswer) =>
  json as Record<string, unknown> & { uuid: string; secret: string };

async function push(name: string, tagName: string): Promise<void> {
  const image = await imageIn(name);
  await sendAndSettle('PUT', `/v2/${name}/manifests/${tagName}`, {
    headers: { 'Content-Type': image.mediaType },
    body: image.bytes,
  });
}

describe('the notification endpoints', () => {
  it('make a notification, show its secret once, and have its receiver told', async ({
    expect,
  }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const made = await make(name, { ...PUSHES, title: 'deploys', eventConfig: {} });
    expect(made.status).toBe(201);
    const { secret, ...view } = fieldsOf(made);
    expect(view).toEqual({
      uuid: expect.any(String) as string,
      event: 'repo_push',
      method: 'webhook',
      config: { url: URL_OF_RECEIVER },
      event_config: {},
      title: 'deploys',
      number_of_failures: 0,
      last_error: null,
      waiting: 0,
    });
    expect((await sendManaged('GET', `${allOf(name)}${view.uuid}`)).json).toEqual(view);
    expect((await sendManaged('GET', allOf(name))).json).toEqual({ notifications: [view] });
    await push(name, 'v2');
    const [message] = receiver.messages;
    expect(new Webhook(secret).verify(message?.body ?? '', { ...message?.headers })).toMatchObject({
      repository: name,
      updated_tags: ['v2'],
    });
  });

  it('say how a receiver does, take failures back, and remove', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const { uuid } = fieldsOf(await make(name));
    const path = `${allOf(name)}${uuid}`;
    receiver.answer = () => new Response('secret', { status: 502 });
    await push(name, 'v2');
    expect((await sendManaged('GET', path)).json).toMatchObject({
      waiting: 1,
      last_error: 'hooks.example.com answers 502',
    });
    receiver.answer = () => new Response(null);
    expect((await sendManaged('POST', path, { via: sendAndSettle })).status).toBe(204);
    expect((await sendManaged('GET', path)).json).toMatchObject({ waiting: 0, last_error: null });
    expect((await sendManaged('DELETE', path)).status).toBe(204);
    for (const [method, of] of [
      ['GET', path],
      ['POST', path],
      ['POST', `${path}/test`],
      ['DELETE', path],
      ['GET', `${allOf(name)}${NONE}`],
    ] as const) {
      expect(errorOf(await sendManaged(method, of))).toEqual([404, 'not_found']);
    }
  });

  it('send a test of each event, unless nothing is told any more', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const test = async (json: object) => {
      const { uuid } = fieldsOf(await make(name, json));
      receiver.messages.length = 0;
      const answer = await sendManaged('POST', `${allOf(name)}${uuid}/test`, {
        via: sendAndSettle,
      });
      return [answer.status, answer.json, receiver.bodies()];
    };
    const common = { time: expect.any(String) as string, repository: name, test: true };
    const digest = `sha256:${'0'.repeat(64)}`;
    expect(await test(PUSHES)).toMatchObject([
      200,
      {},
      [{ ...common, event: 'repo_push', updated_tags: ['latest'], manifest_digest: digest }],
    ]);
    const eventConfig = { vulnerability: { priority: 'High' } };
    expect(await test({ ...PUSHES, event: 'vulnerability_found', eventConfig })).toMatchObject([
      200,
      {},
      [{ ...common, vulnerability: { priority: 'High' }, vulnerability_count: 1 }],
    ]);
    const expiry = { ...PUSHES, event: 'repo_image_expiry', eventConfig: { days: 7 } };
    expect(await test(expiry)).toMatchObject([
      200,
      {},
      [{ ...common, expiring_in: '7 days', tags: ['latest'] }],
    ]);
    for (const event of ['quota_warning', 'quota_error']) {
      expect(await test({ ...PUSHES, event })).toMatchObject([
        200,
        {},
        [{ ...common, event, limit_bytes: 1_000_000, used_bytes: 850_000 }],
      ]);
    }
    const { uuid } = fieldsOf(await make(name));
    await execute('UPDATE repository_notification SET number_of_failures = 3');
    const refused = await sendManaged('POST', `${allOf(name)}${uuid}/test`);
    expect(errorOf(refused)).toEqual([409, 'conflict']);
  });

  it('name what is wrong with a request', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const mistake = async (changed: object) =>
      mistakeOf('POST', allOf(name), { json: { ...PUSHES, ...changed } });
    expect(await mistake({ event: undefined })).toMatch(/^event: /);
    for (const event of ['repo_mirror_sync_started', 'build_queued', 'anything']) {
      expect(await mistake({ event })).toMatch(/^event: /);
    }
    for (const method of [undefined, 'email', 'slack']) {
      expect(await mistake({ method })).toMatch(/^method: /);
    }
    expect(await mistake({ config: {} })).toMatch(/^config\.url: /);
    expect(await mistake({ config: { url: URL_OF_RECEIVER, template: '{}' } })).toMatch(/template/);
    for (const url of [
      'none',
      'http://hooks.example.com/',
      'https://localhost/',
      'https://10.0.0.1/',
      'https://[::1]/',
      'https://0x7f.1/',
      'https://ada:secret@hooks.example.com/',
      'ftp://hooks.example.com/',
      `https://hooks.example.com/${'a'.repeat(2048)}`,
    ]) {
      expect(await mistake({ config: { url } })).toMatch(/^config\.url/);
    }
    expect(await mistake({ title: 'a'.repeat(256) })).toMatch(/^title/);
    expect(await mistake({ eventConfig: { days: 1 } })).toMatch(/^eventConfig\.days: /);
    const expiry = { event: 'repo_image_expiry' };
    expect(await mistake(expiry)).toMatch(/^eventConfig: /);
    for (const days of [0, 366, 1.5, '7']) {
      expect(await mistake({ ...expiry, eventConfig: { days } })).toMatch(/^eventConfig\.days: /);
    }
    const vulnerability = { priority: 'shocking' };
    expect(await mistake({ event: 'vulnerability_found', eventConfig: { vulnerability } })).toMatch(
      /^eventConfig\.vulnerability\.priority: /,
    );
    expect(await mistake({ secret: 'mine' })).toMatch(/secret/);
    expect((await sendManaged('GET', allOf(name))).json).toEqual({ notifications: [] });
    expect(receiver.messages).toEqual([]);
  });

  it('keep to a number for each repository', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    for (let count = 0; count < NOTIFICATIONS_PER_REPOSITORY_MAX; count += 1) {
      expect((await make(name)).status).toBe(201);
    }
    const refused = await make(name);
    expect(errorOf(refused)).toEqual([402, 'exceeds_license']);
    expect(messageOf(refused)).toContain('20 notifications');
  });

  it('write a secret into no log and no table, and the URL into no log', async ({ expect }) => {
    const heard: string[] = [];
    for (const method of ['log', 'error', 'warn', 'info'] as const) {
      vi.spyOn(console, method).mockImplementation((...args: readonly unknown[]) => {
        heard.push(args.map(String).join(' '));
      });
    }
    const name = aName();
    await pushImage(name, 'v1');
    const { uuid, secret } = fieldsOf(await make(name));
    receiver.answer = () => Promise.reject(new TypeError(`${URL_OF_RECEIVER} is down`));
    await push(name, 'v2');
    await sendManaged('POST', `${allOf(name)}${uuid}/test`, { via: sendAndSettle });
    vi.restoreAllMocks();
    heard.push(JSON.stringify(await select('SELECT * FROM audit_log')));
    expect(heard.join('\n')).toContain('add_repo_notification');
    expect(heard.join('\n')).not.toContain('a-token');
    for (const table of ['repository_notification', 'notification_delivery']) {
      heard.push(JSON.stringify(await select(`SELECT * FROM ${table}`)));
    }
    expect(heard.join('\n')).not.toContain(secret.slice('whsec_'.length));
  });
});
