import { interleaveAtRandom } from '../../support/interleave.ts';
import { Witness } from '../../support/invariants.ts';
import { missingOf } from '../../support/pulls.ts';
import type { Snapshot } from '../../support/snapshot.ts';
import { type Doings, isRefusal, SoakActor } from './soak-actor.ts';
import {
  audit,
  changeRetention,
  changeWindow,
  collect,
  comeBack,
  deleteByDigest,
  deleteNamespace,
  deleteRepository,
  deleteTag,
  drain,
  expireUploads,
  forgetOldRecords,
  moveTag,
  passTime,
  purge,
  retain,
  unlinkBlob,
} from './soak-changes.ts';
import {
  leaveUpload,
  pushByDigest,
  pushImage,
  pushIndex,
  pushMounted,
  pushReferrer,
} from './soak-pushes.ts';
import type { SoakWorld } from './soak-world.ts';

/** What actors do, and how often. */
const DEEDS: readonly (readonly [number, (actor: SoakActor) => Promise<void>])[] = [
  [7, pushImage],
  [4, pushMounted],
  [3, pushByDigest],
  [4, pushIndex],
  [3, pushReferrer],
  [3, leaveUpload],
  [3, comeBack],
  [6, moveTag],
  [10, deleteTag],
  [7, deleteByDigest],
  [5, unlinkBlob],
  [14, passTime],
  [2, changeWindow],
  [2, changeRetention],
  [1, deleteRepository],
  [1, deleteNamespace],
  [15, collect],
  [7, drain],
  [3, expireUploads],
  [6, purge],
  [3, retain],
  [1, forgetOldRecords],
  [4, audit],
];
const WEIGHT = DEEDS.reduce((sum, [weight]) => sum + weight, 0);

type Deed = (typeof DEEDS)[number][1];

/** Things that nobody does at the same time as another: they change what everybody goes by. */
const ALONE: readonly Deed[] = [passTime, changeWindow];
/** These take away what others need, although they hold it. */
const TAKING: readonly Deed[] = [unlinkBlob, deleteRepository, deleteNamespace];
/** These need what they do not hold. */
const LOOSE: readonly Deed[] = [moveTag, pushIndex, deleteByDigest];

/** Everything is pulled so often; in between only what a pull would read from elsewhere than before. */
const TURNS_PER_FULL_PULL = 250;
const TURNS_TRACED = 40;

/** What happened, in figures. */
export interface SoakFigures {
  turns: number;
  /** Each is what one actor does. */
  steps: number;
  /** Steps that were taken at once with others. */
  atOnce: number;
  /** Steps that were stopped for good at one of their calls. */
  died: number;
  refused: number;
  manifestsPulled: number;
  manifestsMax: number;
  objectsMax: number;
}

/** Lets actors do what they do, in random order, and looks at everything after each turn. */
export class SoakTurns {
  readonly figures: SoakFigures = {
    turns: 0,
    steps: 0,
    atOnce: 0,
    died: 0,
    refused: 0,
    manifestsPulled: 0,
    manifestsMax: 0,
    objectsMax: 0,
  };
  readonly #world: SoakWorld;
  readonly #witness = new Witness();
  /** By manifest, the rows and objects of it that were pulled. */
  readonly #pulled = new Map<string, string>();
  readonly #trace: string[] = [];

  constructor(world: SoakWorld) {
    this.#world = world;
  }

