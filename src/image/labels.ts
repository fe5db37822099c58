import type { Label, LabelSource } from '../model/datatypes.ts';
import { LABEL_KEY_LENGTH_MAX, LABEL_VALUE_BYTES_MAX } from '../model/limits.ts';
import { MS_PER_SECOND } from '../model/time.ts';
import type { ImageConfig } from './config.ts';
import type { ParsedManifest } from './parsed-manifest.ts';

/** Its value, such as `2w`, is the lifetime of the tags that point to the manifest. */
export const EXPIRES_AFTER_LABEL = 'quay.expires-after';
/** Its value `true` locks the tags that point to the manifest. */
export const IMMUTABLE_LABEL = 'quay.immutable';
/** The keys of the labels that act on tags. */
export type ActingLabelKey = typeof EXPIRES_AFTER_LABEL | typeof IMMUTABLE_LABEL;

export const LABEL_MEDIA_TYPES = ['application/json', 'text/plain'] as const;
export type LabelMediaType = (typeof LABEL_MEDIA_TYPES)[number];

/** A label that a manifest brings along. */
export interface ManifestLabel extends Pick<Label, 'key' | 'value'> {
  readonly mediaType: LabelMediaType;
}

/** Lower-case letters and digits, single dots and dashes between them. */
const LABEL_KEY = /^[a-z0-9]+(?:[-.][a-z0-9]+)*$/;

const DURATION = /^([0-9]{1,9})([smhdwy])$/;
const UNIT_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 7 * 86_400,
  y: 365 * 86_400,
};

/**
 * The labels of a newly stored manifest: the config's labels, key by key overridden by the
 * manifest's annotations; those of an artifact are its annotations alone, lists have none.
 * Empty keys and values above {@link LABEL_VALUE_BYTES_MAX} are left out. `config` is null where
 * the manifest needs none.
 */
export function manifestLabels(
  parsed: ParsedManifest,
  config: ImageConfig | null,
): readonly ManifestLabel[] {
  if (parsed.kind === 'index') {
    return [];
  }
  return Object.entries({ ...config?.labels, ...parsed.annotations })
    .filter(([key, value]) => key !== '' && fitsLabel(value))
    .map(([key, value]) => ({ key, value, mediaType: labelMediaType(value) }));
}

/**
 * Whether a label of this source may have the key. Images bring any that is not empty, as Docker
 * allows them; others keep to {@link LABEL_KEY} and {@link LABEL_KEY_LENGTH_MAX} characters.
 */
export function isLabelKey(key: string, source: LabelSource): boolean {
  return source === 'manifest'
    ? key !== ''
    : key.length <= LABEL_KEY_LENGTH_MAX && LABEL_KEY.test(key);
}

/** Beginnings of keys that mean something to tools, and so cannot be given through the API. */
const RESERVED_LABEL_PREFIXES = [
  'com.docker.',
  'io.docker.',
  'org.dockerproject.',
  'org.opencontainers.',
  'io.cncf.',
  'io.kubernetes.',
  'io.k8s.',
  'io.quay',
  'com.coreos',
  'com.tectonic',
  'internal',
  'quay',
] as const;

/** The reserved prefix, or one of `more`, that a label's key begins with; null: none. */
export function reservedPrefixOf(key: string, more: readonly string[]): string | null {
  return [...RESERVED_LABEL_PREFIXES, ...more].find((prefix) => key.startsWith(prefix)) ?? null;
}

/** The text as the media type of a label's value, or null. */
export function parseLabelMediaType(text: string): LabelMediaType | null {
  return LABEL_MEDIA_TYPES.find((known) => known === text) ?? null;
}

/** JSON if the value is, without trimming, a JSON object or array; else plain text. */
export function labelMediaType(value: string): LabelMediaType {
  const isBracketed =
    (value.startsWith('{') && value.endsWith('}')) ||
    (value.startsWith('[') && value.endsWith(']'));
  return isBracketed && isJson(value) ? 'application/json' : 'text/plain';
}

/**
 * The seconds that a value of {@link EXPIRES_AFTER_LABEL} means: a number of one to nine digits
 * and one of `s m h d w y` (a year has 365 days). Null, so without effect, for any other text,
 * for zero, and where no time in milliseconds could be that late.
 */
export function parseExpiresAfter(value: string): number | null {
  const [, count, unit] = DURATION.exec(value) ?? [];
  if (count === undefined || unit === undefined) {
    return null;
  }
  const seconds = Number(count) * (UNIT_SECONDS[unit] ?? 0);
  return seconds > 0 && Number.isSafeInteger(seconds * MS_PER_SECOND) ? seconds : null;
}

/** Whether a value of {@link IMMUTABLE_LABEL} locks: `true`, whatever its case and margins. */
export function isImmutableLabelValue(value: string): boolean {
  return normalizeImmutable(value) === 'true';
}

/**
 * The value of an acting label that counts for a manifest: its own newest one, whatever that is;
 * else the one value that all children of a list have, so that one tag treats them alike. Values
 * are compared as text (`1w` is not `7d`), those of {@link IMMUTABLE_LABEL} trimmed and in lower
 * case. `children` has the newest value of each linked child, null where it has none; it is empty
 * for a manifest that is no list.
 */
export function effectiveLabel(
  own: string | null,
  children: readonly (string | null)[],
  key: ActingLabelKey,
): string | null {
  if (own !== null) {
    return own;
  }
  const values = children.map((value) =>
    value !== null && key === IMMUTABLE_LABEL ? normalizeImmutable(value) : value,
  );
  const [first = null] = values;
  return values.every((value) => value === first) ? first : null;
}

function normalizeImmutable(value: string): string {
  return value.trim().toLowerCase();
}

function fitsLabel(value: string): boolean {
  return new TextEncoder().encode(value).byteLength <= LABEL_VALUE_BYTES_MAX;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
