import { z } from 'zod';

import { type EpochMs, MS_PER_SECOND } from '../model/time.ts';
import type { IsolateMemory } from '../storage/isolate-memory.ts';
import type { RegistryDeps } from './deps.ts';

/**
 * Values that the cache may keep. Whatever goes wrong with the cache is a miss; what goes wrong
 * with loading is thrown, and nothing is kept then. Values are written after the answer was sent.
 */
export interface CachedKind<Value> {
  readonly key: string;
  /** How long a value is served, in seconds. */
  readonly ttlSec: number;
  /** What a value looks like; what looks otherwise is a miss. */
  readonly shape: z.ZodType<Value>;
}

type CacheDeps = Pick<RegistryDeps, 'cache' | 'clock' | 'defer'>;

/**
 * A value as it is kept. It says by which key, so that none is served that is another's. The times are
 * the Worker's, for KV's own cannot be told to move.
 */
const keptValue = z.object({
  key: z.string(),
  version: z.string(),
  validUntilMs: z.number(),
  value: z.unknown(),
});
type KeptValue = z.infer<typeof keptValue>;

/** The version of values that depend on time alone. */
const UNVERSIONED = '';

/**
 * The kept value, or else the loaded one, which is kept if `shouldCache` says so. Only for what may
 * be as old as its `ttlSec`: nobody asks whether it is still true. A `memory` stands before the
 * cache, and forgets a value when the cache does.
 */
export async function retrieve<Value>(
  kind: CachedKind<Value>,
  load: () => Promise<Value>,
  deps: CacheDeps,
  {
    shouldCache = isPresent,
    memory = null,
  }: {
    readonly shouldCache?: (value: Value) => boolean;
    readonly memory?: IsolateMemory<Value> | null;
  } = {},
): Promise<Value> {
  const nowMs = deps.clock.nowMs();
  const remembered = memory?.get(kind.key, nowMs) ?? null;
  if (remembered !== null) {
    return remembered;
  }
  const kept = readKept(await deps.cache.get(kind.key), { kind, version: UNVERSIONED, nowMs });
  if (kept !== null) {
    memory?.set(kind.key, kept.value, kept.validUntilMs);
    return kept.value;
  }
  const value = await load();
  if (shouldCache(value)) {
    const validUntilMs = lifetimeEndMs(kind, nowMs);
    memory?.set(kind.key, value, validUntilMs);
    keep(kind, { version: UNVERSIONED, validUntilMs, value }, deps);
  }
  return value;
}

/**
 * A value loaded anew, kept in the place of the one that is kept: for who knows that it is too old
 * for them. Only for values of time alone.
 */
export async function renew<Value>(
  kind: CachedKind<Value>,
  load: () => Promise<Value>,
  deps: CacheDeps,
  { memory }: { readonly memory: IsolateMemory<Value> },
): Promise<Value> {
  const validUntilMs = lifetimeEndMs(kind, deps.clock.nowMs());
  const value = await load();
  memory.set(kind.key, value, validUntilMs);
  keep(kind, { version: UNVERSIONED, validUntilMs, value }, deps);
  return value;
}

/** How to tell whether a kept value is still true, and what to do if it is not. */
export interface VersionedSource<Version, Value> {
  readonly nowMs: EpochMs;
  /** The current version, from the primary; null: what the value is of does not exist. */
  readVersion(): Promise<Version | null>;
  /** A text that no other version has. */
  nameVersion(version: Version): string;
  /** The value, from the primary. */
  load(version: Version): Promise<Value>;
  /** When the value ends to be true with no change of its version; null: never. */
  endMs?(value: Value): number | null;
}

/**
 * The kept value if it has the current version, or else the loaded one, which is kept unless it is
 * null; null where there is no version. The cache is read while the version is. A value is kept
 * under a version that was read before it, so it can be newer than it says, never older.
 */
export async function retrieveCurrent<Version, Value>(
  kind: CachedKind<Value>,
  source: VersionedSource<Version, Value>,
  deps: CacheDeps,
): Promise<{ readonly version: Version; readonly value: Value } | null> {
  const { nowMs } = source;
  const [version, stored] = await Promise.all([source.readVersion(), deps.cache.get(kind.key)]);
  if (version === null) {
    return null;
  }
  const versionName = source.nameVersion(version);
  const kept = readKept(stored, { kind, version: versionName, nowMs });
  if (kept !== null) {
    return { version, value: kept.value };
  }
  const value = await source.load(version);
  if (isPresent(value)) {
    const endMs = source.endMs?.(value) ?? Number.MAX_SAFE_INTEGER;
    const validUntilMs = Math.min(lifetimeEndMs(kind, nowMs), endMs);
    keep(kind, { version: versionName, validUntilMs, value }, deps);
  }
  return { version, value };
}

function isPresent(value: unknown): boolean {
  return value !== null;
}

function lifetimeEndMs({ ttlSec }: CachedKind<unknown>, nowMs: EpochMs): number {
  return nowMs + ttlSec * MS_PER_SECOND;
}

/** What the cache gave, if it is this value, of this version, and its time is not over. */
function readKept<Value>(
  stored: unknown,
  {
    kind,
    version,
    nowMs,
  }: { readonly kind: CachedKind<Value>; readonly version: string; readonly nowMs: EpochMs },
): { readonly value: Value; readonly validUntilMs: number } | null {
  const kept = keptValue.safeParse(stored).data;
  if (kept?.key !== kind.key || kept.version !== version || kept.validUntilMs <= nowMs) {
    return null;
  }
  const { success, data } = kind.shape.safeParse(kept.value);
  const validUntilMs = Math.min(kept.validUntilMs, lifetimeEndMs(kind, nowMs));
  return success ? { value: data, validUntilMs } : null;
}

function keep(
  { key, ttlSec }: CachedKind<unknown>,
  kept: Omit<KeptValue, 'key'>,
  { cache, defer }: CacheDeps,
): void {
  defer(cache.put(key, { key, ...kept } satisfies KeptValue, { ttlSec }));
}
