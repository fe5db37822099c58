import { RegistryError } from '../../../../src/model/errors.ts';
import { MINUTE_MS, SECOND_MS } from '../../../support/clock.ts';
import {
  type Generation,
  isLockedByLabel,
  isSignature,
  isVisible,
  lifetimeMs,
  type NamedGeneration,
  signatureNames,
} from './generation.ts';
import { refuseLocked } from './refusals.ts';
import type { Reach, TagState } from './state.ts';

/** How generations begin and end. */

/** Clocks of two edges may differ; the sweep leaves what ended within this time. */
const SWEEP_MARGIN_MS = MINUTE_MS;
const AVAILABLE_SEC = 300;

export function push(state: TagState, name: string, image: number) {
  requireLegal(name);
  requireStorable(state, image);
  const created = !state.isStored(image);
  const tag = begin(state, name, { image, reversion: false });
  state.store(image);
  return { manifest: { image }, tag, created };
}

/** A push by digest. */
export function keep(state: TagState, image: number, sec: number) {
  requireStorable(state, image);
  state.store(image);
  hold(state, image, state.image(image).hasSubject ? null : state.nowMs + sec * SECOND_MS);
  return { image };
}

/** A look-up that keeps what it finds. */
export function requireAvailable(state: TagState, image: number, reach: Reach) {
  if (!state.isAvailable(image, reach)) {
    return null;
  }
  hold(state, image, state.nowMs + AVAILABLE_SEC * SECOND_MS);
  return { image };
}

export function move(
  state: TagState,
  name: string,
  to: { readonly image: number; readonly reversion: boolean },
): Generation {
  requireLegal(name);
  if (!state.isStored(to.image)) {
    throw new RegistryError('RetargetFailed', { reason: 'manifest-gone' });
  }
  return begin(state, name, to);
}

export function deleteTag(state: TagState, name: string): Generation | null {
  const row = state.aliveOf(name);
  if (row === null) {
    return null;
  }
  if (state.isLocked(row)) {
    throw refuseLocked(name, 'delete');
  }
  endSignaturesLeftBy(state, [row]);
  endChildTags(state, row.image);
  return state.end(row);
}

export function deleteImage(state: TagState, image: number) {
  const ended = state.rows.filter((row) => row.image === image && state.isAlive(row));
  const visible = state.alive.filter((row) => row.image === image);
  const locked = visible.find((row) => state.isLocked(row));
  if (locked !== undefined) {
    throw refuseLocked(locked.name, 'delete');
  }
  if (visible.length > 0) {
    endSignaturesLeftBy(state, visible);
    endChildTags(state, image);
  }
  for (const row of ended) {
    state.end(row);
  }
  return {
    tags: visible.map(({ id, name }) => ({ id, name })),
    hiddenEnded: ended.length - visible.length,
    stillAvailable: state.isAvailable(image, 'hidden'),
  };
}

/** Takes generations of a name on an image out of the time machine; whether there were any. */
export function remove(
  state: TagState,
  { name, image }: { readonly name: string; readonly image: number },
  options: { readonly isAlive: boolean; readonly includeSubmanifests: boolean },
): boolean {
  const horizonMs = state.nowMs - state.windowMs;
  const isInWindow = ({ endMs }: Generation) => endMs !== null && endMs > horizonMs;
  // What a clock that is ahead ended is dead by this one too, though its end is not reached.
  const rows = state.rows.filter(
    (row) =>
      row.name === name &&
      row.image === image &&
      state.isAlive(row) === options.isAlive &&
      (options.isAlive || isInWindow(row)) &&
      !state.isLocked(row),
  );
  const { children } = state.image(image);
  const hidden = state.rows.filter(
    (row) => !isVisible(row) && children.includes(row.image) && isInWindow(row),
  );
  for (const row of rows.length > 0 && options.includeSubmanifests ? [...rows, ...hidden] : rows) {
    state.change(row, { isCurrent: false, endMs: horizonMs });
    state.removed.add(row.id);
  }
  return rows.length > 0;
}

/** Frees the slots of what passed its end; how many. */
export function sweep(state: TagState): number {
  const untilMs = state.nowMs - SWEEP_MARGIN_MS;
  const rows = state.rows.filter(
    ({ isCurrent, endMs }) => isCurrent && endMs !== null && endMs < untilMs,
  );
  for (const row of rows) {
    state.change(row, { isCurrent: false });
  }
  return rows.length;
}

/** Ends the generation that a name has, and begins the next in the same instant. */
function begin(
  state: TagState,
  name: string,
  { image, reversion }: { readonly image: number; readonly reversion: boolean },
): Generation {
  const alive = state.aliveOf(name);
  if (alive !== null && state.isLocked(alive)) {
    throw refuseLocked(name, 'overwrite');
  }
  if (alive !== null && alive.image !== image) {
    endSignaturesLeftBy(state, [alive]);
  }
  for (const row of state.rows.filter((each) => each.name === name && each.isCurrent)) {
    state.end(row);
  }
  const newest = state.rows.findLast((row) => row.name === name);
  const startMs = Math.max(state.nowMs, newest?.startMs ?? 0, newest?.endMs ?? 0);
  const immutable =
    state.settings.immutableTags && (isLockedByLabel(image, state) || state.policies.lock(name));
  const lifeMs = lifetimeMs(image, state);
  const endMs = state.endOnceLocked(lifeMs === null ? null : startMs + lifeMs, immutable);
  return state.add({ name, image, startMs, endMs, reversion, immutable });
}

/** A temporary tag until then, if nothing alive holds the image for as long. */
function hold(state: TagState, image: number, endMs: number | null): void {
  const isHeld = state.rows.some(
    (row) =>
      row.image === image &&
      state.isAlive(row) &&
      (row.endMs === null || (endMs !== null && row.endMs >= endMs)),
  );
  if (!isHeld) {
    const flags = { reversion: false, immutable: false };
    state.add({ name: null, image, startMs: state.nowMs, endMs, ...flags });
  }
}

/** Of the images that these tags leave, ends the signatures of those that no other tag names. */
function endSignaturesLeftBy(state: TagState, leaving: readonly NamedGeneration[]): void {
  if (!state.settings.cosignCascade) {
    return;
  }
  const names = leaving.filter(({ name }) => !isSignature(name));
  for (const image of new Set(names.map((row) => row.image))) {
    const isStillNamed = state.alive.some(
      (row) => row.image === image && !isSignature(row.name) && !leaving.includes(row),
    );
    const signatures = signatureNames(state.image(image));
    for (const row of isStillNamed ? [] : state.alive) {
      if (signatures.includes(row.name) && !state.isLocked(row)) {
        state.end(row);
      }
    }
  }
}

/** Pins stay. */
function endChildTags(state: TagState, image: number): void {
  const { children } = state.image(image);
  const timed = state.rows.filter(
    (row) =>
      !isVisible(row) && children.includes(row.image) && state.isAlive(row) && row.endMs !== null,
  );
  for (const row of state.settings.resetChildManifestExpiration ? timed : []) {
    state.end(row);
  }
}

/** An index needs its children, unless it is known. */
function requireStorable(state: TagState, image: number): void {
  const { children } = state.image(image);
  if (!state.isStored(image) && !children.every((child) => state.isStored(child))) {
    throw new RegistryError('BlobUnknown', { digests: [] });
  }
}

function requireLegal(name: string): void {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(name)) {
    throw new RegistryError('TagNameInvalid', { tagName: name });
  }
}
