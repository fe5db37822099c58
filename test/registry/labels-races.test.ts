import { describe, it } from 'vitest';

import { DAY_MS, HOUR_MS, START_MS } from '../support/clock.ts';
import type { Gate } from '../support/gate.ts';
import { interleaveAll } from '../support/interleave.ts';
import { findViolations } from '../support/invariants.ts';
import { change, codeOf, valueOf } from '../support/stage.ts';
import { openOneTag } from './tags/one-tag.ts';

const END_MS = START_MS + 2 * HOUR_MS;

/** The two labels that act, and what a tag of their manifest is afterwards. */
const ACTING = [
  ['quay.expires-after', '2h', { immutable: 0, endMs: END_MS }],
  ['quay.immutable', 'true', { immutable: 1, endMs: null }],
] as const;

/** A stage for races of a label with something else. */
async function openLabelRaces() {
  const stage = await openOneTag();
  type Arranged = Awaited<ReturnType<typeof stage.arrange>>;
  return {
    ...stage,
    label:
      ({ manifest }: Pick<Arranged, 'manifest'>, key: string, value: string) =>
      (gate: Gate) =>
        stage.behind(gate).createManifestLabel(manifest, key, value, 'internal'),
    /** The row that a name has. */
    async traits(name: string) {
      const row = (await stage.generations(name)).find(({ is_current }) => is_current === 1);
      return row && { immutable: row['immutable'], endMs: row['lifetime_end_ms'] };
    },
  };
}

