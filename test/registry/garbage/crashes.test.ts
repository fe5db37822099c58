import { describe, it } from 'vitest';

import { HOUR_MS } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import { crashEverywhere, type CrashPoint } from '../../support/interleave.ts';
import { Witness } from '../../support/invariants.ts';
import { holdings } from '../../support/purge.ts';
import { openTestRegistry, type TestRegistry } from '../../support/registry.ts';
import { type SavedWorld, saveWorld } from '../../support/saved-world.ts';
import { type Placed, Shelf } from '../../support/shelf.ts';
import { aWholeWorld, finishAllJobs, type WholeWorld } from './whole-world.ts';

/** Each makes and checks some dozens of worlds. */
const TIMEOUT = { timeout: 240_000 };

interface Job {
  readonly name: string;
  /** What was done to the world before. */
  prepare(world: WholeWorld, registry: TestRegistry): Promise<unknown>;
  run(registry: TestRegistry): Promise<unknown>;
  /** What its caller does again who got no answer; cron's jobs come again by themselves. */
  askAgain?(registry: TestRegistry): Promise<unknown>;
  /** What of the living has to be there afterwards. */
  keeps(world: WholeWorld): (placed: Placed) => boolean;
  /** Whether it waits for each call before the next. */
  readonly oneAfterTheOther: boolean;
  readonly pointsMin: number;
}

const everything = () => () => true;

const JOBS: readonly Job[] = [
  {
    name: 'collect',
    prepare: () => Promise.resolve(),
    run: ({ housekeeping }) => housekeeping.collectGarbage(),
    keeps: everything,
    oneAfterTheOther: true,
    pointsMin: 15,
  },
  {
    name: 'drain',
    // What is buried by all the others.
    async prepare({ clock }, { housekeeping }) {
      await housekeeping.collectGarbage();
      await housekeeping.expireUploads();
      clock.advance(2 * HOUR_MS);
    },
    run: ({ housekeeping }) => housekeeping.drainTombstones(),
    keeps: everything,
    oneAfterTheOther: false,
    pointsMin: 16,
  },
  {
    name: 'purge of a repository',
    prepare: ({ repository }, { operations }) => operations.markRepositoryForDeletion(repository),
    run: ({ housekeeping }) => housekeeping.purgeRepositories(),
    keeps:
      ({ repository }) =>
      ({ repositoryId }) =>
        repositoryId !== repository.id,
    oneAfterTheOther: true,
    pointsMin: 6,
  },
  {
    name: 'purge of a namespace',
    prepare: () => Promise.resolve(),
    async run({ operations, housekeeping }) {
      await operations.markNamespaceForDeletion('acme');
      await housekeeping.purgeNamespaces();
      await housekeeping.purgeRepositories();
    },
    askAgain: ({ operations }) => operations.markNamespaceForDeletion('acme'),
    keeps:
      ({ foreign }) =>
      ({ repositoryId }) =>
        repositoryId === foreign.id,
    oneAfterTheOther: true,
    pointsMin: 12,
  },
  {
    name: 'expiry of uploads',
    prepare: () => Promise.resolve(),
    run: ({ housekeeping }) => housekeeping.expireUploads(),
    keeps: everything,
    oneAfterTheOther: true,
    pointsMin: 3,
  },
];

/** What a world comes to once its push, the job and all that follows are done. */
async function outcome(
  world: WholeWorld,
  { look, keeps }: { look: Look; keeps: readonly Placed[] },
) {
  const { clock, push } = world;
  const pushed = await push.finish(openTestRegistry({ clock }));
  await finishAllJobs({ clock });
  const wrong = await look([...keeps, pushed]);
  // The push chose the key of its last object just now.
  const { gc_lease: _, objects, ...left } = await holdings();
  return { wrong, left: { ...left, objects: Array.isArray(objects) ? objects.length : objects } };
}

type Look = (placed: readonly Placed[]) => Promise<readonly string[]>;

describe('I-CRASH: a job that stops at any of its calls loses nothing that lives', () => {
  it.for(JOBS)('and the next runs finish its work: $name', TIMEOUT, async (job, { expect }) => {
    const { clock, ...world } = await aWholeWorld();
    await job.prepare({ clock, ...world }, openTestRegistry({ clock }));
    const saved: SavedWorld = await saveWorld();
    const savedMs = clock.nowMs();
    const witness = new Witness();
    const look: Look = async (placed) => {
      const { snapshot, violations } = await witness.look();
      const shelf = new Shelf(snapshot, witness);
      return [...violations, ...placed.flatMap((one) => shelf.missingOf(one))];
    };
    const keeps = world.living.filter(job.keeps({ clock, ...world }));
    const begin = async () => {
      await saved.restore();
      clock.set(savedMs);
    };

    await job.run(openTestRegistry({ clock }));
    const undisturbed = await outcome({ clock, ...world }, { look, keeps });
    expect(undisturbed.wrong).toEqual([]);
    const attempt = async () => {
      await begin();
      return {
        operation: (gate: Gate) => job.run(openTestRegistry({ clock, gate })),
        check: async ({ callNumber, call, when }: CrashPoint) => {
          const what = `stopped ${when} call ${callNumber}, ${call.store} ${call.operation}`;
          const violations = await look(keeps);
          expect(violations, what).toEqual([]);
          await job.askAgain?.(openTestRegistry({ clock }));
          const came = await outcome({ clock, ...world }, { look, keeps });
          expect(came, what).toEqual(undisturbed);
        },
      };
    };
    const { oneAfterTheOther, pointsMin } = job;
    const points = await crashEverywhere(attempt, { oneAfterTheOther });
    expect(points.length).toBeGreaterThanOrEqual(pointsMin);
  });
});
