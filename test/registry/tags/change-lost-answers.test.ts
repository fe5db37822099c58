import { describe, it } from 'vitest';

import { DAY_MS, HOUR_MS, START_MS } from '../../support/clock.ts';
import type { Gate } from '../../support/gate.ts';
import { findViolations } from '../../support/invariants.ts';
import { allFates, endingOf, FATES_OF_READ_AND_WRITE, losing } from '../../support/lost-answers.ts';
import { openStage } from '../../support/stage.ts';

const ATTEMPTS = 3;
const END_MS = START_MS + DAY_MS;

/** The gate at which the answer to a call is lost, after something else happened. */
const losingCall = (number: number, meanwhile: () => Promise<unknown>): Gate => {
  let calls = 0;
  return async (_call, run) => {
    calls += 1;
    if (calls === number) {
      await meanwhile();
      throw new Error('D1_ERROR: Network connection lost.');
    }
    return run();
  };
};

describe('a change of a tag whose answers are lost', () => {
  it('sets the end once, and says what it was, whichever they are', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image();
    for (const [number, fates] of FATES_OF_READ_AND_WRITE.entries()) {
      const name = `v${number}`;
      const { tag } = await stage.push(name, image);
      const before = await stage.generation();
      const { gate, losses } = losing(fates);
      const ending = await endingOf(
        stage.behind(gate).changeRepositoryTagExpiration(tag, new Date(END_MS)),
        losses,
      );
      const story = fates.join(', ');
      const [row] = await stage.generations(name);
      if ('given' in ending) {
        expect(ending.given, story).toEqual({
          ok: true,
          changed: true,
          endMs: END_MS,
          previousEndMs: null,
        });
        expect(row?.['lifetime_end_ms']).toBe(END_MS);
      } else {
        expect(ending.losses, story).toBe(ATTEMPTS);
      }
      const isChanged = row?.['lifetime_end_ms'] === END_MS;
      expect(await stage.generation(), story).toBe(before + (isChanged ? 1 : 0));
    }
    expect(await findViolations()).toEqual([]);
  });

  it('locks it, and says what it was, whichever they are', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image();
    for (const [number, fates] of FATES_OF_READ_AND_WRITE.entries()) {
      const { tag } = await stage.push(`v${number}`, image);
      const { gate, losses } = losing(fates);
      const ending = await endingOf(stage.behind(gate).changeTagImmutability(tag, true), losses);
      const story = fates.join(', ');
      if ('given' in ending) {
        expect(ending.given, story).toEqual({ ok: true, previous: false });
        expect((await stage.generations(`v${number}`))[0]?.['immutable']).toBe(1);
      } else {
        expect(ending.losses, story).toBe(ATTEMPTS);
      }
    }
  });

  it('does not undo what somebody else did before it begins again', async ({ expect }) => {
    const stage = await openStage();
    const { registry } = stage;
    const { tag } = await stage.push('v1', await stage.image());
    const setEnd = (endMs: number | null, gate?: Gate) =>
      (gate === undefined ? registry : stage.behind(gate)).changeRepositoryTagExpiration(
        tag,
        endMs === null ? null : new Date(endMs),
      );
    const late = await setEnd(
      END_MS,
      losingCall(2, () => setEnd(END_MS + HOUR_MS)),
    );
    expect(late).toEqual({ ok: false, changed: false, endMs: null, previousEndMs: null });
    expect(await stage.generations('v1')).toMatchObject([{ lifetime_end_ms: END_MS + HOUR_MS }]);
    await setEnd(null);
    const refused = setEnd(
      END_MS,
      losingCall(2, () => registry.changeTagImmutability(tag, true)),
    );
    await expect(refused).rejects.toMatchObject({ code: 'TagImmutable' });
    expect(await findViolations()).toEqual([]);
  });
});

describe('a change of all tags of a manifest whose answers are lost', () => {
  it.for([
    ['that live on', 2 * 3600],
    ['that it ends at once', 60],
  ] as const)('gives the number of tags %s, whichever they are', async ([, sec], { expect }) => {
    const stage = await openStage();
    for (const fates of allFates(3)) {
      stage.clock.set(START_MS);
      await stage.clear();
      const image = await stage.image();
      const { manifest } = await stage.push('v1', image);
      await stage.push('v2', image);
      stage.clock.advance(HOUR_MS);
      const { gate, losses } = losing(fates);
      const ending = await endingOf(
        stage.behind(gate).setTagsExpirationForManifest(manifest, sec),
        losses,
      );
      const story = fates.join(', ');
      if ('given' in ending) {
        expect(ending.given, story).toBe(2);
        for (const name of ['v1', 'v2']) {
          expect(await stage.generations(name)).toMatchObject([
            { lifetime_end_ms: START_MS + sec * 1000 },
          ]);
        }
      } else {
        expect(ending.losses, story).toBe(ATTEMPTS);
      }
    }
    expect(await findViolations()).toEqual([]);
  });

  it('gives the number of tags that it locks, whichever they are', async ({ expect }) => {
    const stage = await openStage();
    const image = await stage.image();
    const { manifest } = await stage.push('v1', image);
    await stage.push('v2', image);
    for (const fates of allFates(3)) {
      await stage.operations.setTagsImmutabilityForManifest(manifest, false);
      const { gate, losses } = losing(fates);
      const ending = await endingOf(
        stage.operationsBehind(gate).setTagsImmutabilityForManifest(manifest, true),
        losses,
      );
      const story = fates.join(', ');
      if ('given' in ending) {
        expect(ending.given, story).toBe(2);
        expect(await stage.generations('v1')).toMatchObject([{ immutable: 1 }]);
      } else {
        expect(ending.losses, story).toBe(ATTEMPTS);
      }
    }
  });
});
