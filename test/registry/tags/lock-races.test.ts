import { describe, it } from 'vitest';

import { DAY_MS, START_MS } from '../../support/clock.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { codeOf, valueOf } from '../../support/stage.ts';
import { openOneTag } from './one-tag.ts';

const END_MS = START_MS + DAY_MS;
const END = new Date(END_MS);

describe('locking a tag', () => {
  it('I9: while it is pushed locks it before, and the push is refused, or comes too late', async ({
    expect,
  }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag } = await stage.arrange();
      const next = await stage.image();
      return {
        racers: [
          (gate) => stage.push('v1', next, gate),
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
        ],
        check: async ([pushed, locked], schedule) => {
          const { ok, previous } = valueOf(locked);
          expect(previous, schedule).toBe(ok ? false : null);
          expect(codeOf(pushed), schedule).toBe(ok ? 'TagImmutable' : null);
          const id = ok ? tag.id : valueOf(pushed).tag.id;
          expect(await stage.current()).toEqual([{ id, immutable: ok ? 1 : 0, endMs: null }]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I10: while it is given an end: never both', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag, before } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).changeRepositoryTagExpiration(tag, END),
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
        ],
        check: async ([ended, locked], schedule) => {
          const current = await stage.current();
          const isLocked = locked.status === 'fulfilled' && locked.value.ok;
          const hasEnd = ended.status === 'fulfilled' && ended.value.ok;
          expect(current, schedule).toEqual([
            { id: tag.id, immutable: isLocked ? 1 : 0, endMs: isLocked ? null : END_MS },
          ]);
          expect([isLocked, hasEnd], schedule).toContain(true);
          expect(hasEnd, schedule).toBe(!isLocked);
          expect([null, 'TagImmutable']).toContain(codeOf(ended));
          expect([null, 'TagHasExpiration']).toContain(codeOf(locked));
          expect(await stage.generation()).toBe(before + (hasEnd ? 1 : 0));
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('while it loses its end locks it after that, or is refused', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag } = await stage.arrange({ 'quay.expires-after': '1d' });
      return {
        racers: [
          (gate) => stage.behind(gate).changeRepositoryTagExpiration(tag, null),
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
        ],
        check: async ([cleared, locked], schedule) => {
          expect(valueOf(cleared)).toMatchObject({ ok: true, previousEndMs: END_MS });
          const code = codeOf(locked);
          expect([null, 'TagHasExpiration'], schedule).toContain(code);
          expect(await stage.current()).toEqual([
            { id: tag.id, immutable: code === null ? 1 : 0, endMs: null },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('twice at once does it once, whoever was first', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
        ],
        check: async (outcomes, schedule) => {
          const changed = outcomes.map(valueOf).filter(({ previous }) => previous === false);
          expect(changed, schedule).toEqual([{ ok: true, previous: false }]);
          expect(await stage.current()).toEqual([{ id: tag.id, immutable: 1, endMs: null }]);
        },
      };
    });
  });

  it('I10: by its manifest while the tag is given an end: never both', async ({ expect }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).changeRepositoryTagExpiration(tag, END),
          (gate) => stage.operationsBehind(gate).setTagsImmutabilityForManifest(manifest, true),
        ],
        check: async ([ended, locked], schedule) => {
          expect(valueOf(locked), schedule).toBe(1);
          expect([null, 'TagImmutable'], schedule).toContain(codeOf(ended));
          expect(await stage.current()).toEqual([{ id: tag.id, immutable: 1, endMs: null }]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('by its manifest while that is pushed under another name locks that too, or comes before it', async ({
    expect,
  }) => {
    const stage = await openOneTag();
    await interleaveAll(async () => {
      const { manifest, image } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.push('other', image, gate),
          (gate) => stage.operationsBehind(gate).setTagsImmutabilityForManifest(manifest, true),
        ],
        check: async ([pushed, locked], schedule) => {
          valueOf(pushed);
          const [other] = await stage.generations('other');
          expect(valueOf(locked), schedule).toBe(other?.['immutable'] === 1 ? 2 : 1);
          expect(await stage.current()).toMatchObject([{ immutable: 1 }]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});
