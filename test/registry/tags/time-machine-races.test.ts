import { describe, it } from 'vitest';

import { DAY_MS, START_MS } from '../../support/clock.ts';
import { anIndex } from '../../support/content.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { change, select, valueOf } from '../../support/stage.ts';
import { openOneTag } from './one-tag.ts';

const HORIZON_MS = START_MS - 14 * DAY_MS;
const ALIVE = { isAlive: true };

describe('taking an alive tag out of the time machine', () => {
  it('while it moves away takes the old generation, or finds that it is not there', async ({
    expect,
  }) => {
    const { repository, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest, before } = await stage.arrange();
      const { manifest: target } = await stage.push('target', await stage.image());
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
          (gate) => stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest, ALIVE),
        ],
        check: async ([moved, removed], schedule) => {
          const isRemoved = valueOf(removed);
          expect(await stage.generations('v1'), schedule).toMatchObject([
            { id: tag.id, is_current: 0, lifetime_end_ms: isRemoved ? HORIZON_MS : START_MS },
            { id: valueOf(moved).id, is_current: 1, lifetime_end_ms: null },
          ]);
          // Once for the target's push, once for the move.
          expect(await stage.generation()).toBe(before + 2 + (isRemoved ? 1 : 0));
          expect(await findViolations({ removed: [tag.id] }), schedule).toEqual([]);
        },
      };
    });
  });

  it('while a move repeats it takes the old generation or the new one', async ({ expect }) => {
    const { repository, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', manifest),
          (gate) => stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest, ALIVE),
        ],
        check: async ([moved, removed], schedule) => {
          const { id } = valueOf(moved);
          expect(valueOf(removed)).toBe(true);
          const rows = await stage.generations('v1');
          const wasFirst = rows[0]?.['lifetime_end_ms'] === HORIZON_MS;
          expect(rows, schedule).toMatchObject([
            { id: tag.id, is_current: 0, lifetime_end_ms: wasFirst ? HORIZON_MS : START_MS },
            { id, is_current: wasFirst ? 1 : 0, lifetime_end_ms: wasFirst ? null : HORIZON_MS },
          ]);
          expect(await findViolations({ removed: [tag.id, id] }), schedule).toEqual([]);
        },
      };
    });
  });

  it('while it is deleted ends it once, the one way or the other', async ({ expect }) => {
    const { repository, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest, before } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).deleteTag(repository, 'v1'),
          (gate) => stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest, ALIVE),
        ],
        check: async ([deleted, removed], schedule) => {
          const isRemoved = valueOf(removed);
          expect(valueOf(deleted)?.id ?? null, schedule).toBe(isRemoved ? null : tag.id);
          expect(await stage.generations('v1')).toMatchObject([
            { is_current: 0, lifetime_end_ms: isRemoved ? HORIZON_MS : START_MS },
          ]);
          expect(await stage.generation()).toBe(before + 1);
          expect(await findViolations({ removed: [tag.id] }), schedule).toEqual([]);
        },
      };
    });
  });

  it('I9: while it is locked takes it before the lock, or leaves it', async ({ expect }) => {
    const { repository, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
          (gate) => stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest, ALIVE),
        ],
        check: async ([locked, removed], schedule) => {
          const isRemoved = valueOf(removed);
          expect(valueOf(locked).ok, schedule).toBe(!isRemoved);
          expect(await stage.names()).toEqual(isRemoved ? [] : ['v1']);
          expect(await findViolations({ removed: [tag.id] }), schedule).toEqual([]);
        },
      };
    });
  });

  it('while the window changes goes by the one or the other', async ({ expect }) => {
    const { repository, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      await change('UPDATE namespace SET removed_tag_expiration_s = 1209600')((_call, run) =>
        run(),
      );
      const { tag, manifest } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest, ALIVE),
          change('UPDATE namespace SET removed_tag_expiration_s = 86400'),
        ],
        check: async ([removed], schedule) => {
          expect(valueOf(removed)).toBe(true);
          const [row] = await stage.generations('v1');
          expect([HORIZON_MS, START_MS - DAY_MS], schedule).toContain(row?.['lifetime_end_ms']);
          expect(await findViolations({ removed: [tag.id] }), schedule).toEqual([]);
        },
      };
    });
  });
});

describe('taking what ended out of the time machine', () => {
  it('while it is restored takes the old generation, and never the new one', async ({ expect }) => {
    const { repository, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest } = await stage.arrange();
      await stage.registry.deleteTag(repository, 'v1');
      const restore = { isReversion: true };
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', manifest, restore),
          (gate) => stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest),
        ],
        check: async ([restored, removed], schedule) => {
          expect(valueOf(removed), schedule).toBe(true);
          expect(await stage.generations('v1')).toMatchObject([
            { id: tag.id, lifetime_end_ms: HORIZON_MS },
            { id: valueOf(restored).id, is_current: 1, lifetime_end_ms: null },
          ]);
          expect(await findViolations({ removed: [tag.id] }), schedule).toEqual([]);
        },
      };
    });
  });

  it('while it is deleted takes what was deleted before, or nothing', async ({ expect }) => {
    const { repository, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      const { tag, manifest } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).deleteTag(repository, 'v1'),
          (gate) => stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest),
        ],
        check: async ([deleted, removed], schedule) => {
          expect(valueOf(deleted)?.id).toBe(tag.id);
          expect(await stage.generations('v1'), schedule).toMatchObject([
            { is_current: 0, lifetime_end_ms: valueOf(removed) ? HORIZON_MS : START_MS },
          ]);
          expect(await findViolations({ removed: [tag.id] }), schedule).toEqual([]);
        },
      };
    });
  });

  it('while its index is deleted takes the children along only if it takes the index', async ({
    expect,
  }) => {
    const { repository, registry, ...stage } = await openOneTag();
    await interleaveAll(async () => {
      await stage.clear();
      const child = await stage.image();
      await registry.createManifestWithTempTag(repository, child, 3600);
      const { tag, manifest } = await stage.push('v1', await anIndex([child]));
      const options = { includeSubmanifests: true };
      const [hidden] = await select('SELECT id FROM tag WHERE hidden = 1');
      return {
        racers: [
          (gate) => stage.behind(gate).deleteTag(repository, 'v1'),
          (gate) =>
            stage.behind(gate).removeTagFromTimemachine(repository, 'v1', manifest, options),
        ],
        check: async ([deleted, removed], schedule) => {
          expect(valueOf(deleted)?.id).toBe(tag.id);
          const isRemoved = valueOf(removed);
          const kept = await select('SELECT * FROM tag WHERE hidden = 1 AND is_current = 1');
          expect(kept, schedule).toHaveLength(isRemoved ? 0 : 1);
          const allowed = { removed: [tag.id, Number(hidden?.['id'])] };
          expect(await findViolations(allowed), schedule).toEqual([]);
        },
      };
    });
  });
});
