/**
 * How a source can fail. What is said of it is shown to whoever asks for the import: it names hosts
 * and digests, and never what a source sent or a credential.
 */

/** The source does not have what is asked for, does not give it, or gives what is not taken. */
export class SourceRefused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SourceRefused';
  }
}

/** The source did not answer, or said that it cannot now: the same may succeed later. */
export class SourceUnavailable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SourceUnavailable';
  }
}

/** Another run has the import now, or it was cancelled. */
export class ImportLost extends Error {
  constructor() {
    super('the import is not held any more');
    this.name = 'ImportLost';
  }
}
