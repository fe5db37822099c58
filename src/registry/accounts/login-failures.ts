import {
  LOGIN_BLOCK_MS,
  LOGIN_FAILURE_WINDOW_MS,
  LOGIN_KEYS_REMEMBERED_MAX,
} from '../../model/limits.ts';
import { IsolateMemory } from '../../storage/isolate-memory.ts';

/** A counter that several isolates share: the platform's rate limiting binding. */
export interface LoginLimiter {
  /** Counts one for the key; `success` is false once there were too many in its period. */
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

/** What an isolate remembers of logins that failed. All its requests have one. */
export class LoginFailures {
  readonly #counts = new IsolateMemory<{ readonly count: number; readonly untilMs: number }>(
    LOGIN_KEYS_REMEMBERED_MAX,
  );
  readonly #blocks = new IsolateMemory<number>(LOGIN_KEYS_REMEMBERED_MAX);

  /** Until when the key is blocked; 0: it is not. */
  blockedUntilMs(key: string, nowMs: number): number {
    return this.#blocks.get(key, nowMs) ?? 0;
  }

  /** Counts a failure, and blocks the key with the last that is allowed. */
  count(key: string, { nowMs, max }: { readonly nowMs: number; readonly max: number }): void {
    const known = this.#counts.get(key, nowMs);
    const count = (known?.count ?? 0) + 1;
    if (count >= max) {
      this.block(key, nowMs);
      return;
    }
    const untilMs = known?.untilMs ?? nowMs + LOGIN_FAILURE_WINDOW_MS;
    this.#counts.set(key, { count, untilMs }, untilMs);
  }

  block(key: string, nowMs: number): void {
    const untilMs = nowMs + LOGIN_BLOCK_MS;
    this.#counts.drop(key);
    this.#blocks.set(key, untilMs, untilMs);
  }
}
