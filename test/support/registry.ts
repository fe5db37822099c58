import { env } from 'cloudflare:workers';

import { type RepositoryName, parseRepositoryName } from '../../src/model/names.ts';
import type { RepositoryRef } from '../../src/model/references.ts';
import { LoginFailures, type LoginLimiter } from '../../src/registry/accounts/login-failures.ts';
import type { OutboundFetch, RegistryDeps } from '../../src/registry/deps.ts';
import {
  createHousekeeping,
  createRegistry,
  createRegistryOperations,
} from '../../src/registry/index.ts';
import { PullTally } from '../../src/registry/pulls/tally.ts';
import { DEFAULT_SETTINGS, type RegistrySettings } from '../../src/registry/settings.ts';
import { openDatabase } from '../../src/storage/d1/database.ts';
import { openAnswerCache } from '../../src/storage/edge/answer-cache.ts';
import { openBlobCache } from '../../src/storage/edge/blob-cache.ts';
import { IsolateMemory } from '../../src/storage/isolate-memory.ts';
import { openCache } from '../../src/storage/kv/cache.ts';
import { Meter } from '../../src/storage/meter.ts';
import { openBlobStore } from '../../src/storage/r2/blob-store.ts';
import { TestClock } from './clock.ts';
import { type Bindings, type Gate, gated } from './gate.ts';

export interface TestRegistryOptions {
  readonly clock?: TestClock;
  readonly settings?: Partial<RegistrySettings>;
  /** Stands before every call to D1 and R2. */
  readonly gate?: Gate;
  readonly bindings?: Bindings;
  readonly legacyImageKey?: string;
  readonly readConsistency?: 'replica' | 'primary';
  /** How long answers by digest are kept, in seconds; off by default. */
  readonly answerTtlSec?: number;
  /** Stands for all other servers; by default there are none. */
  readonly fetch?: OutboundFetch;
  /** Told of what goes wrong beside the answers; by default it is thrown. */
  readonly onFailure?: (error: unknown) => void;
  /** What the isolate counted; one of its own by default. */
  readonly pullTally?: PullTally;
  /** Which logins of the isolate failed; none by default. */
  readonly loginFailures?: LoginFailures;
  readonly loginLimiter?: LoginLimiter | null;
  /** By default no time passes. */
  readonly sleep?: (ms: number) => Promise<void>;
}

/** What the ids of legacy images are made with in tests. */
export const LEGACY_IMAGE_KEY = 'the same for every test registry';

/** The registry over the real local stores, with a clock that moves when told. */
export function openTestRegistry({
  clock = new TestClock(),
  settings = {},
  gate,
  bindings = env,
  legacyImageKey = LEGACY_IMAGE_KEY,
  readConsistency = 'primary',
  answerTtlSec = 0,
  fetch = (url) => Promise.reject(new Error(`nobody answers ${url}`)),
  onFailure = (error) => {
    throw error;
  },
  pullTally = new PullTally(),
  loginFailures = new LoginFailures(),
  loginLimiter = null,
  sleep = () => Promise.resolve(),
}: TestRegistryOptions = {}) {
  const { DB, BUCKET, CACHE } = gate === undefined ? bindings : gated(bindings, gate);
  const meter = new Meter();
  const deferred: Promise<unknown>[] = [];
  const deps: RegistryDeps = {
    database: openDatabase(DB, { meter, readConsistency, bookmark: null }),
    blobStore: openBlobStore(BUCKET, meter),
    cache: openCache(CACHE, {
      meter,
      clock,
      recentWrites: new IsolateMemory(100),
      onFailure,
    }),
    answers: openAnswerCache(caches.default, { ttlSec: answerTtlSec, onFailure }),
    keptBlobs: openBlobCache(caches.default, { ttlSec: answerTtlSec, onFailure }),
    regionMemory: new IsolateMemory(100),
    pullTally,
    pullHolds: new IsolateMemory(100),
    loginFailures,
    loginLimiter,
    sleep,
    issuerKeyMemory: new IsolateMemory(100),
    issuerPauses: new IsolateMemory(100),
    fetch,
    clock,
    ids: { uuid: () => crypto.randomUUID() },
    settings: { ...DEFAULT_SETTINGS, ...settings },
    legacyImageKey: () => legacyImageKey,
    defer: (work) => {
      deferred.push(work);
    },
    report: onFailure,
  };
  return {
    deps,
    clock,
    meter,
    registry: createRegistry(deps),
    operations: createRegistryOperations(deps),
    housekeeping: createHousekeeping(deps),
    /** Waits for what was left for after the answer. */
    settleDeferred: () => Promise.all(deferred),
  };
}

export type TestRegistry = ReturnType<typeof openTestRegistry>;

let repositories = 0;

/** A name that no other repository of this test file has. */
export function aRepositoryName(): RepositoryName {
  repositories += 1;
  const name = parseRepositoryName(`acme/app-${repositories}`);
  if (name === null) {
    throw new Error('not a repository name');
  }
  return name;
}

/** An empty repository of its own. */
export async function aRepository(
  { operations }: Pick<TestRegistry, 'operations'>,
  name = aRepositoryName(),
): Promise<RepositoryRef> {
  const repository = await operations.ensureRepository(name);
  if (repository === null) {
    throw new Error('the repository was not made');
  }
  const { isNew: _isNew, ...reference } = repository;
  return reference;
}
