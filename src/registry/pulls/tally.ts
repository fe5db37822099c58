import {
  DEFERRED_WAIT_MS_MAX,
  PULL_REPORT_DELAY_MS,
  PULLS_TALLIED_MAX,
} from '../../model/limits.ts';
import { MS_PER_SECOND } from '../../model/time.ts';

/** A pull as it is counted. */
export interface CountedPull {
  readonly repositoryId: number;
  readonly manifestId: number;
  /** The alive tag that it was pulled by; null: by digest, or as of a time. */
  readonly tagName: string | null;
  readonly pulledMs: number;
}

interface Count {
  pulls: number;
  lastMs: number;
}

/** Who promised a report may have been stopped; so long after its time another one promises it. */
const OVERDUE_MS = 5000;

/**
 * How often what was pulled from one isolate since its last report. What it has not reported when
 * the platform ends it is lost, so the figures are a lower bound.
 */
export class PullTally {
  readonly #tags = new Map<string, Count & { readonly repositoryId: number; tagName: string }>();
  readonly #manifests = new Map<number, Count>();
  #reportedMs = Number.NEGATIVE_INFINITY;
  #promisedUntilMs = Number.NEGATIVE_INFINITY;

  add({ repositoryId, manifestId, tagName, pulledMs }: CountedPull): void {
    if (tagName !== null) {
      const key = `${repositoryId}/${tagName}`;
      const counted = this.#tags.get(key) ?? { repositoryId, tagName, pulls: 0, lastMs: 0 };
      this.#tags.set(key, counted);
      count(counted, pulledMs);
    }
    const counted = this.#manifests.get(manifestId) ?? { pulls: 0, lastMs: 0 };
    this.#manifests.set(manifestId, counted);
    count(counted, pulledMs);
  }

  /**
   * In how many milliseconds the caller is to take the report; null: somebody else does, or a later
   * pull will. Reports are `intervalSec` apart, except that a full tally is taken at once. Nobody
   * waits for longer than an answer's deferred work may last.
   */
  promiseReport(nowMs: number, intervalSec: number): number | null {
    if (this.#tags.size + this.#manifests.size >= PULLS_TALLIED_MAX) {
      return 0;
    }
    if (nowMs < this.#promisedUntilMs) {
      return null;
    }
    const intervalMs = intervalSec * MS_PER_SECOND;
    const waitMs = Math.max(
      Math.min(intervalMs, PULL_REPORT_DELAY_MS),
      this.#reportedMs + intervalMs - nowMs,
    );
    if (waitMs > DEFERRED_WAIT_MS_MAX) {
      return null;
    }
    this.#promisedUntilMs = nowMs + waitMs + OVERDUE_MS;
    return waitMs;
  }

  /** The report, as `pull_report.pulls` has it, and the tally begins anew; null: nothing to say. */
  takeReport(nowMs: number): string | null {
    if (this.#manifests.size === 0) {
      return null;
    }
    const report = JSON.stringify({
      tags: [...this.#tags.values()].map((tag) => [
        tag.repositoryId,
        tag.tagName,
        tag.pulls,
        tag.lastMs,
      ]),
      manifests: [...this.#manifests].map(([id, { pulls, lastMs }]) => [id, pulls, lastMs]),
    });
    this.#tags.clear();
    this.#manifests.clear();
    this.#reportedMs = nowMs;
    this.#promisedUntilMs = Number.NEGATIVE_INFINITY;
    return report;
  }
}

function count(counted: Count, pulledMs: number): void {
  counted.pulls += 1;
  counted.lastMs = Math.max(counted.lastMs, pulledMs);
}
