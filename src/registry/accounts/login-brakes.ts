import {
  LOGIN_FAILURES_PER_ACCOUNT_MAX,
  LOGIN_FAILURES_PER_ADDRESS_MAX,
} from '../../model/limits.ts';
import type { RegistryDeps } from '../deps.ts';
import type { LoginLimiter } from './login-failures.ts';

/** Someone tries to log in with a secret. */
export interface LoginAttempt {
  /** The name they gave, if somebody can be called so; null for a secret alone. */
  readonly accountName: string | null;
  /** Where they are, as one line of the network has it; null: not known. */
  readonly address: string | null;
}

/** Slows down who guesses secrets. */
export interface LoginBrakes {
  /**
   * For how many milliseconds nobody of this name, or from there, may try; 0: they may. To be asked
   * before anything is verified, and obeyed whatever the secret: who is told that the right one was
   * right guesses on. Asks no store.
   */
  loginBlockedMs(attempt: LoginAttempt): number;
  /**
   * Counts a failure: {@link LOGIN_FAILURES_PER_ACCOUNT_MAX} of a name or
   * {@link LOGIN_FAILURES_PER_ADDRESS_MAX} from one place, within a minute and in this isolate, block
   * for a minute. The limiter, where there is one, is asked behind the answer, and
   * blocks likewise. What is tried during a block does not count, so a block ends.
   */
  noteFailedLogin(attempt: LoginAttempt): void;
}

export function createLoginBrakes({
  clock,
  defer,
  loginFailures,
  loginLimiter,
}: RegistryDeps): LoginBrakes {
  async function askLimiter(limiter: LoginLimiter, key: string): Promise<void> {
    const { success } = await limiter.limit({ key });
    if (!success) {
      loginFailures.block(key, clock.nowMs());
    }
  }

  return {
    loginBlockedMs(attempt) {
      const nowMs = clock.nowMs();
      const ends = keysOf(attempt).map(({ key }) => loginFailures.blockedUntilMs(key, nowMs));
      return Math.max(nowMs, ...ends) - nowMs;
    },

    noteFailedLogin(attempt) {
      const nowMs = clock.nowMs();
      for (const { key, max } of keysOf(attempt)) {
        loginFailures.count(key, { nowMs, max });
        if (loginLimiter !== null) {
          defer(askLimiter(loginLimiter, key));
        }
      }
    },
  };
}

/** What is counted of an attempt, and how much of it is too much. */
function keysOf({ accountName, address }: LoginAttempt) {
  return [
    ...(accountName === null
      ? []
      : [{ key: `account:${accountName}`, max: LOGIN_FAILURES_PER_ACCOUNT_MAX }]),
    ...(address === null
      ? []
      : [{ key: `address:${address}`, max: LOGIN_FAILURES_PER_ADDRESS_MAX }]),
  ];
}
