import { describe, it } from 'vitest';

import {
  LOGIN_BLOCK_MS,
  LOGIN_FAILURE_WINDOW_MS,
  LOGIN_FAILURES_PER_ACCOUNT_MAX,
  LOGIN_FAILURES_PER_ADDRESS_MAX,
} from '../../../src/model/limits.ts';
import { LoginFailures } from '../../../src/registry/accounts/login-failures.ts';
import { openTestRegistry } from '../../support/registry.ts';

const ADA = { accountName: 'ada', address: '192.0.2.1' };
const ELSEWHERE = '198.51.100.7';

/** A limiter that takes so many of each key. */
function limiterOf(max: number) {
  const asked: string[] = [];
  return {
    asked,
    limit: async ({ key }: { key: string }) => {
      asked.push(key);
      return { success: asked.filter((other) => other === key).length <= max };
    },
  };
}

describe('the brakes of logins', () => {
  it('block a name that failed too often wherever it comes from, for a minute', ({ expect }) => {
    const { operations, clock, meter } = openTestRegistry();
    const fail = () => {
      operations.noteFailedLogin(ADA);
    };
    for (let count = 1; count < LOGIN_FAILURES_PER_ACCOUNT_MAX; count += 1) {
      fail();
    }
    expect(operations.loginBlockedMs(ADA)).toBe(0);
    fail();
    expect(operations.loginBlockedMs(ADA)).toBe(LOGIN_BLOCK_MS);
    expect(operations.loginBlockedMs({ ...ADA, address: ELSEWHERE })).toBe(LOGIN_BLOCK_MS);
    expect(operations.loginBlockedMs({ ...ADA, accountName: 'bob' })).toBe(0);
    clock.advance(LOGIN_BLOCK_MS - 1);
    expect(operations.loginBlockedMs(ADA)).toBe(1);
    clock.advance(1);
    expect(operations.loginBlockedMs(ADA)).toBe(0);
    // It begins to count anew.
    fail();
    expect(operations.loginBlockedMs(ADA)).toBe(0);
    expect(meter.usage.d1RoundTrips).toBe(0);
  });

  it('block an address that failed too often, whatever names it tried', ({ expect }) => {
    const { operations } = openTestRegistry();
    for (let count = 0; count < LOGIN_FAILURES_PER_ADDRESS_MAX; count += 1) {
      expect(operations.loginBlockedMs(ADA)).toBe(0);
      operations.noteFailedLogin({ ...ADA, accountName: `user${count}` });
    }
    expect(operations.loginBlockedMs(ADA)).toBe(LOGIN_BLOCK_MS);
    expect(operations.loginBlockedMs({ ...ADA, accountName: null })).toBe(LOGIN_BLOCK_MS);
    expect(operations.loginBlockedMs({ ...ADA, address: ELSEWHERE })).toBe(0);
    expect(operations.loginBlockedMs({ accountName: null, address: null })).toBe(0);
  });

  it('forget failures that are a minute old', ({ expect }) => {
    const { operations, clock } = openTestRegistry();
    for (let round = 0; round < 3; round += 1) {
      for (let count = 1; count < LOGIN_FAILURES_PER_ACCOUNT_MAX; count += 1) {
        operations.noteFailedLogin({ ...ADA, address: null });
      }
      expect(operations.loginBlockedMs(ADA)).toBe(0);
      clock.advance(LOGIN_FAILURE_WINDOW_MS);
    }
  });

  it('ask the limiter about failures only, and block what it refuses', async ({ expect }) => {
    const loginLimiter = limiterOf(2);
    const loginFailures = new LoginFailures();
    const options = { loginLimiter, loginFailures };
    const { operations, settleDeferred } = openTestRegistry(options);
    operations.noteFailedLogin(ADA);
    operations.noteFailedLogin({ ...ADA, accountName: 'bob' });
    await settleDeferred();
    expect(operations.loginBlockedMs(ADA)).toBe(0);
    expect(loginLimiter.asked.toSorted()).toEqual([
      'account:ada',
      'account:bob',
      'address:192.0.2.1',
      'address:192.0.2.1',
    ]);
    operations.noteFailedLogin({ ...ADA, accountName: 'eve' });
    await settleDeferred();
    const another = openTestRegistry(options);
    expect(another.operations.loginBlockedMs(ADA)).toBeGreaterThan(0);
    expect(another.operations.loginBlockedMs({ ...ADA, address: ELSEWHERE })).toBe(0);
    expect(loginLimiter.asked).toHaveLength(6);
  });

  it('hold without a limiter that fails', async ({ expect }) => {
    const loginLimiter = { limit: () => Promise.reject(new Error('no limiter today')) };
    const { operations, settleDeferred } = openTestRegistry({ loginLimiter });
    for (let count = 0; count < LOGIN_FAILURES_PER_ACCOUNT_MAX; count += 1) {
      operations.noteFailedLogin(ADA);
    }
    expect(operations.loginBlockedMs(ADA)).toBe(LOGIN_BLOCK_MS);
    await expect(settleDeferred()).rejects.toThrow('no limiter today');
  });
});
