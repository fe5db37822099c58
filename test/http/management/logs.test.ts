import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { authDeps, openScope } from '../../../src/deps.ts';
import { createApp } from '../../../src/http/app.ts';
import { LOGIN_FAILURES_PER_ACCOUNT_MAX } from '../../../src/model/limits.ts';
import { readSettings } from '../../../src/settings.ts';
import { anAccount, addMember, aNamespace, giveRight } from '../../support/accounts.ts';
import {
  aName,
  basic,
  type Call,
  imageIn,
  pushImage,
  readAnswer,
  requestOf,
  send,
  sendAndSettle,
} from '../../support/http.ts';
import { execute, select } from '../../support/stage.ts';

interface Log {
  readonly start_time: string;
  readonly end_time: string;
  readonly logs: readonly {
    readonly kind: string;
    readonly metadata: Record<string, unknown>;
    readonly ip: string | null;
    readonly country: string | null;
    readonly datetime: string;
    readonly performer?: { readonly kind: string; readonly name: string };
  }[];
  readonly next_page?: string;
}

async function readLog(path: string, authorization?: string): Promise<Log> {
  const answer = await send('GET', path, authorization === undefined ? {} : { authorization });
  if (answer.status !== 200) {
    throw new Error(`${path}: ${answer.status} ${answer.text}`);
  }
  return JSON.parse(answer.text) as Log;
}

/** Who did what, the last first. */
const told = ({ logs }: Log) => logs.map(({ kind, performer }) => [kind, performer?.name ?? null]);

const BERLIN: Call = { headers: { 'CF-Connecting-IP': '192.0.2.9' }, country: 'DE' };

/** The round trips that an answer took. */
const trips = ({ headers }: { readonly headers: Headers }) =>
  /d1;desc="(\d+) round trips/.exec(headers.get('Server-Timing') ?? '')?.[1];

/** Records of a repository, a minute apart, the last at noon of a day. */
async function recordMany(repositoryId: number, count: number, noonMs: number): Promise<void> {
  await execute(
    `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
    INSERT INTO audit_log (id, uuid, kind, namespace_id, repository_id, performer_kind,
      performer_name, metadata)
    SELECT (?3 - i * 60000) << 10, 'u' || i, 'push_repo', r.namespace_id, r.id, 'user', 'eve', '{}'
    FROM n, repository r WHERE r.id = ?1`,
    repositoryId,
    count,
    noonMs,
  );
}

async function idOf(name: string): Promise<number> {
  const [row] = await select(
    `SELECT r.id FROM repository r JOIN namespace n ON n.id = r.namespace_id
      WHERE n.name || '/' || r.name = ?`,
    name,
  );
  return Number(row?.['id']);
}

async function settled(method: string, path: string, call: Call, status: number): Promise<void> {
  const answer = await sendAndSettle(method, path, call);
  if (answer.status !== status) {
    throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  }
}

