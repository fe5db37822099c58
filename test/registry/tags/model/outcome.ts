import type { Manifest, ShallowTag, Tag } from '../../../../src/model/datatypes.ts';
import { isRegistryError } from '../../../../src/model/errors.ts';
import type { Generation } from './generation.ts';
import type { World } from './world.ts';

/** What an operation came to: by the same words in both worlds, so that they can be compared. */
export type Outcome = { readonly value: unknown } | { readonly refused: Refused };
interface Refused {
  readonly code: string;
  readonly tagName?: string;
  readonly operation?: string;
  readonly endMs?: number;
}

/** A failure that is no refusal is thrown. */
export async function outcomeOf(
  operation: () => unknown,
  inWords: (value: unknown) => unknown,
): Promise<Outcome> {
  try {
    return { value: inWords(await operation()) };
  } catch (error) {
    if (!isRegistryError(error)) {
      throw error;
    }
    const { code, detail } = error;
    const { tagName, operation: refused, endMs } = detail as Partial<Refused>;
    return {
      refused: {
        code,
        ...(tagName === undefined ? {} : { tagName }),
        ...(refused === undefined ? {} : { operation: refused }),
        ...(endMs === undefined ? {} : { endMs }),
      },
    };
  }
}

/** What the model gives, with its generations as the interface shows tags. */
export function ofModel(value: unknown): unknown {
  return mapDeep(value, (part) => (isGeneration(part) ? toTag(part) : null));
}

/** What the registry gives, with its tags and manifests as the model names them. */
export function ofRegistry(value: unknown, world: World): unknown {
  return mapDeep(value, (part) => {
    if (isTag(part)) {
      return {
        id: rowOf(part.id, world),
        name: part.name,
        image: imageOf(part.manifestDigest, world),
        startMs: part.lifetimeStartMs,
        endMs: part.lifetimeEndMs,
        startSec: part.lifetimeStartTs,
        endSec: part.lifetimeEndTs,
        reversion: part.reversion,
        immutable: part.immutable,
      };
    }
    if (isManifest(part)) {
      return { image: imageOf(part.digest, world) };
    }
    return isShallowTag(part) ? { id: rowOf(part.id, world), name: part.name } : null;
  });
}

/** The place of a row among those of the run. */
export function rowOf(id: number, { idsBefore }: Pick<World, 'idsBefore'>): number {
  return id - idsBefore - 1;
}

export function imageOf(digest: string, { images }: Pick<World, 'images'>): number {
  return images.findIndex((image) => image.digest === digest);
}

function toTag({ id, name, image, startMs, endMs, reversion, immutable }: Generation) {
  const startSec = Math.floor(startMs / 1000);
  const endSec = endMs === null ? null : Math.floor(endMs / 1000);
  return { id, name, image, startMs, endMs, startSec, endSec, reversion, immutable };
}

/** The value with those of its parts replaced that the function has something else for. */
function mapDeep(value: unknown, replace: (part: object) => object | null): unknown {
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map((item) => mapDeep(item, replace));
  }
  const entries = Object.entries(value).map(([key, part]) => [key, mapDeep(part, replace)]);
  return replace(value) ?? Object.fromEntries(entries);
}

function isGeneration(value: object): value is Generation {
  return 'isCurrent' in value;
}

function isTag(value: object): value is Tag {
  return 'manifestDigest' in value;
}

function isManifest(value: object): value is Manifest {
  return 'mediaType' in value && 'digest' in value;
}

function isShallowTag(value: object): value is ShallowTag {
  return 'id' in value && 'name' in value;
}
