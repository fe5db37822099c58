import { RegistryError } from '../../../../src/model/errors.ts';
import { SECOND_MS } from '../../../support/clock.ts';
import type { Generation } from './generation.ts';
import { locks, type ModelPolicy } from './policies.ts';
import { refuseLocked } from './refusals.ts';
import type { TagState } from './state.ts';

/** How the ends and the locks of generations change while they are alive. */

/** An end that is chosen lies so far from the start, in seconds. */
const LIFETIME_SEC = { min: 3600, max: 62_899_200 };

export function changeEnd(state: TagState, id: number, chosenMs: number | null) {
  const row = state.alive.find((each) => each.id === id);
  if (row === undefined) {
    return { ok: false, changed: false, endMs: null, previousEndMs: null };
  }
  if (chosenMs !== null && state.isLocked(row) && !state.settings.immutableTagsCanExpire) {
    throw refuseLocked(row.name, 'set expiration on');
  }
  const endMs = chosenMs === null ? null : clampedEndMs(row, chosenMs);
  if (endMs !== null && endMs <= state.nowMs) {
    throw new RegistryError('ExpirationOutOfRange', { tagName: row.name, endMs });
  }
  state.change(row, { endMs });
  return { ok: true, changed: endMs !== row.endMs, endMs, previousEndMs: row.endMs };
}

export function changeLock(state: TagState, id: number, immutable: boolean) {
  const row = state.alive.find((each) => each.id === id);
  if (row === undefined) {
    return { ok: false, previous: null };
  }
  if (immutable && row.endMs !== null && !state.settings.immutableTagsCanExpire) {
    throw new RegistryError('TagHasExpiration', { tagName: row.name });
  }
  state.change(row, { immutable });
  return { ok: true, previous: row.immutable };
}

/** Ends all tags of an image so many seconds after their starts; how many. */
export function changeEnds(state: TagState, image: number, sec: number): number {
  const rows = state.alive.filter(
    (row) => row.image === image && (!state.isLocked(row) || state.settings.immutableTagsCanExpire),
  );
  for (const row of rows) {
    state.change(row, { endMs: row.startMs + sec * SECOND_MS });
  }
  return rows.length;
}

/** Locks or unlocks all tags of an image; how many there are. */
export function changeLocks(state: TagState, image: number, immutable: boolean): number {
  const rows = state.alive.filter((row) => row.image === image);
  for (const row of rows) {
    state.change(row, { immutable, endMs: state.endOnceLocked(row.endMs, immutable) });
  }
  return rows.length;
}

/** How many tags that were not locked the policy locks. */
export function createPolicy(state: TagState, policy: ModelPolicy): number {
  requireEnforcement(state);
  state.policies.create(policy);
  return sweepPolicy(state, policy);
}

export function updatePolicy(state: TagState, old: ModelPolicy, policy: ModelPolicy): number {
  requireEnforcement(state);
  state.policies.update(old, policy);
  return sweepPolicy(state, policy);
}

/** What the policy locked stays so. */
export function deletePolicy(state: TagState, policy: ModelPolicy): void {
  requireEnforcement(state);
  state.policies.delete(policy);
}

function sweepPolicy(state: TagState, policy: ModelPolicy): number {
  const rows = state.alive.filter((row) => !row.immutable && locks(policy, row.name));
  for (const row of rows) {
    state.change(row, { immutable: true, endMs: state.endOnceLocked(row.endMs, true) });
  }
  return rows.length;
}

function requireEnforcement(state: TagState): void {
  if (!state.settings.immutableTags) {
    throw new RegistryError('PolicyNotFound', { uuid: null });
  }
}

function clampedEndMs({ startMs }: Generation, chosenMs: number): number {
  const sec = Math.floor(chosenMs / SECOND_MS) - Math.floor(startMs / SECOND_MS);
  return startMs + Math.min(Math.max(sec, LIFETIME_SEC.min), LIFETIME_SEC.max) * SECOND_MS;
}
