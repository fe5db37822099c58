import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../support/clock.ts';

/** One generation of a name, or a temporary tag, as the table of tags should have it. */
export interface Generation {
  /** Which row it is, counted from the first one of the run. */
  readonly id: number;
  /** Null: a temporary tag. */
  readonly name: string | null;
  readonly image: number;
  readonly startMs: number;
  readonly endMs: number | null;
  readonly isCurrent: boolean;
  readonly reversion: boolean;
  readonly immutable: boolean;
}

/** A generation that has a name. */
export type NamedGeneration = Generation & { readonly name: string };

export function isVisible(row: Generation): row is NamedGeneration {
  return row.name !== null;
}

/** The newest generation of its name, and not over: it is at the very millisecond of its end. */
export function isAlive({ isCurrent, endMs }: Generation, nowMs: number): boolean {
  return isCurrent && (endMs === null || endMs > nowMs);
}

/** What a push of an image brings along, and how the image stands to the others. */
export interface ModelImage {
  readonly digest: string;
  readonly expiresAfter: string | null;
  readonly immutable: string | null;
  readonly hasSubject: boolean;
  /** The images that it lists; empty for what is no index. */
  readonly children: readonly number[];
}

interface Images {
  readonly images: readonly ModelImage[];
}

/** The value of a label that counts for an image: its own, or the one that all its children have. */
function effectiveValue(
  image: number,
  { images, label }: Images & { readonly label: 'expiresAfter' | 'immutable' },
): string | null {
  const { children, [label]: own } = imageAt(images, image);
  const values = children.map((at) => {
    const child = imageAt(images, at);
    const value = label === 'immutable' ? normalize(child[label]) : child[label];
    // An index lends nothing to an index that lists it.
    return child.children.length > 0 ? null : value;
  });
  const [common = null] = values;
  return own ?? (values.every((value) => value === common) ? common : null);
}

function normalize(value: string | null): string | null {
  return value === null ? null : value.trim().toLowerCase();
}

/** How long new tags of an image live, in milliseconds; null: without end. */
export function lifetimeMs(image: number, { images }: Images): number | null {
  const value = effectiveValue(image, { images, label: 'expiresAfter' });
  const [, count, unit] = /^([0-9]{1,9})([mhd])$/.exec(value ?? '') ?? [];
  return count === undefined || unit === undefined ? null : Number(count) * (UNIT_MS[unit] ?? 0);
}

const UNIT_MS: Readonly<Record<string, number>> = { m: MINUTE_MS, h: HOUR_MS, d: DAY_MS };

/** Whether the labels of an image lock its new tags. */
export function isLockedByLabel(image: number, { images }: Images): boolean {
  return normalize(effectiveValue(image, { images, label: 'immutable' })) === 'true';
}

export function imageAt<Image>(images: readonly Image[], at: number): Image {
  const found = images[at];
  if (found === undefined) {
    throw new Error(`no image ${at}`);
  }
  return found;
}

/** All images that hold an image, by however many indexes. */
export function ancestorsOf(image: number, { images }: Images): ReadonlySet<number> {
  const ancestors = new Set<number>();
  const climb = (from: number): void => {
    for (const [at, { children }] of images.entries()) {
      if (children.includes(from) && !ancestors.has(at)) {
        ancestors.add(at);
        climb(at);
      }
    }
  };
  climb(image);
  return ancestors;
}

/** The names that cosign gives to what belongs to an image. */
export function signatureNames({ digest }: ModelImage): readonly string[] {
  return ['sig', 'att', 'sbom'].map((suffix) => `${digest.replace(':', '-')}.${suffix}`);
}

export function isSignature(name: string): boolean {
  return /^sha256-[0-9a-f]{64}\.(?:sig|att|sbom)$/.test(name);
}
