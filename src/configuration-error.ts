/** Which secret or setting is wrong, and the sentence that tells the operator how to set it. */
export interface ConfigurationProblem {
  /** The Worker variable or secret, in upper case. */
  readonly setting: string;
  /** A whole sentence, fit to be shown to anyone: it never holds the value itself. */
  readonly message: string;
}

/**
 * The operator left a secret or a setting out, or gave it a value that cannot be used. Every
 * request fails with it until that is mended; transports answer 503 with the message.
 *
 * It never carries a `cause`: what a JSON or key parser says quotes the secret it stumbled over.
 */
export class ConfigurationError extends Error {
  readonly setting: string;

  constructor({ setting, message }: ConfigurationProblem) {
    super(message);
    this.name = 'ConfigurationError';
    this.setting = setting;
  }
}
