import { describe, it } from 'vitest';

import { DAY_MS, HOUR_MS, START_MS } from '../../support/clock.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { valueOf } from '../../support/stage.ts';
import { openOneTag } from './one-tag.ts';

const END_MS = START_MS + DAY_MS;
const END = new Date(END_MS);
const OTHER_END = new Date(END_MS + DAY_MS);

describe('giving a tag an end', () => {
  it('twice at once gives it the one or the other, and says so', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag, before } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).changeRepositoryTagExpiration(tag, END),
          (gate) => stage.behind(gate).changeRepositoryTagExpiration(tag, OTHER_END),
        ],
        check: async (outcomes, schedule) => {
          const chosen = [END, OTHER_END].map((end) => end.getTime());
          const given = outcomes.map((outcome, at) => ({ ...valueOf(outcome), endMs: chosen[at] }));
          const done = given
            .filter(({ ok }) => ok)
            .toSorted((one, other) => (one.previousEndMs ?? 0) - (other.previousEndMs ?? 0));
          // Each says what it found: nothing, or what the other had set.
          expect(
            done.map(({ previousEndMs }) => previousEndMs),
            schedule,
          ).toEqual([null, done[0]?.endMs].slice(0, done.length));
          expect((await stage.current())[0]?.endMs).toBe(done.at(-1)?.endMs);
          expect(await stage.generation()).toBe(before + done.length);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I5: while it is deleted does not revive it', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).changeRepositoryTagExpiration(tag, END),
          (gate) => stage.behind(gate).deleteTag(stage.repository, 'v1'),
        ],
        check: async ([changed, deleted], schedule) => {
          expect(valueOf(deleted)?.lifetimeEndMs, schedule).toBe(START_MS);
          expect([true, false]).toContain(valueOf(changed).ok);
          expect(await stage.generations('v1')).toMatchObject([
            { id: tag.id, is_current: 0, lifetime_end_ms: START_MS },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it.for([['a move'], ['a push']] as const)(
    'I5: while %s takes its name leaves the generation that is over alone',
    async ([what], { expect }) => {
      const stage = await openOneTag();
      await interleaveAll(async () => {
        const { tag, manifest, image } = await stage.arrange();
        return {
          racers: [
            (gate) => stage.behind(gate).changeRepositoryTagExpiration(tag, END),
            (gate): Promise<unknown> =>
              what === 'a move'
                ? stage.behind(gate).retargetTag(stage.repository, 'v1', manifest)
                : stage.push('v1', image, gate),
          ],
          check: async ([changed, moved], schedule) => {
            valueOf(moved);
            valueOf(changed);
            const rows = await stage.generations('v1');
            expect(rows, schedule).toMatchObject([
              { id: tag.id, is_current: 0, lifetime_end_ms: START_MS },
              { is_current: 1, lifetime_end_ms: null },
            ]);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );
});

describe('giving all tags of a manifest an end', () => {
  it('while it is pushed under another name ends that too, or comes before it', async ({
    expect,
  }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { manifest, image } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.push('other', image, gate),
          (gate) => stage.behind(gate).setTagsExpirationForManifest(manifest, 86_400),
        ],
        check: async ([pushed, changed], schedule) => {
          valueOf(pushed);
          const count = valueOf(changed);
          const [other] = await stage.generations('other');
          expect(other?.['lifetime_end_ms'], schedule).toBe(count === 2 ? END_MS : null);
          expect(await stage.current()).toMatchObject([{ endMs: END_MS }]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I10: while one of them is locked leaves that, or comes before it', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest, image } = await stage.arrange();
      await stage.push('v2', image);
      return {
        racers: [
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
          (gate) => stage.behind(gate).setTagsExpirationForManifest(manifest, 3600),
        ],
        check: async ([locked, changed], schedule) => {
          const isLocked = locked.status === 'fulfilled' && locked.value.ok;
          expect(valueOf(changed), schedule).toBe(isLocked ? 1 : 2);
          expect(await stage.current()).toEqual([
            {
              id: tag.id,
              immutable: isLocked ? 1 : 0,
              endMs: isLocked ? null : START_MS + HOUR_MS,
            },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('while all of them are locked: never both', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.operationsBehind(gate).setTagsImmutabilityForManifest(manifest, true),
          (gate) => stage.behind(gate).setTagsExpirationForManifest(manifest, 3600),
        ],
        check: async ([locked, changed], schedule) => {
          expect(valueOf(locked)).toBe(1);
          expect([0, 1]).toContain(valueOf(changed));
          expect(await stage.current()).toEqual([{ id: tag.id, immutable: 1, endMs: null }]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});
