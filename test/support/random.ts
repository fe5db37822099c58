/** Numbers that are the same for the same seed: the mulberry32 generator. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to 1, 1 excluded. */
  fraction(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below the limit. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  /** One of the values; null of none. */
  oneOf<Value>(values: readonly Value[]): Value | null {
    return values[this.below(values.length)] ?? null;
  }

  /** So many of the values, or all, each once. */
  some<Value>(values: readonly Value[], count: number): readonly Value[] {
    return values
      .map((value) => ({ value, rank: this.fraction() }))
      .toSorted((one, other) => one.rank - other.rank)
      .slice(0, count)
      .map(({ value }) => value);
  }
}
