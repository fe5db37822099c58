import {
  EXPIRES_AFTER_LABEL,
  IMMUTABLE_LABEL,
  effectiveLabel,
  isImmutableLabelValue,
  parseExpiresAfter,
} from '../../image/labels.ts';
import { isIndexMediaType } from '../../image/media-types.ts';
import { MS_PER_SECOND } from '../../model/time.ts';
import {
  type ActingLabels,
  type ChildLabels,
  NO_ACTING_LABELS,
} from '../../storage/d1/manifests.ts';
import type { ImmutabilityPolicy } from '../../storage/d1/policies.ts';
import type { RegistrySettings } from '../settings.ts';
import { locksTag } from './policy-match.ts';

/** What a new generation of a tag gets from its manifest and from the policies in scope. */
export interface GenerationTraits {
  /** How long it lives, in milliseconds; null: without end. */
  readonly lifetimeMs: number | null;
  readonly immutable: boolean;
}

export interface GenerationSource {
  readonly tagName: string;
  readonly nowMs: number;
  /** The labels of the manifest itself. */
  readonly own: ActingLabels;
  /** The linked children with theirs; empty for a manifest that is no list. */
  readonly children: readonly ChildLabels[];
  readonly policies: readonly ImmutabilityPolicy[];
}

/**
 * The traits of a new generation. One function serves the first push, a push of a known manifest
 * and a move, so that all tags of one manifest are treated alike.
 */
export function generationTraits(
  source: GenerationSource,
  settings: RegistrySettings,
): GenerationTraits {
  const { tagName, nowMs, own, policies } = source;
  // An index lends nothing to an index that lists it.
  const children = source.children.map((child) =>
    isIndexMediaType(child.mediaType) ? NO_ACTING_LABELS : child,
  );
  const immutableValue = effectiveLabel(
    own.immutable,
    children.map((child) => child.immutable),
    IMMUTABLE_LABEL,
  );
  const immutable =
    settings.immutableTags &&
    ((immutableValue !== null && isImmutableLabelValue(immutableValue)) ||
      locksTag(policies, tagName));
  if (immutable && !settings.immutableTagsCanExpire) {
    return { lifetimeMs: null, immutable };
  }
  const expiresAfter = effectiveLabel(
    own.expiresAfter,
    children.map((child) => child.expiresAfter),
    EXPIRES_AFTER_LABEL,
  );
  return {
    lifetimeMs: expiresAfter === null ? null : labelLifetimeMs(expiresAfter, nowMs),
    immutable,
  };
}

/**
 * The lifetime in milliseconds that a value of {@link EXPIRES_AFTER_LABEL} gives to a tag that was
 * started by now; null where it has no effect, as no time in milliseconds could be that late.
 */
export function labelLifetimeMs(value: string, nowMs: number): number | null {
  const seconds = parseExpiresAfter(value);
  const lifetimeMs = seconds === null ? null : seconds * MS_PER_SECOND;
  return lifetimeMs !== null && Number.isSafeInteger(nowMs + lifetimeMs) ? lifetimeMs : null;
}
