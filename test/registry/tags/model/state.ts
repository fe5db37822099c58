import {
  ancestorsOf,
  type Generation,
  imageAt,
  isAlive,
  isVisible,
  type ModelImage,
  type NamedGeneration,
} from './generation.ts';
import { ModelPolicies } from './policies.ts';

/** What an operator decides about the tags. */
export interface ModelSettings {
  readonly immutableTags: boolean;
  readonly immutableTagsCanExpire: boolean;
  readonly cosignCascade: boolean;
  readonly resetChildManifestExpiration: boolean;
}

/** Which holds on an image count: any tag's or visible tags' only; or none need be. */
export type Reach = 'stored' | 'hidden' | 'visible';

/**
 * What the tags of one repository should be: a list of generations, without a database. An image is
 * named by its place among those of the run, a generation by its place among the rows. The rules
 * that change it stand in the files beside this one.
 */
export class TagState {
  readonly images: readonly ModelImage[];
  readonly policies = new ModelPolicies();
  readonly windowMs: number;
  settings: ModelSettings;
  /** The rows that were taken out of the time machine. */
  readonly removed = new Set<number>();
  readonly #stored = new Set<number>();
  readonly #clock: { nowMs(): number };
  #rows: readonly Generation[] = [];

  constructor(
    images: readonly ModelImage[],
    clock: { nowMs(): number },
    { settings, windowMs }: { settings: ModelSettings; windowMs: number },
  ) {
    this.images = images;
    this.#clock = clock;
    this.settings = settings;
    this.windowMs = windowMs;
  }

  get rows(): readonly Generation[] {
    return this.#rows;
  }

  get nowMs(): number {
    return this.#clock.nowMs();
  }

  image(image: number): ModelImage {
    return imageAt(this.images, image);
  }

  isStored(image: number): boolean {
    return this.#stored.has(image);
  }

  store(image: number): void {
    this.#stored.add(image);
  }

  isAlive(row: Generation): boolean {
    return isAlive(row, this.nowMs);
  }

  /** The alive visible generations, in order of their names. */
  get alive(): readonly NamedGeneration[] {
    return this.#rows
      .filter(isVisible)
      .filter((row) => this.isAlive(row))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1));
  }

  aliveOf(name: string): NamedGeneration | null {
    return this.alive.find((row) => row.name === name) ?? null;
  }

  /** Whether an alive tag holds the image, itself or by an index. */
  isAvailable(image: number, reach: Reach): boolean {
    const held = new Set([image, ...ancestorsOf(image, this)]);
    return reach === 'stored'
      ? this.isStored(image)
      : this.#rows.some(
          (row) =>
            held.has(row.image) && this.isAlive(row) && (reach === 'hidden' || isVisible(row)),
        );
  }

  /** Immutable, and protected for it. */
  isLocked({ immutable }: Generation): boolean {
    return immutable && this.settings.immutableTags;
  }

  /** The end of a generation that becomes immutable, or stays what it is. */
  endOnceLocked(endMs: number | null, immutable: boolean): number | null {
    return immutable && !this.settings.immutableTagsCanExpire ? null : endMs;
  }

  add(row: Omit<Generation, 'id' | 'isCurrent'>): Generation {
    const added = { ...row, id: this.#rows.length, isCurrent: true };
    this.#rows = [...this.#rows, added];
    return added;
  }

  change({ id }: Generation, change: Partial<Generation>): Generation {
    const changed = this.#rows.map((row) => (row.id === id ? { ...row, ...change } : row));
    this.#rows = changed;
    const found = changed[id];
    if (found === undefined) {
      throw new Error(`no row ${id}`);
    }
    return found;
  }

  /** Ends a generation now: never before its start, and an end that has passed stays. */
  end(row: Generation): Generation {
    const { endMs, startMs } = row;
    const isOver = endMs !== null && endMs <= this.nowMs;
    return this.change(row, {
      isCurrent: false,
      endMs: isOver ? endMs : Math.max(this.nowMs, startMs),
    });
  }
}
