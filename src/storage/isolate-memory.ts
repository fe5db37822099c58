/**
 * What one isolate remembers from request to request: a little, for a while, and for itself alone.
 * When it is full, what was remembered first makes room.
 */
export class IsolateMemory<Value> {
  readonly #entries = new Map<string, { readonly value: Value; readonly untilMs: number }>();
  readonly #entriesMax: number;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** What is remembered under the key and not over yet, or null. */
  get(key: string, nowMs: number): Value | null {
    const entry = this.#entries.get(key);
    return entry !== undefined && nowMs < entry.untilMs ? entry.value : null;
  }

  set(key: string, value: Value, untilMs: number): void {
    // Behind all others, also if it was there.
    this.#entries.delete(key);
    this.#entries.set(key, { value, untilMs });
    for (const first of this.#entries.keys()) {
      if (this.#entries.size <= this.#entriesMax) {
        break;
      }
      this.#entries.delete(first);
    }
  }

  drop(key: string): void {
    this.#entries.delete(key);
  }
}
