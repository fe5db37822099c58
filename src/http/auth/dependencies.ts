import type { Clock } from '../../model/time.ts';

/** What authentication needs from outside. The secrets are checked when they are first needed. */
export interface AuthDeps {
  /** The secret `ADMIN_PASSWORD`. */
  readonly adminPassword: string | undefined;
  /** The secret `TOKEN_SIGNING_KEY`: a private EC P-256 key, a JWK as JSON text. */
  readonly tokenSigningKey: string | undefined;
  /** The optional secret `TOKEN_SIGNING_KEY_PREVIOUS`: the key that signed before, a JWK. */
  readonly tokenSigningKeyPrevious: string | undefined;
  /** How long a token is good for, in seconds: 60 to 3660. */
  readonly tokenTtlSec: number;
  /** Whom the tokens of OpenID issuers must be meant for; null: the host that is asked. */
  readonly oidcAudience: string | null;
  readonly clock: Clock;
}
