import { SECOND_MS } from '../../../support/clock.ts';

const PAGE_TTL_MS = 120 * SECOND_MS;
/** A page that was kept by one clock is not kept again within this time of it. */
const WRITE_INTERVAL_MS = SECOND_MS;

/** What a page of names is and what it depends on. */
export interface FreshPage<Page> {
  readonly page: Page;
  readonly generation: number;
  readonly nowMs: number;
  /** The first end of the tags on the page, and of the one after it that says there are more. */
  readonly earliestEndMs: number | null;
}

/**
 * Which page the cache gives. As long as clocks agree it is always the fresh one; a clock that is
 * behind the one by which the page was read is shown what that one saw.
 */
export class KeptPages {
  readonly #kept = new Map<number, { page: unknown; generation: number; validUntilMs: number }>();
  readonly #writtenUntilMs = new Map<number, number>();

  /** The page that is served, of so many names. */
  serve<Page>(limit: number, fresh: FreshPage<Page>): unknown {
    const { generation, nowMs, earliestEndMs } = fresh;
    const kept = this.#kept.get(limit);
    if (kept?.generation === generation && nowMs < kept.validUntilMs) {
      return kept.page;
    }
    if (nowMs >= (this.#writtenUntilMs.get(limit) ?? 0)) {
      const validUntilMs = Math.min(nowMs + PAGE_TTL_MS, earliestEndMs ?? Number.MAX_SAFE_INTEGER);
      this.#kept.set(limit, { page: fresh.page, generation, validUntilMs });
      this.#writtenUntilMs.set(limit, nowMs + WRITE_INTERVAL_MS);
    }
    return fresh.page;
  }

  /** Another isolate does not know what this one wrote. */
  moveToAnotherIsolate(): void {
    this.#writtenUntilMs.clear();
  }
}
