import { describe, it } from 'vitest';

import { anIndex } from '../../support/content.ts';
import type { Gate } from '../../support/gate.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { openStage, select, valueOf } from '../../support/stage.ts';

/** Of two operations that are alike, one begins: half of the schedules mirror the other half. */
function started(gate: Gate): Gate {
  let calls = 0;
  return (call, run) => {
    calls += 1;
    return calls === 1 ? run() : gate(call, run);
  };
}

describe('two pushes at once', () => {
  it('to one tag both succeed, one after the other (I1, I2, I3, I14)', async ({ expect }) => {
    const stage = await openStage();
    const count = await interleaveAll(async () => {
      await stage.clear();
      const [one, other] = [await stage.image(), await stage.image()];
      const before = await stage.generation();
      return {
        racers: [
          (gate) => stage.push('latest', one, gate),
          (gate) => stage.push('latest', other, gate),
        ],
        check: async (outcomes, schedule) => {
          const tags = outcomes.map((outcome) => valueOf(outcome).tag.id);
          const rows = await stage.generations('latest');
          expect(rows.map(({ id }) => id)).toEqual(tags.toSorted((a, b) => a - b));
          expect(rows.map((row) => row['is_current'])).toEqual([0, 1]);
          expect(rows[0]?.['lifetime_end_ms']).toBe(rows[1]?.['lifetime_start_ms']);
          expect(rows[1]?.['lifetime_end_ms']).toBeNull();
          expect(await stage.generation()).toBe(before + 2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(count).toBeGreaterThan(10);
  });

  it.for([
    // Without a config to be read there are fewer calls, and so far fewer orders of them.
    ['that its row holds', 0],
    ['that R2 holds', 1_000_001],
  ] as const)(
    'I19: of one manifest %s store it once, and one of them says so',
    async ([, padding], { expect }) => {
      const stage = await openStage();
      await interleaveAll(async () => {
        await stage.clear();
        const manifest = await anIndex([], {
          unique: crypto.randomUUID(),
          padding: ' '.repeat(padding),
        });
        return {
          racers: [
            (gate) => stage.push('one', manifest, started(gate)),
            (gate) => stage.push('other', manifest, gate),
          ],
          check: async (outcomes, schedule) => {
            const pushed = outcomes.map(valueOf);
            expect(new Set(pushed.map(({ manifest: { id } }) => id)).size).toBe(1);
            expect(
              pushed.filter(({ created }) => created),
              schedule,
            ).toHaveLength(1);
            expect(await stage.names()).toEqual(['one', 'other']);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );

  it('I19: of one image copy its labels once', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image({ labels: { maintainer: 'acme' } });
      return {
        racers: [
          (gate) => stage.push('latest', image, gate),
          (gate) => stage.push('latest', image, gate),
        ],
        check: async (outcomes, schedule) => {
          const pushed = outcomes.map(valueOf);
          expect(
            pushed.filter(({ created }) => created),
            schedule,
          ).toHaveLength(1);
          expect(await stage.generations('latest')).toHaveLength(2);
          expect(await select('SELECT key, value FROM manifest_label')).toEqual([
            { key: 'maintainer', value: 'acme' },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I19: by tag and by digest store one manifest, which the tag shows', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image();
      return {
        racers: [
          (gate) => stage.push('latest', image, gate),
          (gate) => stage.behind(gate).createManifestWithTempTag(stage.repository, image, 3600),
        ],
        check: async ([tagged, kept], schedule) => {
          expect(valueOf(kept)?.id).toBe(valueOf(tagged).manifest.id);
          expect(await stage.names()).toEqual(['latest']);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('of an image whose labels lock its tag: the second is refused (I9)', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const locking = await stage.image({ labels: { 'quay.immutable': 'true' } });
      const plain = await stage.image();
      return {
        racers: [
          (gate) => stage.push('latest', locking, gate),
          (gate) =>
            stage.behind(gate).createManifestAndRetargetTag(stage.repository, plain, 'latest'),
        ],
        check: async ([first, second], schedule) => {
          const rows = await stage.generations('latest');
          const lockedId = valueOf(first).tag.id;
          expect(rows.at(-1), schedule).toMatchObject({
            id: lockedId,
            immutable: 1,
            is_current: 1,
          });
          const late = valueOf(second);
          expect(rows).toHaveLength(late === null ? 1 : 2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('of an index and of the child that it lists: they are linked in the end', async ({
    expect,
  }) => {
    const stage = await openStage({ settings: { sparseIndex: true } });
    await interleaveAll(async () => {
      await stage.clear();
      const child = await stage.image();
      const index = await anIndex([child]);
      return {
        racers: [
          (gate) => stage.push('index', index, gate),
          (gate) => stage.behind(gate).createManifestWithTempTag(stage.repository, child, 60),
        ],
        check: async ([pushed, kept], schedule) => {
          expect(await select('SELECT * FROM manifest_child'), schedule).toEqual([
            {
              manifest_id: valueOf(pushed).manifest.id,
              child_digest: child.digest,
              child_manifest_id: valueOf(kept)?.id,
              repository_id: stage.repository.id,
            },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('of an index and of the child that it lists, which must be there first (I7, I8)', async ({
    expect,
  }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const child = await stage.image();
      const index = await anIndex([child]);
      return {
        racers: [
          (gate) =>
            stage.behind(gate).createManifestAndRetargetTag(stage.repository, index, 'index'),
          (gate) => stage.push('child', child, gate),
        ],
        check: async ([pushed, other], schedule) => {
          valueOf(other);
          const stored = valueOf(pushed) === null ? 0 : 1;
          expect(await select('SELECT * FROM manifest_child'), schedule).toHaveLength(stored);
          expect(await stage.names()).toEqual(stored === 1 ? ['child', 'index'] : ['child']);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});
