import type { RegistryErrorCode, RegistryErrorDetails } from '../model/errors.ts';

/**
 * What a call over the service binding may be refused with, by code: what the domain refuses
 * (`model/errors.ts`), and what only a call can.
 */
export interface CallErrorDetails extends RegistryErrorDetails {
  /** An argument is not what the method takes; nothing was done. `reason` says which and why. */
  InvalidArgument: { readonly method: string; readonly reason: string };
  /** A secret or setting of the registry is missing or cannot be used. */
  NotConfigured: { readonly setting: string };
  /** A store does not answer now: it may have been done or not, and may succeed soon. */
  Unavailable: { readonly callId: string };
  /** Something nobody expected; the registry's log has more under `callId`. */
  Unexpected: { readonly callId: string };
}
export type CallErrorCode = keyof CallErrorDetails;

/** Those that only a call has. */
type OwnCode = Exclude<CallErrorCode, RegistryErrorCode>;

/** A refusal as it is thrown at the caller, in the form of a `RegistryError`. */
export class CallError<Code extends OwnCode = OwnCode> extends Error {
  readonly code: Code;
  readonly detail: CallErrorDetails[Code];

  constructor(code: Code, detail: CallErrorDetails[Code], message: string) {
    super(message);
    this.name = `${code}Error`;
    this.code = code;
    this.detail = detail;
  }
}

/** A refusal as a caller gets it: a `switch` over `code` narrows `detail` too. */
export type CallRefusal = {
  [Code in CallErrorCode]: {
    readonly code: Code;
    readonly detail: CallErrorDetails[Code];
    /** A whole sentence, fit to be shown to who asked. */
    readonly message: string;
  };
}[CallErrorCode];

/**
 * The refusal that a caught error is, or null: it is another's, or the call itself failed. Errors
 * keep code and detail where both Workers' compatibility dates are 2026-04-21 or later, or have the
 * flag `enhanced_error_serialization`; elsewhere only their message arrives.
 */
export function callRefusal(error: unknown): CallRefusal | null {
  if (
    error instanceof Error &&
    'remote' in error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.name === `${error.code}Error` &&
    'detail' in error
  ) {
    const { code, detail, message } = error;
    return { code, detail, message } as CallRefusal;
  }
  return null;
}
