import { z } from 'zod';

import { MANIFEST_MEDIA_TYPES } from '../../image/media-types.ts';
import { type Bytes, encodeUtf8 } from '../../model/bytes.ts';
import type { Digest } from '../../model/digest.ts';
import {
  IMPORT_ANSWER_MS_MAX,
  IMPORT_REDIRECTS_MAX,
  IMPORT_TOKEN_ANSWER_BYTES_MAX,
} from '../../model/import-limits.ts';
import type { ImportSource } from '../../model/import-source.ts';
import { MANIFEST_BYTES_MAX } from '../../model/limits.ts';
import { type OutboundRules, outboundProblem } from '../../model/outbound-address.ts';
import type { RegistryDeps } from '../deps.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import type { SourceCredentials } from './credentials.ts';
import { SourceRefused, SourceUnavailable } from './failures.ts';

/** A manifest as the source gave it; nothing of it is checked. */
export interface SourceManifest {
  readonly bytes: Bytes;
  readonly contentType: string | null;
}

/** A blob on its way from the source. */
export interface SourceBlob {
  readonly body: ReadableStream<Uint8Array>;
  /** How many bytes of the blob come before those that were asked for, if it knows no ranges. */
  readonly skipBytes: number;
}

const tokenAnswer = z.union([
  z.object({ token: z.string().min(1) }).transform(({ token }) => token),
  z.object({ access_token: z.string().min(1) }).transform(({ access_token: token }) => token),
]);

const REDIRECTS = [301, 302, 303, 307, 308];

/**
 * Reads one repository of another registry. Every address that is asked is checked first, those of
 * tokens and redirects too. What logs in goes to the source alone, and to where the source says that
 * its tokens are given; a redirect to another host gets nothing of it.
 *
 * Fails with `SourceRefused` or `SourceUnavailable`.
 */
export class SourceClient {
  readonly #source: ImportSource;
  readonly #credentials: SourceCredentials | null;
  readonly #rules: OutboundRules;
  readonly #fetch: RegistryDeps['fetch'];
  #authorization: string | null = null;

  constructor(
    source: ImportSource,
    credentials: SourceCredentials | null,
    { rules, fetch }: { readonly rules: OutboundRules; readonly fetch: RegistryDeps['fetch'] },
  ) {
    this.#source = source;
    this.#credentials = credentials;
    this.#rules = rules;
    this.#fetch = fetch;
  }

