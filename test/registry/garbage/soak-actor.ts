import { isRegistryError } from '../../../src/model/errors.ts';
import { PUSH_LEASE_SEC } from '../../../src/model/limits.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import { SECOND_MS } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import type { TestRegistry } from '../../support/registry.ts';
import { APART_MS, type LeftUpload } from './soak-promises.ts';
import type { SoakWorld } from './soak-world.ts';

const HELD_MS = PUSH_LEASE_SEC * SECOND_MS;

/** The registry says that something is not there any more that the client needs. */
export class Refused extends Error {}

const REFUSALS = [
  'BlobUnknown',
  'RepositoryNotFound',
  'RepositoryReadOnly',
  'RetargetFailed',
  'ManifestNotFound',
  'UploadConflict',
];

export const isRefusal = (error: unknown): boolean =>
  error instanceof Refused || (isRegistryError(error) && REFUSALS.includes(error.code));

/** That a tag is to stand on a digest, or on nothing. */
interface TagPlan {
  readonly repository: RepositoryRef;
  readonly tagName: string;
  readonly digest: string | null;
}

/** What may have become of the world by an actor's doing, whether it came to its end or not. */
export interface Doings {
  readonly tags: readonly TagPlan[];
  /** `<repository id> <digest>` of manifests whose tags it ended, and of blobs it unlinked. */
  readonly endedManifests: readonly string[];
  readonly unlinkedBlobs: readonly string[];
  /** Repositories any of whose tags it may have ended, and such that it gave up. */
  readonly retained: readonly number[];
  readonly givenUp: readonly number[];
}

/** Somebody who does one thing. Each request is another isolate, by a clock of its own. */
export class SoakActor {
  readonly world: SoakWorld;
  readonly #gate: Gate | null;
  readonly #startMs: number;
  readonly #said: string[] = [];
  readonly #doings = {
    tags: [] as TagPlan[],
    endedManifests: [] as string[],
    unlinkedBlobs: [] as string[],
    retained: [] as number[],
    givenUp: [] as number[],
  };

  constructor(world: SoakWorld, gate: Gate | null, startMs: number) {
    this.world = world;
    this.#gate = gate;
    this.#startMs = startMs;
  }

  get doings(): Doings {
    return this.#doings;
  }

  get said(): string {
    return this.#said.join(' ');
  }

  isolate(): TestRegistry {
    return this.world.isolate(this.#gate);
  }

  /** A detail for the trace. */
  say(...words: readonly unknown[]): void {
    this.#said.push(...words.map(String));
  }

  /** To be called before the write that may do it. */
  plansTag(repository: RepositoryRef, tagName: string, digest: string | null): void {
    this.say(`${repository.id}:${tagName}`, digest?.slice(7, 15) ?? 'ends');
    this.#doings.tags.push({ repository, tagName, digest });
  }

  plansToEndManifest({ id }: RepositoryRef, digest: string): void {
    this.say(`${id}:${digest.slice(7, 15)}`, 'ends');
    this.#doings.endedManifests.push(`${id} ${digest}`);
    this.world.promises.forgetManifest(`${id} ${digest}`);
  }

  plansToUnlink({ id }: RepositoryRef, digest: string): void {
    this.say(`${id}:${digest.slice(7, 15)}`);
    this.#doings.unlinkedBlobs.push(`${id} ${digest}`);
    this.world.promises.forgetLease(`${id} ${digest}`);
  }

  mayEndTagsOf(repositoryIds: readonly number[]): void {
    this.#doings.retained.push(...repositoryIds);
  }

  plansToGiveUp(repositories: readonly RepositoryRef[]): void {
    this.say(...repositories.map(({ id }) => id));
    this.#doings.givenUp.push(...repositories.map(({ id }) => id));
  }

  /** To be called once the registry said so. Who only asked is sure of half a lease. */
  wasLeased({ id }: RepositoryRef, digest: string, { onlyAsked = false } = {}): void {
    const untilMs = this.#startMs + (onlyAsked ? HELD_MS / 2 : HELD_MS) - APART_MS;
    this.world.promises.leases.push({ repositoryId: id, digest, untilMs });
  }

  wasHeld({ id }: RepositoryRef, digest: string): void {
    const untilMs = this.#startMs + HELD_MS - APART_MS;
    this.world.promises.held.push({ repositoryId: id, digest, untilMs });
  }

  wasPinned({ id }: RepositoryRef, digest: string): void {
    const pin = { repositoryId: id, digest, untilMs: null };
    this.world.promises.pins.set(`${id} ${digest}`, pin);
  }

  leaves(upload: Omit<LeftUpload, 'leftMs'>): void {
    this.world.promises.uploads.push({ ...upload, leftMs: this.#startMs });
  }

  get startMs(): number {
    return this.#startMs;
  }
}
