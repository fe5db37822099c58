import type { JobScope } from './cron/run.ts';
import type { AuthDeps } from './http/auth/dependencies.ts';
import { administratorRights } from './http/auth/rights.ts';
import type { RequestScope } from './http/scope.ts';
import { describeError, log } from './log.ts';
import { type Clock, epochMs } from './model/time.ts';
import type { RegistryDeps } from './registry/deps.ts';
import { createHousekeeping, createRegistry, createRegistryOperations } from './registry/index.ts';
import type { Settings } from './settings.ts';
import { openDatabase } from './storage/d1/database.ts';
import { openAnswerCache } from './storage/edge/answer-cache.ts';
import { openCache } from './storage/kv/cache.ts';
import { Meter } from './storage/meter.ts';
import { openBlobStore } from './storage/r2/blob-store.ts';

/** The bindings and secrets; nothing else reads them. */
type Bindings = Pick<Env, 'DB' | 'BUCKET' | 'CACHE'>;
type Secrets = Partial<Pick<Env, 'ADMIN_PASSWORD' | 'TOKEN_SIGNING_KEY'>>;

const systemClock: Clock = { nowMs: () => epochMs(Date.now()) };
const randomIds = { uuid: () => crypto.randomUUID() };

/** What authentication needs. Secrets that are missing are told of when they are first needed. */
export function authDeps(env: Secrets, { tokenTtlSec }: Settings): AuthDeps {
  return {
    adminPassword: env.ADMIN_PASSWORD,
    tokenSigningKey: env.TOKEN_SIGNING_KEY,
    tokenTtlSec,
    clock: systemClock,
    rights: administratorRights,
  };
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
  { DB, BUCKET, CACHE }: Bindings,
  opening: Opening,
): RegistryDeps & { meter: Meter } {
  const { settings, bookmark, context } = opening;
  const meter = new Meter();
  const { readConsistency, answerTtlSec } = settings;
  return {
    meter,
    database: openDatabase(DB, { meter, readConsistency, bookmark }),
    blobStore: openBlobStore(BUCKET, meter),
    cache: openCache(CACHE, { meter, onFailure: report }),
    answers: openAnswerCache(caches.default, { ttlSec: answerTtlSec, onFailure: report }),
    clock: systemClock,
    ids: randomIds,
    settings: settings.registry,
    defer: (work) => {
      context.waitUntil(work.catch(report));
    },
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
