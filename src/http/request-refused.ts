/** Why a request may be refused before it is looked at what it asks for. */
export type RefusalKind = 'too_many_requests' | 'uri_too_long';

/** A refusal that has nothing to do with what is asked for; each API says it in its own form. */
export class RequestRefused extends Error {
  readonly kind: RefusalKind;
  readonly headers: Readonly<Record<string, string>>;

  constructor(kind: RefusalKind, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'RequestRefused';
    this.kind = kind;
    this.headers = headers;
  }
}
