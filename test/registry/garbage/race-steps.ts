import type { ExpectStatic } from 'vitest';

import type { Digest } from '../../../src/model/digest.ts';
import type { RepositoryRef } from '../../../src/model/references.ts';
import type { Gate } from '../../support/gate.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { missingBlob, missingOf } from '../../support/pulls.ts';
import { openTestRegistry } from '../../support/registry.ts';
import { codeOf, select, valueOf } from '../../support/stage.ts';
import { drainGraves } from '../../support/uploads.ts';
import { aDyingImage, type DyingImage, type StepName } from './dying-image.ts';

/** What an operation said is there now; as long as the clock stands still, it has to be. */
export interface Promised {
  readonly repository: RepositoryRef;
  readonly manifests?: readonly string[];
  readonly blobs?: readonly Digest[];
}

/** An operation that uses what garbage collection is about to remove. */
export interface Use {
  /** What it cannot be without: it is refused only if collection took that first. */
  readonly needs: 'nothing' | 'tag' | 'manifest' | 'blobs' | 'any blob';
  /** Done before the race. */
  readonly prepare?: (dying: DyingImage) => Promise<void>;
  /** Gives null if it is refused without an error. */
  readonly run: (dying: DyingImage, gate: Gate) => Promise<Promised | null>;
  /** The code it is refused with. */
  readonly refusal?: string;
  /** What a client does that was refused. */
  readonly retry?: (dying: DyingImage) => Promise<Promised>;
  readonly windowSec?: number;
  readonly padding?: number;
}

export interface Tally {
  schedules: number;
  kept: number;
  refused: number;
}

/**
 * The operation against each step of garbage collection, and against all of them, in every order of
 * their calls. Whatever it promised can be pulled whole, then and after collection and the drain
 * have done all that they may; whatever it was refused was gone, and is there after another try.
 */
export async function raceSteps(
  use: Use,
  expect: ExpectStatic,
  steps: readonly StepName[] = ['tags', 'manifests', 'leases', 'blobs'],
): Promise<Tally> {
  const tally: Tally = { schedules: 0, kept: 0, refused: 0 };
  for (const step of steps) {
    tally.schedules += await raceStep(use, { step, tally, expect });
  }
  return tally;
}

async function raceStep(
  use: Use,
  { step, tally, expect }: { step: StepName; tally: Tally; expect: ExpectStatic },
): Promise<number> {
  return interleaveAll(async () => {
    const { windowSec = 0, padding = 0 } = use;
    const dying = await aDyingImage({ step, windowSec, padding });
    await use.prepare?.(dying);
    return {
      racers: [(gate: Gate) => use.run(dying, gate), dying.nextStep],
      check: async ([used, collected], schedule) => {
        const what = `${step} ${schedule}`;
        expect(codeOf(collected), what).toBeNull();
        expect(await findViolations(), what).toEqual([]);
        if (codeOf(used) !== null) {
          expect(codeOf(used), what).toBe(use.refusal);
        }
        const promised = codeOf(used) === null ? valueOf(used) : null;
        if (promised !== null) {
          tally.kept += 1;
          await expectKept(promised, { dying, what, expect });
          return;
        }
        tally.refused += 1;
        expect(await isGone(use.needs, dying), `${what}: refused for nothing`).toBe(true);
        if (use.retry !== undefined) {
          await expectKept(await use.retry(dying), { dying, what: `${what}, again`, expect });
        }
      },
    };
  });
}

async function expectKept(
  promised: Promised,
  { dying, what, expect }: { dying: DyingImage; what: string; expect: ExpectStatic },
): Promise<void> {
  expect(await missing(promised, dying), what).toEqual([]);
  await collectAll(dying);
  await drainGraves();
  expect(await missing(promised, dying), `${what}, collected and drained`).toEqual([]);
  expect(await findViolations(), `${what}, collected and drained`).toEqual([]);
}

/** What of the promise does not hold. */
async function missing(
  { repository, manifests = [], blobs = [] }: Promised,
  { world }: DyingImage,
): Promise<readonly string[]> {
  const parts = [
    ...manifests.map((digest) => missingOf(world, repository, digest)),
    ...blobs.map((digest) => missingBlob(world, repository, digest)),
  ];
  return (await Promise.all(parts)).flat();
}

/** Collects whatever is garbage by the clock of the race, of all that is listed too. */
async function collectAll({ clock, repository, elsewhere }: DyingImage): Promise<void> {
  const { housekeeping } = openTestRegistry({ clock });
  await housekeeping.collectRepository(repository.id);
  await housekeeping.collectRepository(elsewhere.id);
}

async function isGone(needs: Use['needs'], dying: DyingImage): Promise<boolean> {
  const { manifest, repository, image } = dying;
  const digests = JSON.stringify(image.localBlobDigests);
  switch (needs) {
    case 'nothing':
      return false;
    case 'tag':
      return (await select("SELECT 1 FROM tag WHERE name = 'v1'")).length === 0;
    case 'manifest':
      return (await select('SELECT 1 FROM manifest WHERE id = ?', manifest.id)).length === 0;
    case 'any blob':
      return (
        (
          await select(
            'SELECT 1 FROM blob WHERE digest IN (SELECT value FROM json_each(?))',
            digests,
          )
        ).length < image.localBlobDigests.length
      );
    case 'blobs': {
      const visible = await select(
        `SELECT b.id FROM blob b WHERE b.digest IN (SELECT value FROM json_each(?2)) AND (
          EXISTS (SELECT 1 FROM uploaded_blob l WHERE l.blob_id = b.id AND l.repository_id = ?1)
          OR EXISTS (SELECT 1 FROM manifest_blob m WHERE m.blob_id = b.id AND m.repository_id = ?1))`,
        repository.id,
        digests,
      );
      return visible.length < image.localBlobDigests.length;
    }
  }
}
