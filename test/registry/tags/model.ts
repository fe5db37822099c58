/** One generation of a name, or a temporary tag, as the table of tags should have it. */
export interface Generation {
  /** Null: a temporary tag. */
  readonly name: string | null;
  readonly image: number;
  readonly startMs: number;
  readonly endMs: number | null;
  readonly isCurrent: boolean;
}

/** What the registry's tags should be: the rules of lifetimes over a list, without a database. */
export class TagModel {
  #rows: readonly Generation[] = [];

  get rows(): readonly Generation[] {
    return this.#rows;
  }

  push(name: string, image: number, { nowMs, lifeMs }: { nowMs: number; lifeMs: number | null }) {
    this.#end((row) => row.name === name && row.isCurrent, nowMs);
    const newest = this.#rows.findLast((row) => row.name === name);
    const startMs = Math.max(nowMs, newest?.startMs ?? 0, newest?.endMs ?? 0);
    const endMs = lifeMs === null ? null : startMs + lifeMs;
    this.#rows = [...this.#rows, { name, image, startMs, endMs, isCurrent: true }];
  }

  keep(image: number, { nowMs, endMs }: { nowMs: number; endMs: number }) {
    const isHeld = this.#rows.some(
      (row) =>
        row.image === image && isAlive(row, nowMs) && (row.endMs === null || row.endMs >= endMs),
    );
    if (!isHeld) {
      const row = { name: null, image, startMs: nowMs, endMs, isCurrent: true };
      this.#rows = [...this.#rows, row];
    }
  }

  deleteTag(name: string, nowMs: number): boolean {
    return this.#end((row) => row.name === name && isAlive(row, nowMs), nowMs) > 0;
  }

  deleteImage(image: number, nowMs: number): readonly string[] {
    const names = this.#rows
      .filter((row) => row.image === image && isAlive(row, nowMs))
      .map(({ name }) => name)
      .filter((name) => name !== null);
    this.#end((row) => row.image === image && isAlive(row, nowMs), nowMs);
    return names.toSorted();
  }

  names(nowMs: number): readonly string[] {
    return this.#rows
      .filter((row) => isAlive(row, nowMs))
      .map(({ name }) => name)
      .filter((name) => name !== null)
      .toSorted();
  }

  hasExpired(name: string, nowMs: number): boolean {
    return this.#rows.some((row) => row.name === name && row.endMs !== null && row.endMs <= nowMs);
  }

  isAvailable(image: number, nowMs: number, { hidden }: { hidden: boolean }): boolean {
    return this.#rows.some(
      (row) => row.image === image && isAlive(row, nowMs) && (hidden || row.name !== null),
    );
  }

  #end(isEnded: (row: Generation) => boolean, nowMs: number): number {
    const ended = this.#rows.filter(isEnded);
    this.#rows = this.#rows.map((row) =>
      ended.includes(row)
        ? {
            ...row,
            isCurrent: false,
            endMs:
              row.endMs !== null && row.endMs <= nowMs ? row.endMs : Math.max(nowMs, row.startMs),
          }
        : row,
    );
    return ended.length;
  }
}

function isAlive({ isCurrent, endMs }: Generation, nowMs: number): boolean {
  return isCurrent && (endMs === null || endMs > nowMs);
}
