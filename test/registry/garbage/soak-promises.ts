import type { RepositoryRef } from '../../../src/model/references.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../support/clock.ts';
import type { Witness } from '../../support/invariants.ts';
import { type Placed, placeOf, Shelf } from '../../support/shelf.ts';
import type { Snapshot } from '../../support/snapshot.ts';

/** How far an actor's clock is from the world's. */
export const SKEW_MS = MINUTE_MS / 2;
/** How far two of them are apart, and from when one of them acted to when another judges it. */
export const APART_MS = 4 * SKEW_MS;

/** A manifest or blob that was promised to be in a repository. */
export interface Promised extends Placed {
  /** Until when, by the world's clock; null: until it is taken back. */
  readonly untilMs: number | null;
}

/** An upload that a client left, and may come back to. */
export interface LeftUpload {
  readonly repository: RepositoryRef;
  readonly uploadId: string;
  readonly digest: string;
  readonly begunMs: number;
  readonly leftMs: number;
}

/** What the registry has promised its users, and what of it does not hold. */
export class SoakPromises {
  /** By `<repository id> <tag>`, what it stands on. */
  readonly tags = new Map<string, Promised>();
  /** Referrers that were pushed by digest, by `<repository id> <digest>`. */
  readonly pins = new Map<string, Promised>();
  /** Generations that ended, each with the shortest window that there was since. */
  ended: (Promised & { readonly namespaceId: number; readonly endMs: number; windowMs: number })[] =
    [];
  /** What was pushed by digest lately. */
  held: Promised[] = [];
  /** Blobs that were uploaded, mounted or asked for by a pusher lately. */
  leases: Promised[] = [];
  uploads: LeftUpload[] = [];

  /** Nothing is promised of a repository that was given up. */
  forgetRepository(repositoryId: number): void {
    for (const promised of [this.tags, this.pins]) {
      for (const [key, one] of promised) {
        if (one.repositoryId === repositoryId) {
          promised.delete(key);
        }
      }
    }
    const isOther = (one: Promised) => one.repositoryId !== repositoryId;
    this.ended = this.ended.filter(isOther);
    this.held = this.held.filter(isOther);
    this.leases = this.leases.filter(isOther);
    this.uploads = this.uploads.filter(({ repository }) => repository.id !== repositoryId);
  }

  /** Takes back what somebody deleted by digest. */
  forgetManifest(key: string): void {
    this.pins.delete(key);
    this.held = this.held.filter((one) => placeOf(one) !== key);
  }

  forgetLease(key: string): void {
    this.leases = this.leases.filter((one) => placeOf(one) !== key);
  }

  /** A namespace has another window from now on. */
  narrowWindow(namespaceId: number, windowMs: number): void {
    for (const one of this.ended.filter((end) => end.namespaceId === namespaceId)) {
      one.windowMs = Math.min(one.windowMs, windowMs);
    }
  }

  /** Drops what is over by the world's clock. */
  pass(nowMs: number): void {
    const isLasting = ({ untilMs }: Promised) => untilMs === null || nowMs < untilMs;
    this.held = this.held.filter(isLasting);
    this.leases = this.leases.filter(isLasting);
    this.ended = this.ended.filter(
      ({ endMs, windowMs }) => nowMs < endMs + windowMs - 2 * APART_MS,
    );
    this.uploads = this.uploads.filter((upload) => isUploadKept(upload, nowMs));
  }

  /** Every manifest that has to be there whole, each once. */
  manifests(): readonly Promised[] {
    const all = [...this.tags.values(), ...this.pins.values(), ...this.ended, ...this.held];
    return [...new Map(all.map((one) => [placeOf(one), one])).values()];
  }

  /** What was promised and does not hold, by what the stores have. */
  broken(snapshot: Snapshot, witness: Witness): readonly string[] {
    const shelf = new Shelf(snapshot, witness);
    const uploads = new Set(snapshot.uploads.map(({ uploadId }) => uploadId));
    return [
      ...[...this.tags]
        .filter(([key, { digest }]) => snapshot.tags.get(key) !== digest)
        .map(([key, { digest }]) => `tag ${key} is not on ${digest}`),
      ...this.manifests().flatMap((one) => shelf.missingOf(one)),
      ...this.leases
        .filter((lease) => !shelf.isBlobVisible(lease))
        .map((lease) => `blob ${placeOf(lease)} is leased and not visible`),
      ...this.uploads
        .filter(({ uploadId }) => !uploads.has(uploadId))
        .map(({ uploadId }) => `upload ${uploadId} is gone`),
    ];
  }

  /** By `<repository id> <digest>`, which rows and objects a pull would read; all are there. */
  paths(snapshot: Snapshot, witness: Witness): ReadonlyMap<string, { at: Promised; path: string }> {
    const shelf = new Shelf(snapshot, witness);
    return new Map(this.manifests().map((at) => [placeOf(at), { at, path: shelf.pathOf(at) }]));
  }
}

/** Whether an upload that was left then may not be given up yet. */
export function isUploadKept({ begunMs, leftMs }: LeftUpload, nowMs: number): boolean {
  return nowMs < Math.min(leftMs + 2 * DAY_MS, begunMs + 6 * DAY_MS) - HOUR_MS;
}
