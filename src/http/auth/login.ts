import {
  ADMINISTRATOR_NAME,
  type AccountName,
  parseAccountName,
  isRobotName,
} from '../../model/accounts.ts';
import type { Performer } from '../../model/audit-log.ts';
import { MS_PER_SECOND } from '../../model/time.ts';
import type { LoginAttempt, LoginBrakes } from '../../registry/accounts/login-brakes.ts';
import { RequestRefused } from '../request-refused.ts';
import { addressOf } from '../request-source.ts';
import { ANY_USERNAME, type Subject } from './actor.ts';

/** As much of a Hono context as is read here. */
export interface LoginContext {
  readonly req: { header(name: string): string | undefined };
  readonly var: { readonly scope: { readonly operations: LoginBrakes } };
}

/**
 * A secret that came with a request, and what was found out about it: the brakes are told of a
 * failure, and the audit log reads here who it was.
 */
export class Login {
  /**
   * The name that was given, if it is one that somebody can have: what people type into the wrong
   * field is a password more often than not, and is written down nowhere.
   */
  readonly username: string | null;
  /** Whether nothing else was wanted, as by `docker login`. */
  isProbe = false;
  readonly #attempt: LoginAttempt;
  readonly #brakes: LoginBrakes;
  #outcome: Performer | 'open' | 'failed' = 'open';

  constructor(
    { username, address }: { readonly username: string | null; readonly address: string | null },
    brakes: LoginBrakes,
  ) {
    this.username = username !== null && isUsername(username) ? username : null;
    const accountName = this.username === ANY_USERNAME ? null : this.username;
    this.#attempt = { accountName, address };
    this.#brakes = brakes;
    const blockedMs = brakes.loginBlockedMs(this.#attempt);
    if (blockedMs > 0) {
      throw tooManyLogins(blockedMs);
    }
  }

  /** Whose secret it is; null as long as that is not known, and if it is nobody's. */
  get performer(): Performer | null {
    return typeof this.#outcome === 'string' ? null : this.#outcome;
  }

  get hasFailed(): boolean {
    return this.#outcome === 'failed';
  }

  /** Says whose secret it was found to be; null: nobody's. What was found first counts. */
  settle(performer: Performer | null): void {
    if (this.#outcome !== 'open') {
      return;
    }
    this.#outcome = performer ?? 'failed';
    if (performer === null) {
      this.#brakes.noteFailedLogin(this.#attempt);
    }
  }
}

/**
 * Takes up a login by a secret, before anything is verified.
 *
 * @param username the name that came with the secret; null: none did
 * @throws RequestRefused 429 with `Retry-After` while the name or the address is blocked
 */
export function beginLogin(c: LoginContext, username: string | null): Login {
  return new Login({ username, address: addressOf(c.req) }, c.var.scope.operations);
}

/** Who has an account or is the administrator, as the audit log names them; anybody else is null. */
export function performerOf(subject: Subject | null): Performer | null {
  switch (subject?.kind) {
    case 'administrator':
      return { kind: 'administrator', name: subject.name };
    case 'account':
      return performerOfAccount(subject.name);
    case 'anonymous':
    case undefined:
      return null;
  }
}

/** Somebody with an account, as the audit log names them. */
export function performerOfAccount(name: AccountName): Performer {
  return { kind: isRobotName(name) ? 'robot' : 'user', name };
}

function isUsername(text: string): boolean {
  return text === ADMINISTRATOR_NAME || text === ANY_USERNAME || parseAccountName(text) !== null;
}

function tooManyLogins(blockedMs: number): RequestRefused {
  return new RequestRefused('too_many_requests', 'too many logins failed; try again later', {
    'Retry-After': String(Math.ceil(blockedMs / MS_PER_SECOND)),
  });
}
