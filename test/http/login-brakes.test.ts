import { createExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, it } from 'vitest';

import { addressOf } from '../../src/http/request-source.ts';
import worker from '../../src/index.ts';
import { LOGIN_FAILURES_PER_ACCOUNT_MAX } from '../../src/model/limits.ts';
import { anAccount } from '../support/accounts.ts';
import { basic, type Call, readAnswer, refusal, requestOf, send } from '../support/http.ts';

/** Each path that takes a secret, and what a wrong one gets there. */
const DOORS = {
  token: '/v2/auth?service=registry.test&scope=repository:acme/app:pull',
  ping: '/v2/',
  manifest: '/v2/acme/app/manifests/v1',
  management: '/api/v1/repository/acme/app/garbage/log',
} as const;

/** The platform's limiter is optional. */
const LIMITLESS = { ...env, LOGIN_LIMITER: undefined } as unknown as Env;

async function knock(path: string, call: Call) {
  const context = createExecutionContext();
  return readAnswer(await worker.fetch(requestOf('GET', path, call), LIMITLESS, context));
}

async function failUntilBlocked(path: string, call: Call): Promise<number> {
  for (let count = 0; count < 50; count += 1) {
    if ((await knock(path, call)).status === 429) {
      return count;
    }
  }
  return Infinity;
}

const at = (ip: string) => ({ 'CF-Connecting-IP': ip });

const of = (text?: string) => addressOf({ header: () => text });

describe('logins that fail', () => {
  it('are blocked at every door after ten of one name, right or wrong, and ask no store', async ({
    expect,
  }) => {
    const names = ['ada', 'bob', 'carol', 'acme+ci'];
    for (const [index, door] of Object.values(DOORS).entries()) {
      const account = await anAccount(names[index] ?? '');
      const call = { authorization: basic(account.name, 'wrong') };
      expect([door, await failUntilBlocked(door, call)]).toEqual([
        door,
        LOGIN_FAILURES_PER_ACCOUNT_MAX,
      ]);
      for (const other of Object.values(DOORS)) {
        const right = await knock(other, { authorization: basic(account.name, account.secret) });
        const retryAfterSec = Number(right.headers.get('Retry-After'));
        expect([other, right.status]).toEqual([other, 429]);
        expect(retryAfterSec).toBeGreaterThan(0);
        expect(retryAfterSec).toBeLessThanOrEqual(60);
        expect(right.headers.get('Server-Timing')).toContain('d1;desc="0 round trips');
      }
    }
    const blocked = { authorization: basic('ada', 'wrong') };
    expect(refusal(await knock(DOORS.ping, blocked))).toBe('429 TOOMANYREQUESTS');
    expect(JSON.parse((await knock(DOORS.management, blocked)).text)).toMatchObject({
      status: 429,
      error_type: 'too_many_requests',
    });
    // The others, and who has a token, go on.
    expect((await send('GET', DOORS.ping)).status).toBe(200);
  });

  it('block the administrator likewise, and tokens go on', async ({ expect }) => {
    const { token } = JSON.parse((await send('GET', DOORS.token)).text) as { token: string };
    const wrong = { authorization: basic('admin', 'wrong') };
    expect(await failUntilBlocked(DOORS.ping, wrong)).toBe(LOGIN_FAILURES_PER_ACCOUNT_MAX);
    expect((await knock(DOORS.ping, {})).status).toBe(429);
    expect((await knock(DOORS.ping, { authorization: `Bearer ${token}` })).status).toBe(200);
  });

  it('from one address are blocked whatever the names; others are not', async ({ expect }) => {
    const failures = [];
    for (let index = 0; index < 25; index += 1) {
      const authorization = basic(`nobody${index}`, 'wrong');
      const headers = at(`2001:db8:1:2:${index.toString(16)}::1`);
      failures.push((await knock(DOORS.ping, { authorization, headers })).status);
    }
    expect(failures).toEqual(failures.map((_, index) => (index < 20 ? 401 : 429)));
    const dora = await anAccount('dora');
    const authorization = basic(dora.name, dora.secret);
    const there = at('2001:db8:1:2::ffff');
    expect((await knock(DOORS.ping, { authorization, headers: there })).status).toBe(429);
    const elsewhere = at('2001:db8:1:3::1');
    expect((await knock(DOORS.ping, { authorization, headers: elsewhere })).status).toBe(200);
    // Who sends no secret does not log in.
    expect((await knock(DOORS.ping, { authorization: null, headers: there })).status).toBe(401);
  });
});

describe('an address', () => {
  it('is that of IPv4, or the /64 of IPv6; what is none is not known', ({ expect }) => {
    expect(of('192.0.2.1')).toBe('192.0.2.1');
    expect(of('2001:0DB8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
    expect(of('2001:db8::1')).toBe('2001:db8:0:0::/64');
    expect(of('::1')).toBe('0:0:0:0::/64');
    expect([of(), of(''), of('evil\n'), of('1'.repeat(46))]).toEqual([null, null, null, null]);
  });
});
