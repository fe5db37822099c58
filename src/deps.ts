import { ConfigurationError } from './configuration-error.ts';
import type { JobScope } from './cron/run.ts';
import type { AuthDeps } from './http/auth/dependencies.ts';
import type { RequestScope } from './http/scope.ts';
import { describeError, log } from './log.ts';
import {
  BLOB_KEPT_SEC,
  CACHE_WRITES_REMEMBERED_MAX,
  PULL_HOLDS_REMEMBERED_MAX,
  ISSUERS_MAX,
  REGION_SETS_REMEMBERED_MAX,
} from './model/limits.ts';
import type { CountryCode } from './model/regions.ts';
import { type Clock, epochMs } from './model/time.ts';
import type { IssuerKeySet } from './registry/accounts/issuer-keys.ts';
import { LoginFailures } from './registry/accounts/login-failures.ts';
import type { RegistryDeps } from './registry/deps.ts';
import { createHousekeeping, createRegistry, createRegistryOperations } from './registry/index.ts';
import { PullTally } from './registry/pulls/tally.ts';
import type { Settings } from './settings.ts';
import { openDatabase } from './storage/d1/database.ts';
import { openAnswerCache } from './storage/edge/answer-cache.ts';
import { openBlobCache } from './storage/edge/blob-cache.ts';
import { IsolateMemory } from './storage/isolate-memory.ts';
import { openCache } from './storage/kv/cache.ts';
import { Meter } from './storage/meter.ts';
import { openBlobStore } from './storage/r2/blob-store.ts';

/** The bindings and secrets; nothing else reads them. */
type Bindings = Pick<Env, 'DB' | 'BUCKET' | 'CACHE'> &
  Partial<Pick<Env, 'LEGACY_IMAGE_KEY' | 'LOGIN_LIMITER'>>;
type Secrets = Partial<Pick<Env, 'ADMIN_PASSWORD' | 'TOKEN_SIGNING_KEY'>> & {
  /** Optional, and so not among the secrets that a deployment requires. */
  readonly TOKEN_SIGNING_KEY_PREVIOUS?: string;
};

const systemClock: Clock = { nowMs: () => epochMs(Date.now()) };
const randomIds = { uuid: () => crypto.randomUUID() };

/** All requests of an isolate share what it remembers. */
const recentWrites = new IsolateMemory<true>(CACHE_WRITES_REMEMBERED_MAX);
const pullTally = new PullTally();
const loginFailures = new LoginFailures();
const pullHolds = new IsolateMemory<true>(PULL_HOLDS_REMEMBERED_MAX);
const regionMemory = new IsolateMemory<readonly CountryCode[]>(REGION_SETS_REMEMBERED_MAX);
const issuerKeyMemory = new IsolateMemory<IssuerKeySet>(ISSUERS_MAX);
const issuerPauses = new IsolateMemory<true>(ISSUERS_MAX);

/** What authentication needs. Secrets that are missing are told of when they are first needed. */
export function authDeps(env: Secrets, { tokenTtlSec, oidcAudience }: Settings): AuthDeps {
  return {
    adminPassword: env.ADMIN_PASSWORD,
    tokenSigningKey: env.TOKEN_SIGNING_KEY,
    tokenSigningKeyPrevious: env.TOKEN_SIGNING_KEY_PREVIOUS,
    tokenTtlSec,
    oidcAudience,
    clock: systemClock,
  };
}

/** Below this a key could be guessed, and ids be made with it. */
const LEGACY_IMAGE_KEY_LENGTH_MIN = 32;

/** Only those who ask for legacy images need it, so it is checked no earlier. */
function requireLegacyImageKey(key: string | undefined): string {
  if (key === undefined || key.length < LEGACY_IMAGE_KEY_LENGTH_MIN) {
    const problem = key ? `has fewer than ${LEGACY_IMAGE_KEY_LENGTH_MIN} characters` : 'is not set';
    throw new ConfigurationError({
      setting: 'LEGACY_IMAGE_KEY',
      message:
        `The secret LEGACY_IMAGE_KEY ${problem}: set it to a long random text, and never change ` +
        'it, with `wrangler secret put LEGACY_IMAGE_KEY`, or in .dev.vars on a laptop.',
    });
  }
  return key;
}

/** What goes wrong beside or after an answer, and so changes none. */
function report(error: unknown): void {
  log('error', { event: 'background', error: describeError(error) });
}

/** What one request, or one job, opens the registry with. */
interface Opening {
  readonly settings: Settings;
  readonly bookmark: string | null;
  readonly context: Pick<ExecutionContext, 'waitUntil'>;
}

/** The stores over the Worker's bindings, counted by one meter. */
function openDeps(
  { DB, BUCKET, CACHE, LEGACY_IMAGE_KEY, LOGIN_LIMITER }: Bindings,
  opening: Opening,
): RegistryDeps & { meter: Meter } {
  const { settings, bookmark, context } = opening;
  const meter = new Meter();
  const { readConsistency, answerTtlSec } = settings;
  return {
    meter,
    database: openDatabase(DB, { meter, readConsistency, bookmark }),
    blobStore: openBlobStore(BUCKET, meter),
    cache: openCache(CACHE, { meter, clock: systemClock, recentWrites, onFailure: report }),
    answers: openAnswerCache(caches.default, { ttlSec: answerTtlSec, onFailure: report }),
    keptBlobs: openBlobCache(caches.default, {
      ttlSec: answerTtlSec === 0 ? 0 : BLOB_KEPT_SEC,
      onFailure: report,
    }),
    regionMemory,
    pullTally,
    pullHolds,
    loginFailures,
    loginLimiter: LOGIN_LIMITER ?? null,
    sleep: (ms) => scheduler.wait(ms),
    issuerKeyMemory,
    issuerPauses,
    fetch: (url, options) => fetch(url, options),
    clock: systemClock,
    ids: randomIds,
    settings: settings.registry,
    legacyImageKey: () => requireLegacyImageKey(LEGACY_IMAGE_KEY),
    defer: (work) => {
      context.waitUntil(work.catch(report));
    },
    report,
  };
}

/** Opens the registry for one request. */
export function openScope(bindings: Bindings, opening: Opening): RequestScope {
  const deps = openDeps(bindings, opening);
  return {
    registry: createRegistry(deps),
    operations: createRegistryOperations(deps),
    settings: deps.settings,
    usage: deps.meter.usage,
    bookmark: () => deps.database.bookmark(),
  };
}

/** Opens the registry for one job of cron. */
export function openJobScope(bindings: Bindings, opening: Omit<Opening, 'bookmark'>): JobScope {
  const deps = openDeps(bindings, { ...opening, bookmark: null });
  return { housekeeping: createHousekeeping(deps), usage: deps.meter.usage };
}