describe('a label that acts', () => {
  it.for(ACTING)(
    '%s while its manifest is pushed under another name acts on both tags, whoever is first',
    async ([key, value, traits], { expect }) => {
      const stage = await openLabelRaces();
      const schedules = await interleaveAll(async () => {
        const arranged = await stage.arrange();
        return {
          racers: [
            (gate) => stage.push('other', arranged.image, gate),
            stage.label(arranged, key, value),
          ],
          check: async ([pushed, labelled], schedule) => {
            valueOf(pushed);
            expect(valueOf(labelled), schedule).toMatchObject({ key, value });
            expect(await stage.traits('other'), schedule).toEqual(traits);
            expect(await stage.traits('v1'), schedule).toEqual(traits);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
      expect(schedules).toBeGreaterThan(2);
    },
  );

  it.for(ACTING)(
    '%s while a tag is moved to its manifest acts on that too, whoever is first',
    async ([key, value, traits], { expect }) => {
      const stage = await openLabelRaces();
      await interleaveAll(async () => {
        const arranged = await stage.arrange();
        await stage.push('other', await stage.image());
        return {
          racers: [
            (gate) => stage.behind(gate).retargetTag(stage.repository, 'other', arranged.manifest),
            stage.label(arranged, key, value),
          ],
          check: async ([moved, labelled], schedule) => {
            valueOf(moved);
            valueOf(labelled);
            expect(await stage.traits('other'), schedule).toEqual(traits);
            expect(await stage.traits('v1'), schedule).toEqual(traits);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );

  it.for(ACTING)(
    '%s while its tag is moved away acts on what it left or not, never on what it went to',
    async ([key, value], { expect }) => {
      const stage = await openLabelRaces();
      await interleaveAll(async () => {
        const arranged = await stage.arrange();
        const { manifest: target } = await stage.push('other', await stage.image());
        return {
          racers: [
            (gate) => stage.behind(gate).retargetTag(stage.repository, 'v1', target),
            stage.label(arranged, key, value),
          ],
          check: async ([moved, labelled], schedule) => {
            valueOf(labelled);
            // A lock that comes first keeps the tag where it is.
            const code = codeOf(moved);
            expect([null, 'TagImmutable'], schedule).toContain(code);
            expect(await stage.traits('v1'), schedule).toEqual(
              code === null ? { immutable: 0, endMs: null } : { immutable: 1, endMs: null },
            );
            expect(await stage.traits('other')).toEqual({ immutable: 0, endMs: null });
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );

  it.for(ACTING)('%s while its tag is locked: never both', async ([key, value], { expect }) => {
    const stage = await openLabelRaces();
    await interleaveAll(async () => {
      const arranged = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).changeTagImmutability(arranged.tag, true),
          stage.label(arranged, key, value),
        ],
        check: async ([locked, labelled], schedule) => {
          valueOf(labelled);
          const code = codeOf(locked);
          expect([null, 'TagHasExpiration'], schedule).toContain(code);
          const isLocked =
            locked.status === 'fulfilled' && (locked.value.ok || key !== ACTING[0][0]);
          expect(await stage.traits('v1'), schedule).toEqual(
            isLocked ? { immutable: 1, endMs: null } : { immutable: 0, endMs: END_MS },
          );
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it.for(ACTING)(
    '%s while its tag is unlocked or given an end leaves what the later of the two says',
    async ([key, value, traits], { expect }) => {
      const stage = await openLabelRaces();
      await interleaveAll(async () => {
        const arranged = await stage.arrange();
        const chosen = new Date(START_MS + DAY_MS);
        return {
          racers: [
            (gate) => stage.behind(gate).changeRepositoryTagExpiration(arranged.tag, chosen),
            stage.label(arranged, key, value),
          ],
          check: async ([ended, labelled], schedule) => {
            valueOf(labelled);
            expect([null, 'TagImmutable'], schedule).toContain(codeOf(ended));
            const { endMs, immutable } = (await stage.traits('v1')) ?? {};
            expect([traits.endMs, chosen.getTime()], schedule).toContain(endMs);
            expect(immutable, schedule).toBe(traits.immutable);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );

  it.for(ACTING)(
    'I5: %s while its tag is deleted does not revive it',
    async ([key, value], { expect }) => {
      const stage = await openLabelRaces();
      await interleaveAll(async () => {
        const arranged = await stage.arrange();
        return {
          racers: [
            (gate) => stage.behind(gate).deleteTag(stage.repository, 'v1'),
            stage.label(arranged, key, value),
          ],
          check: async ([deleted, labelled], schedule) => {
            expect(valueOf(labelled), schedule).toMatchObject({ key });
            const code = codeOf(deleted);
            expect(key === 'quay.immutable' ? [null, 'TagImmutable'] : [null]).toContain(code);
            expect(await stage.generations('v1'), schedule).toMatchObject([
              code === null
                ? { is_current: 0, immutable: 0, lifetime_end_ms: START_MS }
                : { is_current: 1, immutable: 1, lifetime_end_ms: null },
            ]);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );

  it('I-FROZEN: comes before its repository is marked for deletion, or does nothing', async ({
    expect,
  }) => {
    const stage = await openLabelRaces();
    await interleaveAll(async () => {
      const arranged = await stage.arrange();
      return {
        racers: [
          change('UPDATE repository SET state = 3'),
          stage.label(arranged, 'quay.expires-after', '2h'),
        ],
        check: async ([marked, labelled], schedule) => {
          valueOf(marked);
          const isDone = valueOf(labelled) !== null;
          expect(isDone, schedule).toBe(schedule.startsWith('B'));
          expect(await stage.traits('v1')).toEqual({ immutable: 0, endMs: isDone ? END_MS : null });
          const labels = await stage.registry.listManifestLabels(arranged.manifest);
          expect(labels).toHaveLength(isDone ? 1 : 0);
        },
      };
    });
  });
});

describe('deleteManifestLabel', () => {
  it('twice at once gives the label to exactly one of the two', async ({ expect }) => {
    const stage = await openLabelRaces();
    await interleaveAll(async () => {
      const { manifest } = await stage.arrange();
      const label = await stage.registry.createManifestLabel(manifest, 'key', 'value', 'api');
      const remove = (gate: Gate) =>
        stage.behind(gate).deleteManifestLabel(manifest, label?.uuid ?? '');
      return {
        racers: [remove, remove],
        check: async (outcomes, schedule) => {
          const given = outcomes.map(valueOf).filter((removed) => removed !== null);
          expect(given, schedule).toEqual([label]);
          expect(await stage.registry.listManifestLabels(manifest)).toEqual([]);
        },
      };
    });
  });

  it('of an acting label while a tag is moved to its manifest: the tag is of before or after', async ({
    expect,
  }) => {
    const stage = await openLabelRaces();
    await interleaveAll(async () => {
      const { manifest } = await stage.arrange();
      await stage.push('other', await stage.image());
      const label = await stage.registry.createManifestLabel(
        manifest,
        'quay.expires-after',
        '2h',
        'api',
      );
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(stage.repository, 'other', manifest),
          (gate) => stage.behind(gate).deleteManifestLabel(manifest, label?.uuid ?? ''),
        ],
        check: async ([moved, removed], schedule) => {
          expect(valueOf(removed), schedule).toEqual(label);
          const hasEnd = schedule.lastIndexOf('A') < schedule.lastIndexOf('B');
          expect(valueOf(moved).lifetimeEndMs, schedule).toBe(hasEnd ? END_MS : null);
        },
      };
    });
  });
});