  /** One turn: something, or two or three things at once. Gives what must not be, with the trace. */
  async take(): Promise<readonly string[]> {
    const { random } = this.#world;
    this.figures.turns += 1;
    const first = this.#choose();
    const deeds = [first];
    if (!ALONE.includes(first) && random.isOneIn(4)) {
      const others = [this.#choose(), ...(random.isOneIn(2) ? [this.#choose()] : [])];
      deeds.push(...others.filter((deed) => !ALONE.includes(deed)));
    }
    const { doings, complaints } = await this.#act(deeds);
    const { snapshot, violations } = await this.#witness.look();
    const settled = await this.#settle(doings, snapshot);
    this.#world.promises.pass(this.#world.nowMs);
    const broken = this.#world.promises.broken(snapshot, this.#witness);
    const found = [...complaints, ...violations, ...settled, ...broken];
    found.push(...(found.length === 0 ? await this.#pull(snapshot) : []));
    this.#count(deeds.length, snapshot);
    return found.length === 0 ? [] : [...found, ...this.#trace];
  }

  #choose(): Deed {
    let rank = this.#world.random.below(WEIGHT);
    for (const [weight, deed] of DEEDS) {
      rank -= weight;
      if (rank < 0) {
        return deed;
      }
    }
    throw new Error('the weights were summed wrongly');
  }

  async #act(deeds: readonly Deed[]) {
    const { random } = this.#world;
    const startMs = this.#world.nowMs;
    const dies = random.isOneIn(12) && !ALONE.some((deed) => deeds.includes(deed));
    const dying = dies ? random.below(deeds.length) : null;
    const actors: SoakActor[] = [];
    const racers = deeds.map((deed, at) => (gate: ConstructorParameters<typeof SoakActor>[1]) => {
      actors[at] = new SoakActor(this.#world, gate, startMs);
      return deed(actors[at]);
    });
    // One by itself needs nobody to let it on.
    const outcomes =
      racers.length === 1 && !dies
        ? await Promise.allSettled(racers.map((racer) => racer(null)))
        : await interleaveAtRandom(racers, {
            random,
            stopsAfter: deeds.map((_deed, at) => (at === dying ? random.below(8) : null)),
          });
    const complaints: string[] = [];
    const lines = deeds.map((deed, at) => {
      const outcome = outcomes[at] ?? null;
      const error = outcome?.status === 'rejected' ? (outcome.reason as unknown) : null;
      const others = deeds.filter((_other, place) => place !== at);
      const mayLose = others.length > 0 && LOOSE.includes(deed);
      if (error !== null && isRefusal(error) && (mayLose || others.some(isTaking))) {
        this.figures.refused += 1;
      } else if (error !== null) {
        complaints.push(`${deed.name} failed: ${textOf(error)}`);
      }
      this.figures.died += Number(outcome === null);
      const end = outcome === null ? 'died' : error === null ? '' : `refused: ${textOf(error)}`;
      return `${deed.name} ${actors[at]?.said} ${end}`.trim();
    });
    this.#trace.push(`${this.figures.turns}: ${lines.join(' + ')}`);
    this.#trace.splice(0, this.#trace.length - TURNS_TRACED);
    const doings = actors.map((actor, at) => ({
      ...actor.doings,
      isDone: outcomes[at]?.status === 'fulfilled',
      startMs,
    }));
    return { doings, complaints };
  }

  /** Learns from the stores how the turn ended, as far as it could end in several ways. */
  async #settle(
    doings: readonly (Doings & { isDone: boolean; startMs: number })[],
    snapshot: Snapshot,
  ): Promise<readonly string[]> {
    const { promises, repositories } = this.#world;
    for (const key of doings.flatMap(({ endedManifests }) => endedManifests)) {
      promises.forgetManifest(key);
    }
    for (const key of doings.flatMap(({ unlinkedBlobs }) => unlinkedBlobs)) {
      promises.forgetLease(key);
    }
    const gone = repositories.filter(({ id }) => snapshot.repositories.get(id) !== 0);
    const givenUp = new Set(doings.flatMap((one) => one.givenUp));
    const lost = gone
      .filter(({ id }) => !givenUp.has(id))
      .map(({ id }) => `repository ${id} is lost`);
    for (const { id } of gone) {
      promises.forgetRepository(id);
    }
    const wrong = [...this.#settleTags(doings, snapshot)];
    if (givenUp.size > 0) {
      await this.#world.settleRepositories();
    }
    return [...lost, ...wrong];
  }

  *#settleTags(
    doings: readonly (Doings & { isDone: boolean; startMs: number })[],
    snapshot: Snapshot,
  ): Generator<string> {
    const { promises, repositories } = this.#world;
    const ended = new Set(doings.flatMap(({ endedManifests }) => endedManifests));
    const retained = new Set(doings.flatMap((one) => one.retained));
    const startMs = doings[0]?.startMs ?? 0;
    const plans = doings.flatMap(({ tags, isDone }) => tags.map((plan) => ({ ...plan, isDone })));
    for (const repository of repositories) {
      if (snapshot.repositories.get(repository.id) !== 0) {
        continue;
      }
      const { id: repositoryId, namespaceId } = repository;
      for (const tagName of ['t0', 't1', 't2', 't3']) {
        const key = `${repositoryId} ${tagName}`;
        const had = promises.tags.get(key)?.digest ?? null;
        const own = plans.filter(
          (plan) => plan.repository.id === repositoryId && plan.tagName === tagName,
        );
        const may = new Set(own.map(({ digest }) => digest));
        if (own.every(({ isDone }) => !isDone)) {
          may.add(had);
        }
        const mayEnd = [...may, had].some((digest) => ended.has(`${repositoryId} ${digest}`));
        if (mayEnd || retained.has(repositoryId)) {
          may.add(null);
        }
        const stored = snapshot.tags.get(key) ?? null;
        if (!may.has(stored)) {
          yield `tag ${key} is on ${stored}, and was to be on ${[...may].join(' or ')}`;
        }
        const were = [had, ...own.flatMap(({ digest, isDone }) => (isDone ? [digest] : []))];
        for (const digest of new Set(were.filter((one) => one !== stored))) {
          if (digest !== null) {
            const windowMs = this.#world.windowMs(namespaceId);
            const end = { endMs: startMs, windowMs, untilMs: null };
            promises.ended.push({ repositoryId, namespaceId, digest, ...end });
          }
        }
        if (stored === null) {
          promises.tags.delete(key);
        } else {
          promises.tags.set(key, { repositoryId, digest: stored, untilMs: null });
        }
      }
    }
  }

  /** Pulls through the registry whatever a pull would read from elsewhere than the last time. */
  async #pull(snapshot: Snapshot): Promise<readonly string[]> {
    if (this.figures.turns % TURNS_PER_FULL_PULL === 0) {
      this.#pulled.clear();
    }
    const paths = this.#world.promises.paths(snapshot, this.#witness);
    const missing: string[] = [];
    for (const [key, { at, path }] of paths) {
      const repository = this.#world.repositories.find(({ id }) => id === at.repositoryId);
      if (this.#pulled.get(key) !== path && repository !== undefined) {
        const client = this.#world.reader();
        missing.push(...(await missingOf(client, repository, at.digest, { allowDead: true })));
        this.figures.manifestsPulled += 1;
        this.#pulled.set(key, path);
      }
    }
    for (const key of this.#pulled.keys()) {
      if (!paths.has(key)) {
        this.#pulled.delete(key);
      }
    }
    return missing;
  }

  #count(deeds: number, { manifests, objects }: Snapshot): void {
    const { figures } = this;
    figures.steps += deeds;
    figures.atOnce += deeds > 1 ? deeds : 0;
    figures.manifestsMax = Math.max(figures.manifestsMax, manifests.length);
    figures.objectsMax = Math.max(figures.objectsMax, objects.size);
  }
}

const isTaking = (deed: Deed): boolean => TAKING.includes(deed);

const textOf = (error: unknown): string =>
  error instanceof Error ? `${error.message} ${error.stack}` : JSON.stringify(error);
