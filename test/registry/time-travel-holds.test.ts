import { describe, it } from 'vitest';

import { DAY_MS, HOUR_MS, SECOND_MS, START_MS } from '../support/clock.ts';
import { anIndex } from '../support/content.ts';
import type { Gate } from '../support/gate.ts';
import { interleaveAll } from '../support/interleave.ts';
import { findViolations } from '../support/invariants.ts';
import { allFates, losing } from '../support/lost-answers.ts';
import { openTestRegistry } from '../support/registry.ts';
import { openLaggingReplica } from '../support/replica.ts';
import { change, execute, openStage, select, type Stage, valueOf } from '../support/stage.ts';
import { digestAt, pastOf } from '../support/time-travel.ts';

const temporaryTags = () =>
  select(`SELECT t.*, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest_id
    WHERE t.hidden = 1 ORDER BY t.id`);

/** An image that `v1` pointed to for the first hour; nothing holds it now, a day later. */
async function aPastImage(stage: Stage) {
  stage.clock.set(START_MS);
  const image = await stage.image();
  await stage.push('v1', image);
  stage.clock.advance(HOUR_MS);
  await stage.registry.deleteTag(stage.repository, 'v1');
  stage.clock.advance(DAY_MS);
  return image;
}

/** What garbage collection does once the window is over. */
const collect = change(
  `DELETE FROM tag WHERE hidden = 0 AND is_current = 0`,
  `DELETE FROM manifest_blob WHERE manifest_id NOT IN (SELECT manifest_id FROM tag)`,
  `DELETE FROM manifest WHERE id NOT IN (SELECT manifest_id FROM tag)`,
);

const nameOf = ({ repository }: Stage) => ({
  namespace: repository.namespaceName,
  repository: repository.name,
});

/** How often the gate was passed, by kind of call. */
function counting() {
  const calls: string[] = [];
  const gate: Gate = (call, run) => {
    calls.push(call.operation);
    return run();
  };
  return { calls, gate };
}

/** A pull of the past by another isolate, at the same time. */
const travel = (stage: Stage, gate: Gate) => {
  const traveller = openTestRegistry({ clock: stage.clock, gate });
  return pastOf(traveller, stage.repository)('v1', START_MS);
};