  /** A manifest by tag or digest. */
  async manifest(reference: string): Promise<SourceManifest> {
    const signal = AbortSignal.timeout(IMPORT_ANSWER_MS_MAX);
    const response = await this.#get(`manifests/${reference}`, {
      signal,
      headers: { Accept: Object.values(MANIFEST_MEDIA_TYPES).join(', ') },
    });
    if (response.status !== 200) {
      throw await this.#refusal(response, `manifest ${reference}`);
    }
    const bytes = await this.#readBounded(response, MANIFEST_BYTES_MAX);
    return { bytes, contentType: response.headers.get('Content-Type') };
  }

  /** The bytes of a blob from an offset on, to `lastByte` at most; `signal` ends the body. */
  async blob(
    digest: Digest,
    range: { readonly offset: number; readonly lastByte: number; readonly sizeBytes: number },
    signal: AbortSignal,
  ): Promise<SourceBlob> {
    const { offset, lastByte, sizeBytes } = range;
    const response = await this.#get(`blobs/${digest}`, {
      signal,
      headers: { Range: `bytes=${offset}-${lastByte}` },
    });
    const { status, headers, body } = response;
    if ((status !== 200 && status !== 206) || body === null) {
      throw await this.#refusal(response, `blob ${digest}`);
    }
    const announced =
      status === 206 ? parseContentRange(headers.get('Content-Range')) : wholeOf(headers);
    const isRight =
      announced !== null &&
      (announced.totalBytes === null || announced.totalBytes === sizeBytes) &&
      (status === 200 || announced.offset === offset);
    if (!isRight) {
      await body.cancel();
      throw new SourceRefused(
        `the source does not give blob ${digest} as its manifest has it: ${sizeBytes} bytes, ` +
          `from byte ${offset} on`,
      );
    }
    return { body, skipBytes: status === 200 ? offset : 0 };
  }

  /** Asks the source for something in the repository; logs in if it wants that. */
  async #get(path: string, asking: Asking): Promise<Response> {
    const url = `${this.#source.origin}/v2/${this.#source.path}/${path}`;
    const first = await this.#follow(url, asking);
    const isChallenge = first.response.status === 401 && first.isSource;
    if (!isChallenge) {
      return first.response;
    }
    const challenge = parseChallenge(first.response.headers.get('WWW-Authenticate'));
    await first.response.body?.cancel();
    const authorization = await this.#answer(challenge, asking.signal);
    if (authorization === null) {
      throw new SourceRefused(`${this.#host} wants to know who asks, in a way that is not known`);
    }
    this.#authorization = authorization;
    return (await this.#follow(url, asking)).response;
  }

  /** What answers a challenge: a header; null: nothing does. */
  async #answer(challenge: Challenge | null, signal: AbortSignal): Promise<string | null> {
    if (challenge === null) {
      return null;
    }
    if (challenge.scheme === 'bearer') {
      return `Bearer ${await this.#token(challenge, signal)}`;
    }
    if (this.#credentials === null) {
      throw new SourceRefused(`${this.#host} wants a username and a password`);
    }
    return basicOf(this.#credentials);
  }

  async #token(
    { realm, service, scope }: Extract<Challenge, { scheme: 'bearer' }>,
    signal: AbortSignal,
  ): Promise<string> {
    const url = URL.parse(realm);
    if (url === null) {
      throw new SourceRefused(`${this.#host} does not say where its tokens are given`);
    }
    if (service !== null) {
      url.searchParams.set('service', service);
    }
    url.searchParams.set('scope', scope ?? `repository:${this.#source.path}:pull`);
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (this.#credentials !== null) {
      headers['Authorization'] = basicOf(this.#credentials);
    }
    // No redirect is followed: the credentials are for whom the source named.
    const response = await this.#ask(url, { signal, headers });
    if (response.status !== 200) {
      throw await this.#refusal(response, `a token of ${url.host}`);
    }
    const text = new TextDecoder().decode(
      await this.#readBounded(response, IMPORT_TOKEN_ANSWER_BYTES_MAX),
    );
    const { data: token } = tokenAnswer.safeParse(parseJson(text));
    if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
      throw new SourceRefused(`${url.host} gives what is no token`);
    }
    return token;
  }

  /** Asks, and follows redirects by hand. What logs in stays with the source's own origin. */
  async #follow(
    start: string,
    { headers, signal }: Asking,
  ): Promise<{ readonly response: Response; readonly isSource: boolean }> {
    let url = new URL(start);
    let isSource = true;
    for (let hop = 0; hop <= IMPORT_REDIRECTS_MAX; hop += 1) {
      isSource &&= url.origin === this.#source.origin;
      const authorization: Record<string, string> =
        isSource && this.#authorization !== null ? { Authorization: this.#authorization } : {};
      const response = await this.#ask(url, { signal, headers: { ...headers, ...authorization } });
      if (!REDIRECTS.includes(response.status)) {
        return { response, isSource };
      }
      const location = response.headers.get('Location');
      const next = location === null ? null : URL.parse(location, url);
      await response.body?.cancel();
      if (next === null) {
        throw new SourceRefused(`${url.host} redirects to nowhere`);
      }
      url = next;
    }
    throw new SourceRefused(`${this.#host} redirects more than ${IMPORT_REDIRECTS_MAX} times`);
  }

  /** One request, to an address that may be asked. */
  async #ask(url: URL, { headers, signal }: Asking): Promise<Response> {
    const problem = outboundProblem(url, this.#rules);
    if (problem !== null) {
      throw new SourceRefused(problem);
    }
    try {
      return await this.#fetch(url.href, {
        signal,
        // What is compressed on its way would be unpacked before it is counted.
        headers: { ...headers, 'Accept-Encoding': 'identity' },
        redirect: 'manual',
      });
    } catch (error) {
      throw new SourceUnavailable(`${url.host} does not answer`, { cause: error });
    }
  }

  /** What an answer means that is none of those that were hoped for. */
  async #refusal({ status, body }: Response, what: string): Promise<Error> {
    await body?.cancel();
    const text = `${this.#host} answers ${status} for ${what}`;
    const mayPass = status >= 500 || status === 429 || status === 408;
    return mayPass ? new SourceUnavailable(text) : new SourceRefused(text);
  }

  async #readBounded({ body }: Response, maxBytes: number): Promise<Bytes> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const chunk of body ?? []) {
        length += chunk.byteLength;
        if (length > maxBytes) {
          // Leaving the loop cancels the body.
          throw new SourceRefused(`${this.#host} answers with more than ${maxBytes} bytes`);
        }
        chunks.push(chunk);
      }
    } catch (error) {
      if (error instanceof SourceRefused) {
        throw error;
      }
      throw new SourceUnavailable(`an answer of ${this.#host} broke off`, { cause: error });
    }
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return bytes;
  }

  get #host(): string {
    return new URL(this.#source.origin).host;
  }
}

interface Asking {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

function basicOf({ username, password }: SourceCredentials): string {
  const bytes = encodeUtf8(`${username}:${password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Where a part begins and how long the whole is, null: not said (RFC 9110, 14.4). */
function parseContentRange(
  header: string | null,
): { readonly offset: number; readonly totalBytes: number | null } | null {
  const match = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(header ?? '');
  const [, offset, total] = match ?? [];
  return offset === undefined
    ? null
    : { offset: Number(offset), totalBytes: total === '*' ? null : Number(total) };
}

function wholeOf(headers: Headers): { readonly offset: 0; readonly totalBytes: number | null } {
  const length = headers.get('Content-Length');
  return { offset: 0, totalBytes: length === null ? null : Number(length) };
}
