import type { Account, CredentialInfo, IssuedCredential } from '../../model/accounts.ts';
import { RegistryError } from '../../model/errors.ts';
import {
  APP_TOKEN_EXPIRING_DAYS,
  APP_TOKEN_LIFETIME_MS_MAX,
  APP_TOKEN_LIFETIME_MS_MIN,
  APP_TOKEN_TITLE_LENGTH_MAX,
  APP_TOKENS_PER_USER_MAX,
} from '../../model/limits.ts';
import { type EpochMs, MS_PER_DAY } from '../../model/time.ts';
import {
  appTokensStatement,
  appTokenStatement,
  deleteAppTokenStatement,
  deleteEndedTokensStatement,
  insertAppTokenStatement,
} from '../../storage/d1/credentials.ts';
import type { RegistryDeps } from '../deps.ts';
import { sendAgain } from '../send-again.ts';
import { requireText } from './fields.ts';
import { drawCredential } from './secrets.ts';

/** A person, as they were found when they logged in or were looked up. */
type Owner = Pick<Account, 'id'>;

/** Keeps what people log in with, instead of a password. */
export interface AppTokens {
  /**
   * All tokens of a person, oldest first; those that are over too, until another one is made. Or those
   * alone that are to be replaced: they are over, or will be within {@link APP_TOKEN_EXPIRING_DAYS}.
   */
  listAppTokens(
    owner: Owner,
    options?: { readonly isExpiring?: boolean },
  ): Promise<readonly CredentialInfo[]>;
  /** The token of this UUID if it is the person's, or null. */
  getAppToken(owner: Owner, uuid: string): Promise<CredentialInfo | null>;
  /**
   * Makes a token, whose secret is shown this once, and forgets those of the person that are over.
   * It ends a minute from now at the soonest and in ten years at the latest; null: never. Errors:
   * FieldInvalid (title, expiration), LimitReached, AccountNotFound (no such person, a robot, or
   * they may not log in).
   */
  createAppToken(
    owner: Owner,
    token: { readonly title: string; readonly expiresMs: EpochMs | null },
  ): Promise<IssuedCredential>;
  /** Ends a token at once; false: the person has none of this UUID. */
  revokeAppToken(owner: Owner, uuid: string): Promise<boolean>;
}

export function createAppTokens({ database, clock, ids }: RegistryDeps): AppTokens {
  const { primary } = database;
  return {
    async listAppTokens({ id }, { isExpiring = false } = {}) {
      const soonMs = clock.nowMs() + APP_TOKEN_EXPIRING_DAYS * MS_PER_DAY;
      const tokens = await primary.all(appTokensStatement({ accountId: id }));
      return isExpiring
        ? tokens.filter(({ expiresMs }) => (expiresMs ?? Infinity) <= soonMs)
        : tokens;
    },

    getAppToken: ({ id }, uuid) => primary.first(appTokenStatement({ accountId: id, uuid })),

    async createAppToken({ id: accountId }, { title, expiresMs }) {
      const nowMs = clock.nowMs();
      requireText('title', title, { min: 1, max: APP_TOKEN_TITLE_LENGTH_MAX });
      requireExpiration(expiresMs, nowMs);
      const { secret, values } = await drawCredential(ids);
      const max = APP_TOKENS_PER_USER_MAX;
      const [, , [credential], tokens] = await sendAgain(() =>
        primary.batch([
          deleteEndedTokensStatement({ accountId, nowMs }),
          insertAppTokenStatement({ ...values, accountId, title, nowMs, expiresMs, max }),
          appTokenStatement({ accountId, uuid: values.uuid }),
          appTokensStatement({ accountId }),
        ]),
      );
      if (credential !== undefined) {
        return { credential, secret };
      }
      throw tokens.length >= max
        ? new RegistryError('LimitReached', { what: 'app tokens', max })
        : new RegistryError('AccountNotFound', { name: null });
    },

    async revokeAppToken({ id: accountId }, uuid) {
      return sendAgain(async (isAgain) => {
        const removed = await primary.first(deleteAppTokenStatement({ accountId, uuid }));
        // Gone at the second time, it went at the first, whose answer was lost.
        return removed !== null || isAgain;
      });
    },
  };
}

/** Errors: FieldInvalid. */
function requireExpiration(expiresMs: EpochMs | null, nowMs: EpochMs): void {
  const lifetimeMs = expiresMs === null ? null : expiresMs - nowMs;
  if (
    lifetimeMs !== null &&
    !(lifetimeMs >= APP_TOKEN_LIFETIME_MS_MIN && lifetimeMs <= APP_TOKEN_LIFETIME_MS_MAX)
  ) {
    throw new RegistryError('FieldInvalid', {
      field: 'expiration',
      reason: 'it lies a minute ahead at least and ten years at most',
    });
  }
}
