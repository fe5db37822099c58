import type { CountryCode } from '../model/regions.ts';
import type { Clock } from '../model/time.ts';
import type { Database } from '../storage/d1/database.ts';
import type { AnswerCache } from '../storage/edge/answer-cache.ts';
import type { BlobCache } from '../storage/edge/blob-cache.ts';
import type { IsolateMemory } from '../storage/isolate-memory.ts';
import type { Cache } from '../storage/kv/cache.ts';
import type { BlobStore } from '../storage/r2/blob-store.ts';
import type { IssuerKeySet } from './accounts/issuer-keys.ts';
import type { LoginFailures, LoginLimiter } from './accounts/login-failures.ts';
import type { PullTally } from './pulls/tally.ts';
import type { RegistrySettings } from './settings.ts';

/** What the domain asks of the world. One request has one set. */
export interface RegistryDeps {
  readonly database: Database;
  readonly blobStore: BlobStore;
  readonly cache: Cache;
  readonly answers: AnswerCache;
  readonly keptBlobs: BlobCache;
  /** The countries that namespaces do not serve; all requests of an isolate have one. */
  readonly regionMemory: IsolateMemory<readonly CountryCode[]>;
  /** How often what was pulled; all requests of an isolate have one. */
  readonly pullTally: PullTally;
  /** The manifests, by id, that this isolate had held because they were pulled. */
  readonly pullHolds: IsolateMemory<true>;
  /** The keys of OpenID issuers, and which issuers are not to be asked for a while; as above. */
  readonly issuerKeyMemory: IsolateMemory<IssuerKeySet>;
  readonly issuerPauses: IsolateMemory<true>;
  /** Asks another server; the one way out of the Worker that is no binding. */
  readonly fetch: OutboundFetch;
  /** Which logins failed; all requests of an isolate have one. */
  readonly loginFailures: LoginFailures;
  /** Counts them for all isolates of a location; null: nothing does. */
  readonly loginLimiter: LoginLimiter | null;
  readonly clock: Clock;
  /** Waits so many milliseconds. */
  readonly sleep: (ms: number) => Promise<void>;
  readonly ids: Ids;
  readonly settings: RegistrySettings;
  /** The secret that ids of legacy images are made with; throws if the operator set none. */
  readonly legacyImageKey: () => string;
  /** Has work finished after the answer was sent; what it rejects with is logged. */
  readonly defer: (work: Promise<unknown>) => void;
  /** Logs what went wrong and changes no answer. */
  readonly report: (error: unknown) => void;
}

/** A request to another server: a GET, unless it says otherwise. */
export type OutboundFetch = (
  url: string,
  options: {
    readonly method?: 'POST';
    readonly body?: string;
    /** Ends the request and its body. */
    readonly signal: AbortSignal;
    readonly headers: Readonly<Record<string, string>>;
    readonly redirect: 'manual';
  },
) => Promise<Response>;

/** Where names that nobody chose come from. */
export interface Ids {
  /** A random UUID (version 4), never given before. */
  uuid(): string;
}