describe('a pull of what only ended tags hold', () => {
  it('I13: makes it available for 300 seconds, once', async ({ expect }) => {
    const stage = await openStage();
    const image = await aPastImage(stage);
    const nowMs = stage.clock.nowMs();
    const at = digestAt(stage, stage.repository);
    const byDigest = () =>
      stage.operations.resolveManifest(nameOf(stage), image.digest, { withBytes: false });
    expect((await byDigest())?.manifest).toBeNull();
    for (let count = 0; count < 3; count += 1) {
      expect(await at('v1', START_MS)).toBe(image.digest);
    }
    expect(await temporaryTags()).toMatchObject([
      {
        digest: image.digest,
        name: expect.stringMatching(/^\$temp-[0-9a-f-]{36}$/) as string,
        lifetime_start_ms: nowMs,
        lifetime_end_ms: nowMs + 300 * SECOND_MS,
        is_current: 1,
      },
    ]);
    expect((await byDigest())?.manifest?.info.digest).toBe(image.digest);
    stage.clock.advance(300 * SECOND_MS);
    expect((await byDigest())?.manifest).toBeNull();
    expect(await findViolations()).toEqual([]);
  });

  it('tells garbage collection when the temporary tag ends', async ({ expect }) => {
    const stage = await openStage();
    await aPastImage(stage);
    // As a run of it that found nothing to do would leave it.
    await execute('UPDATE repository_gc SET earliest_end_ms = NULL');
    await digestAt(stage, stage.repository)('v1', START_MS);
    const hints = await select('SELECT earliest_end_ms AS endMs FROM repository_gc');
    expect(hints).toEqual([{ endMs: stage.clock.nowMs() + 300 * SECOND_MS }]);
  });

  it('leaves each client half of that time at least', async ({ expect }) => {
    const stage = await openStage();
    await aPastImage(stage);
    const at = digestAt(stage, stage.repository);
    const madeAfter = async (ms: number) => {
      stage.clock.advance(ms);
      await at('v1', START_MS);
      return (await temporaryTags()).length;
    };
    expect(await madeAfter(0)).toBe(1);
    expect(await madeAfter(150 * SECOND_MS - 1)).toBe(1);
    expect(await madeAfter(1)).toBe(2);
    expect(await madeAfter(150 * SECOND_MS - 1)).toBe(2);
  });

  it('costs two round trips, and the next one a single one', async ({ expect }) => {
    const stage = await openStage();
    await aPastImage(stage);
    const costs = [];
    for (let count = 0; count < 2; count += 1) {
      const { calls, gate } = counting();
      expect((await travel(stage, gate))?.found).not.toBeNull();
      costs.push(calls);
    }
    expect(costs).toEqual([['all', 'batch'], ['all']]);
  });

  it('makes the children of an index available with it', async ({ expect }) => {
    const stage = await openStage();
    const child = await stage.image();
    await stage.push('child', child);
    const index = await anIndex([child]);
    await stage.push('v1', index);
    stage.clock.advance(HOUR_MS);
    await stage.registry.deleteTag(stage.repository, 'child');
    await stage.registry.deleteTag(stage.repository, 'v1');
    const pull = async () =>
      (await stage.operations.resolveManifest(nameOf(stage), child.digest, { withBytes: true }))
        ?.manifest?.bytes;
    expect(await pull()).toBeUndefined();
    expect(await digestAt(stage, stage.repository)('v1', START_MS)).toBe(index.digest);
    expect(await pull()).toEqual(child.bytes);
    expect((await temporaryTags()).map(({ digest }) => digest)).toEqual([index.digest]);
    // The child was tagged once itself; now the index holds it.
    expect(await digestAt(stage, stage.repository)('child', START_MS)).toBe(child.digest);
    expect(await temporaryTags()).toHaveLength(1);
  });

  it('writes nothing where another tag holds it, or the moment has nothing', async ({ expect }) => {
    const stage = await openStage();
    const image = await aPastImage(stage);
    const past = pastOf(stage, stage.repository);
    expect((await past('v1', START_MS + 2 * HOUR_MS))?.found).toBeNull();
    expect((await past('v2', START_MS))?.found).toBeNull();
    await stage.push('other', image);
    stage.clock.advance(SECOND_MS);
    expect((await past('v1', START_MS))?.found?.tag.name).toBe('v1');
    await stage.push('v1.at.20261101Z', image);
    expect((await past('v1', START_MS, 'v1.at.20261101Z'))?.found?.isPast).toBe(false);
    expect(await temporaryTags()).toEqual([]);
  });

  it('keeps what a tag holds that ends before the client is done', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image({ labels: { 'quay.expires-after': '5m' } });
    await stage.push('v1', image);
    const at = digestAt(stage, stage.repository);
    stage.clock.advance(149 * SECOND_MS);
    expect(await at('v1', START_MS)).toBe(image.digest);
    expect(await temporaryTags()).toEqual([]);
    stage.clock.advance(SECOND_MS);
    expect(await at('v1', START_MS)).toBe(image.digest);
    expect(await temporaryTags()).toMatchObject([
      { lifetime_end_ms: START_MS + (150 + 300) * SECOND_MS },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('finds nothing once it was collected', async ({ expect }) => {
    const stage = await openStage();
    await aPastImage(stage);
    await collect((_call, run) => run());
    expect((await pastOf(stage, stage.repository)('v1', START_MS))?.found).toBeNull();
    expect(await temporaryTags()).toEqual([]);
  });
});

describe('a pull of the past at the same time as', () => {
  it('its collection finds it and keeps it, or does not find it', async ({ expect }) => {
    const stage = await openStage();
    const found: boolean[] = [];
    await interleaveAll(async () => {
      await stage.clear();
      const image = await aPastImage(stage);
      return {
        racers: [(gate) => travel(stage, gate), collect],
        check: async ([pulled], schedule) => {
          const isFound = valueOf(pulled)?.found !== null;
          found.push(isFound);
          const byDigest = { withBytes: true };
          const kept = await stage.operations.resolveManifest(
            nameOf(stage),
            image.digest,
            byDigest,
          );
          expect(kept?.manifest !== null, schedule).toBe(isFound);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(new Set(found)).toEqual(new Set([true, false]));
    expect(found).toHaveLength(3);
  });

  it('its permanent deletion leaves no temporary tag that it did not answer', async ({
    expect,
  }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      await aPastImage(stage);
      return {
        racers: [
          (gate) => travel(stage, gate),
          change(`UPDATE tag SET lifetime_end_ms = 0 WHERE hidden = 0`),
        ],
        check: async ([pulled], schedule) => {
          const isFound = valueOf(pulled)?.found !== null;
          expect((await temporaryTags()).length, schedule).toBe(isFound ? 1 : 0);
        },
      };
    });
  });

  it('the deletion of its repository finds nothing after that', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      await aPastImage(stage);
      return {
        racers: [(gate) => travel(stage, gate), change('UPDATE repository SET state = 3')],
        check: async ([pulled], schedule) => {
          const isFound = valueOf(pulled) !== null;
          expect((await temporaryTags()).length, schedule).toBe(isFound ? 1 : 0);
        },
      };
    });
  });

  it('another one makes one temporary tag', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await aPastImage(stage);
      return {
        racers: [(gate) => travel(stage, gate), (gate) => travel(stage, gate)],
        check: async (outcomes, schedule) => {
          const digests = outcomes.map((pulled) => valueOf(pulled)?.found?.tag.manifestDigest);
          expect(digests, schedule).toEqual([image.digest, image.digest]);
          expect(await temporaryTags(), schedule).toHaveLength(1);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});

describe('a pull of the past whose answers are lost', () => {
  it('is sent again, and makes one temporary tag', async ({ expect }) => {
    const stage = await openStage();
    for (const fates of allFates(2)) {
      await stage.clear();
      const image = await aPastImage(stage);
      // The read comes first; D1 sends that again by itself.
      const pulled = await travel(stage, losing(['answered', ...fates]).gate);
      expect([fates, pulled?.found?.tag.manifestDigest]).toEqual([fates, image.digest]);
      expect(await temporaryTags()).toHaveLength(1);
    }
    expect(await findViolations()).toEqual([]);
  });
});

/** A traveller near a replica that knows the stage as it is now. */
async function aReader(stage: Stage) {
  const replica = await openLaggingReplica();
  const reader = openTestRegistry({
    clock: stage.clock,
    bindings: replica.bindings,
    readConsistency: 'replica',
  });
  return { replica, past: pastOf(reader, stage.repository) };
}

describe('a replica that lags', () => {
  it('does not hide the past of what was pushed since', async ({ expect }) => {
    const stage = await openStage();
    const { replica, past } = await aReader(stage);
    const image = await stage.image();
    await stage.push('v1', image);
    stage.clock.advance(HOUR_MS);
    expect((await past('v1', START_MS))?.found?.manifest.bytes).toEqual(image.bytes);
    expect(replica.reads()).toBe(1);
  });

  it('does not bring back what was collected since', async ({ expect }) => {
    const stage = await openStage();
    await aPastImage(stage);
    const { past } = await aReader(stage);
    await collect((_call, run) => run());
    expect((await past('v1', START_MS))?.found).toBeNull();
    expect(await temporaryTags()).toEqual([]);
  });

  it('that has not seen a move is put right where the answer must be kept', async ({ expect }) => {
    const stage = await openStage();
    const old = await stage.image({ labels: { 'quay.expires-after': '1h' } });
    await stage.push('v1', old);
    stage.clock.advance(HOUR_MS - SECOND_MS);
    const { past } = await aReader(stage);
    const next = await stage.image();
    await stage.push('v1', next);
    const atMs = stage.clock.nowMs();
    expect((await past('v1', atMs))?.found?.tag.manifestDigest).toBe(next.digest);
    expect(await temporaryTags()).toEqual([]);
  });

  it('that knows nothing of a temporary tag makes no second one', async ({ expect }) => {
    const stage = await openStage();
    const image = await aPastImage(stage);
    const { past } = await aReader(stage);
    for (let count = 0; count < 2; count += 1) {
      expect((await past('v1', START_MS))?.found?.tag.manifestDigest).toBe(image.digest);
    }
    expect(await temporaryTags()).toHaveLength(1);
  });
});