describe('the audit log', () => {
  it('tells what was done by whom, by Basic, by token and as the administrator', async ({
    expect,
  }) => {
    const name = aName();
    const robot = await anAccount('acme+ci');
    await addMember(robot, await aNamespace('acme'), 'creator');
    const asRobot = { authorization: basic(robot.name, robot.secret) };
    await settled('POST', `/v2/${name}/blobs/uploads/`, { ...asRobot, ...BERLIN }, 202);
    const image = await imageIn(name);
    const manifest = { body: image.bytes, headers: { 'Content-Type': image.mediaType } };
    await settled('PUT', `/v2/${name}/manifests/v1`, { ...asRobot, ...manifest }, 201);
    const scope = `repository:${name}:pull,push`;
    const issued = await sendAndSettle('GET', `/v2/auth?scope=${scope}`, asRobot);
    const { token } = JSON.parse(issued.text) as { token: string };
    const byToken = { authorization: `Bearer ${token}` };
    const several = `/v2/${name}/manifests/${image.digest}?tag=v2&tag=v3`;
    await settled('PUT', several, { ...byToken, ...manifest }, 201);
    await settled('PUT', `/v2/${name}/manifests/${image.digest}`, manifest, 201);
    await settled('DELETE', `/v2/${name}/manifests/v2`, byToken, 202);
    await settled('DELETE', `/v2/${name}/manifests/${image.digest}`, {}, 202);
    await settled('POST', `/api/v1/repository/${name}/garbage/collect`, {}, 200);
    // Neither a read nor what was refused leaves anything behind.
    await sendAndSettle('GET', `/v2/${name}/manifests/v1`);
    await sendAndSettle('PUT', `/v2/${name}/manifests/v9`, { body: '{}', ...asRobot });
    const log = await readLog(`/api/v1/repository/${name}/logs`);
    const [namespace, repo] = name.split('/');
    const at = { namespace, repo };
    const pushed = { ...at, manifest_digest: image.digest, media_type: image.mediaType };
    const admin = { kind: 'administrator', name: 'admin', is_robot: false };
    const ci = { kind: 'robot', name: 'acme+ci', is_robot: true };
    expect(log.logs.map(({ kind, metadata, performer }) => [kind, metadata, performer])).toEqual([
      ['collect_garbage', { ...at, tags: 0, manifests: 0, leases: 0, blobs: 0, bytes: 0 }, admin],
      ['delete_tag', { ...at, manifest_digest: image.digest, tags: ['v1', 'v3'] }, admin],
      ['delete_tag', { ...at, manifest_digest: image.digest, tag: 'v2' }, ci],
      ['push_repo', pushed, admin],
      ['push_repo', { ...pushed, tags: ['v2', 'v3'] }, ci],
      ['push_repo', { ...pushed, tag: 'v1' }, ci],
      ['create_repo', at, ci],
    ]);
    expect(log.logs.map(({ ip, country }) => [ip, country])).toEqual([
      ...Array.from({ length: 6 }, () => [null, null]),
      ['192.0.2.9', 'DE'],
    ]);
    expect(log.logs[0]?.datetime).toMatch(/^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} -0000$/);
    expect(await readLog('/api/v1/organization/acme/logs')).toMatchObject({ logs: log.logs });
  });

  it('has a login for its own sake, not those of machines, and what fails', async ({ expect }) => {
    const ada = await anAccount('ada');
    const robot = await anAccount('acme+ci');
    const probe = '/v2/auth?account=x&client_id=docker&offline_token=true';
    for (const { name, secret } of [ada, robot]) {
      const authorization = basic(name, secret);
      await settled('GET', probe, { authorization }, 200);
      await settled('GET', '/v2/auth?scope=repository:acme/app:pull', { authorization }, 200);
      await settled('GET', '/v2/', { authorization }, 200);
    }
    await settled('GET', probe, {}, 200);
    await settled('GET', probe, { authorization: null }, 401);
    await settled('GET', probe, { authorization: basic('ada', 'hunter2') }, 401);
    await settled('GET', '/v2/', { authorization: basic('my pass word', 'hunter2') }, 401);
    await settled('GET', '/v2/', { authorization: basic('admin', 'hunter2') }, 401);
    const log = await readLog('/api/v1/superuser/logs');
    expect(told(log)).toEqual([
      ['login_failure', null],
      ['login_failure', null],
      ['login_failure', null],
      ['login_success', 'admin'],
      ['login_success', 'acme+ci'],
      ['login_success', 'ada'],
    ]);
    expect(log.logs.slice(0, 3).map(({ metadata }) => metadata['username'])).toEqual([
      'admin',
      null,
      'ada',
    ]);
    const hers = await readLog('/api/v1/user/logs', basic(ada.name, ada.secret));
    expect(told(hers)).toEqual([
      ['login_failure', null],
      ['login_success', 'ada'],
    ]);
    expect(told(await readLog('/api/v1/user/logs'))).toEqual([['login_success', 'admin']]);
    expect(JSON.stringify(await select('SELECT * FROM audit_log'))).not.toMatch(
      /hunter2|pass word/,
    );
  });

  it('has logins that fail until they are blocked', async ({ expect }) => {
    const emil = await anAccount('emil');
    for (let count = 0; count < LOGIN_FAILURES_PER_ACCOUNT_MAX + 3; count += 1) {
      const authorization = basic(emil.name, 'hunter2');
      await sendAndSettle('GET', '/v2/', {
        authorization,
        bindings: { ...env, LOGIN_LIMITER: undefined } as unknown as Env,
      });
    }
    const rows =
      await select(`SELECT kind, performer_kind AS performer, namespace_name AS namespace,
        metadata FROM audit_log`);
    expect(rows).toEqual(
      Array.from({ length: LOGIN_FAILURES_PER_ACCOUNT_MAX }, () => ({
        kind: 'login_failure',
        performer: 'anonymous',
        namespace: 'emil',
        metadata: '{"username":"emil"}',
      })),
    );
  });

  it('has a sample of pulls where the operator wants one', async ({ expect }) => {
    const name = aName();
    const { digest } = await pushImage(name, 'v1');
    const bindings = { ...env, AUDIT_PULL_SAMPLE: '1' };
    const settings = readSettings(bindings);
    const app = createApp({
      auth: authDeps(bindings, settings),
      openScope: ({ bookmark, context }) => openScope(bindings, { settings, bookmark, context }),
    });
    for (const method of ['HEAD', 'GET']) {
      const context = createExecutionContext();
      const request = requestOf(method, `/v2/${name}/manifests/v1`);
      await readAnswer(await app.fetch(request, bindings, context));
      await waitOnExecutionContext(context);
    }
    const { logs } = await readLog(`/api/v1/repository/${name}/logs`);
    const pulls = logs.filter(({ kind }) => kind === 'pull_repo');
    expect(pulls.map(({ metadata }) => metadata)).toMatchObject([
      { tag: 'v1', manifest_digest: digest },
    ]);
    for (const AUDIT_PULL_SAMPLE of ['0.25', '1.0', '0']) {
      readSettings({ AUDIT_PULL_SAMPLE });
    }
    for (const AUDIT_PULL_SAMPLE of ['1.5', '-1', '', 'x']) {
      expect(() => readSettings({ AUDIT_PULL_SAMPLE })).toThrow('AUDIT_PULL_SAMPLE');
    }
    expect(() => readSettings({ AUDIT_LOG_DAYS: '0' })).toThrow('AUDIT_LOG_DAYS');
  });

  it('gives pages of 20, spans of days, performers and counts', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const noonMs = Date.UTC(2026, 9, 2, 12);
    await recordMany(await idOf(name), 45, noonMs);
    const path = `/api/v1/repository/${name}`;
    const span = 'starttime=10/01/2026&endtime=10/02/2026';
    const sizes: number[] = [];
    let page: Log | null = null;
    do {
      const next: string = page?.next_page === undefined ? '' : `&next_page=${page.next_page}`;
      page = await readLog(`${path}/logs?${span}${next}`);
      sizes.push(page.logs.length);
    } while (page.next_page !== undefined);
    expect(sizes).toEqual([20, 20, 5]);
    expect(page).toMatchObject({
      start_time: 'Thu, 01 Oct 2026 00:00:00 -0000',
      end_time: 'Sat, 03 Oct 2026 00:00:00 -0000',
    });
    const of = async (query: string) => (await readLog(`${path}/logs?${query}`)).logs.length;
    expect(await of(`${span}&performer=eve`)).toBe(20);
    expect(await of(`${span}&performer=ada`)).toBe(0);
    expect(await of('starttime=10/03/2026&endtime=10/04/2026')).toBe(0);
    const counts = await send('GET', `${path}/aggregatelogs?${span}`);
    expect(JSON.parse(counts.text)).toEqual({
      aggregated: [{ kind: 'push_repo', count: 45, datetime: 'Fri, 02 Oct 2026 00:00:00 -0000' }],
      complete: true,
    });
    const refusals = {
      starttime: 'starttime=2026-10-01',
      endtime: 'endtime=02/30/2026',
      span: 'starttime=10/05/2026&endtime=10/01/2026',
      'the day before': 'starttime=10/05/2026&endtime=10/04/2026',
      cursor: 'next_page=x',
      query: 'limit=5',
    };
    for (const [field, query] of Object.entries(refusals)) {
      const { status, text } = await send('GET', `${path}/logs?${query}`);
      expect([field, status]).toEqual([field, 400]);
      expect(JSON.parse(text)).toMatchObject({ error_type: 'invalid_request' });
    }
  });

  it('is for those who administer what it is about', async ({ expect }) => {
    const name = aName();
    await pushImage(name, 'v1');
    const namespaceId = await aNamespace('acme');
    const [owner, writer, admin] = [
      await anAccount('olga'),
      await anAccount('wim'),
      await anAccount('acme+admin'),
    ];
    await addMember(owner, namespaceId, 'admin');
    await addMember(writer, namespaceId, 'creator');
    await giveRight(writer, await idOf(name), 'write');
    await giveRight(admin, await idOf(name), 'admin');
    const paths = [
      `/api/v1/repository/${name}`,
      '/api/v1/organization/acme',
      '/api/v1/user',
      '/api/v1/superuser',
    ];
    const callers = {
      administrator: [undefined, [200, 200, 200, 200]],
      olga: [basic(owner.name, owner.secret), [200, 200, 200, 403]],
      wim: [basic(writer.name, writer.secret), [403, 403, 200, 403]],
      robot: [basic(admin.name, admin.secret), [200, 403, 403, 403]],
      // Who is no administrator is told so unheard.
      stranger: [basic('olga', 'wrong'), [401, 401, 401, 403]],
      nobody: [null, [401, 401, 401, 401]],
    } as const;
    for (const [who, [authorization, wanted]] of Object.entries(callers)) {
      for (const endpoint of ['logs', 'aggregatelogs']) {
        const statuses: number[] = [];
        for (const path of paths) {
          const call = authorization === undefined ? {} : { authorization };
          statuses.push((await send('GET', `${path}/${endpoint}`, call)).status);
        }
        expect([who, endpoint, statuses]).toEqual([who, endpoint, wanted]);
      }
    }
  });

  it('changes no answer when it cannot be written, and costs no round trip before it', async ({
    expect,
  }) => {
    const name = aName();
    const image = await imageIn(name);
    const put = (reference: string) =>
      sendAndSettle('PUT', `/v2/${name}/manifests/${reference}`, {
        body: image.bytes,
        headers: { 'Content-Type': image.mediaType },
      });
    const before = await put('v1');
    await execute('DROP TABLE audit_log');
    const after = await put('v2');
    expect([before.status, after.status]).toEqual([201, 201]);
    expect([trips(before), trips(after)]).toEqual(['3', '3']);
  });
});
