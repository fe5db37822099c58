import { describe, it } from 'vitest';

import type { Label } from '../../src/model/datatypes.ts';
import type { ManifestInfo } from '../../src/model/references.ts';
import { HOUR_MS, START_MS } from '../support/clock.ts';
import type { Gate } from '../support/gate.ts';
import { crashEverywhere } from '../support/interleave.ts';
import { findViolations } from '../support/invariants.ts';
import { allFates, endingOf, FATES_OF_READ_AND_WRITE, losing } from '../support/lost-answers.ts';
import { codeOf, openStage } from '../support/stage.ts';

const ATTEMPTS = 3;
const END_MS = START_MS + 2 * HOUR_MS;

/** A stage on which a manifest can be given two labels, one of which acts on its tags. */
async function openLabelStage() {
  const stage = await openStage();
  return {
    ...stage,
    async arrange(name = 'v1') {
      const { manifest, tag } = await stage.push(name, await stage.image());
      return { manifest, tag, before: await stage.generation() };
    },
    label: (manifest: ManifestInfo, gate?: Gate) =>
      (gate === undefined ? stage.registry : stage.behind(gate)).batchCreateManifestLabels(
        manifest,
        (add) => {
          add('quay.expires-after', '2h', 'internal');
          add('key', 'value', 'api');
        },
      ),
    endOf: async (name = 'v1') => (await stage.generations(name))[0]?.['lifetime_end_ms'],
  };
}

describe('labels whose answers are lost', () => {
  it('are made once, with what they do, whichever they are', async ({ expect }) => {
    const stage = await openLabelStage();
    for (const [number, fates] of allFates(4).entries()) {
      const name = `v${number}`;
      const { manifest, before } = await stage.arrange(name);
      const { gate, losses } = losing(fates);
      const ending = await endingOf(stage.label(manifest, gate), losses);
      const story = fates.join(', ');
      const there = await stage.registry.listManifestLabels(manifest);
      if ('given' in ending) {
        expect(ending.given, story).toEqual(there);
        expect(there).toHaveLength(2);
      } else {
        // The refusal of what is there already arrives, though the gate meant to lose it.
        expect(ending.losses, story).toBeGreaterThanOrEqual(ATTEMPTS);
      }
      expect([0, 2], story).toContain(there.length);
      const isDone = there.length === 2;
      expect(await stage.endOf(name), story).toBe(isDone ? END_MS : null);
      expect(await stage.generation(), story).toBe(before + (isDone ? 1 : 0));
    }
    expect(await findViolations()).toEqual([]);
  });

  it('do not act again on what somebody else changed meanwhile', async ({ expect }) => {
    const stage = await openLabelStage();
    const { manifest, tag } = await stage.arrange();
    let calls = 0;
    const gate: Gate = async (_call, run) => {
      calls += 1;
      const result = await run();
      if (calls === 1) {
        await stage.registry.changeRepositoryTagExpiration(tag, null);
        throw new Error('D1_ERROR: Network connection lost.');
      }
      return result;
    };
    expect(await stage.label(manifest, gate)).toHaveLength(2);
    expect(await stage.endOf()).toBeNull();
    expect(await stage.registry.listManifestLabels(manifest)).toHaveLength(2);
  });

  it('are told from those of an image that were there before', async ({ expect }) => {
    const stage = await openLabelStage();
    const labels = { key: 'of the image' };
    const { manifest } = await stage.push('v1', await stage.image({ labels }));
    const own = await stage.registry.listManifestLabels(manifest);
    for (const fates of allFates(4)) {
      const { gate, losses } = losing(fates);
      const [outcome] = await Promise.allSettled([
        stage.behind(gate).createManifestLabel(manifest, 'key', 'another', 'manifest'),
      ]);
      const story = fates.join(', ');
      if (losses() < ATTEMPTS) {
        expect(codeOf(outcome), story).toBe('ImmutableLabel');
      } else {
        expect(codeOf(outcome), story).toMatch(/^ImmutableLabel$|AnswerLost/);
      }
      expect(await stage.registry.listManifestLabels(manifest)).toEqual(own);
    }
  });
});

describe('a deletion of a label whose answers are lost', () => {
  it('gives the label, whichever they are', async ({ expect }) => {
    const stage = await openLabelStage();
    const { manifest } = await stage.arrange();
    for (const fates of FATES_OF_READ_AND_WRITE) {
      const label = await stage.registry.createManifestLabel(manifest, 'key', 'value', 'api');
      const uuid = label?.uuid ?? '';
      const { gate, losses } = losing(fates);
      const ending = await endingOf(stage.behind(gate).deleteManifestLabel(manifest, uuid), losses);
      const story = fates.join(', ');
      if ('given' in ending) {
        expect(ending.given, story).toEqual(label);
        expect(await stage.registry.getManifestLabel(manifest, uuid)).toBeNull();
      } else {
        expect(ending.losses, story).toBe(ATTEMPTS);
      }
    }
  });

  it('gives null where there was none, and refuses what it may not', async ({ expect }) => {
    const stage = await openLabelStage();
    const { manifest } = await stage.arrange();
    const label = await stage.registry.createManifestLabel(manifest, 'key', 'value', 'internal');
    const fates = ['committed, then lost', 'lost before'] as const;
    const remove = (uuid: string) =>
      stage.behind(losing(fates).gate).deleteManifestLabel(manifest, uuid);
    expect(await remove(crypto.randomUUID())).toBeNull();
    await expect(remove(label?.uuid ?? '')).rejects.toMatchObject({ code: 'ImmutableLabel' });
  });
});

describe('labels whose maker dies anywhere', () => {
  it('are there together with what they do, or not at all', async ({ expect }) => {
    const stage = await openLabelStage();
    const points = await crashEverywhere(async () => {
      await stage.clear();
      const { manifest, before } = await stage.arrange();
      return {
        operation: (gate) => stage.label(manifest, gate),
        check: async ({ when }) => {
          const isDone = when === 'after';
          const there: readonly Label[] = await stage.registry.listManifestLabels(manifest);
          expect(there).toHaveLength(isDone ? 2 : 0);
          expect(await stage.endOf()).toBe(isDone ? END_MS : null);
          expect(await stage.generation()).toBe(before + (isDone ? 1 : 0));
          expect(await findViolations()).toEqual([]);
        },
      };
    });
    expect(points).toHaveLength(2);
  });
});
