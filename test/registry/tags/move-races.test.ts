import { describe, it } from 'vitest';

import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { change, codeOf, execute, openStage, select, valueOf } from '../../support/stage.ts';

/** A stage; `arrange` puts v1 on one image, and another image under another name. */
async function aTagAndATarget() {
  const stage = await openStage();
  return {
    ...stage,
    async arrange(labels = {}) {
      await stage.clear();
      const { tag, manifest: source } = await stage.push('v1', await stage.image());
      const { manifest: target } = await stage.push('target', await stage.image({ labels }));
      return { tag, source, target, before: await stage.generation() };
    },
    current: async () => (await stage.generations('v1')).filter((row) => row['is_current'] === 1),
  };
}

describe('moving a tag', () => {
  it('twice at once does both, one after the other (I1, I2, I3, I14)', async ({ expect }) => {
    const { repository, ...stage } = await aTagAndATarget();
    const count = await interleaveAll(async () => {
      const { source, target, before } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', source),
        ],
        check: async (outcomes, schedule) => {
          const made = outcomes.map((outcome) => valueOf(outcome).id);
          const rows = await stage.generations('v1');
          expect(rows.slice(1).map(({ id }) => id)).toEqual(made.toSorted((a, b) => a - b));
          expect(rows.map((row) => row['is_current'])).toEqual([0, 0, 1]);
          for (const at of [0, 1]) {
            expect(rows[at]?.['lifetime_end_ms']).toBe(rows[at + 1]?.['lifetime_start_ms']);
          }
          expect(await stage.generation()).toBe(before + 2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(count).toBe(6);
  });

  it('while it is pushed does both, one after the other', async ({ expect }) => {
    const { repository, ...stage } = await aTagAndATarget();
    await interleaveAll(async () => {
      const { target, before } = await stage.arrange();
      const next = await stage.image();
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
          (gate) => stage.push('v1', next, gate),
        ],
        check: async ([moved, pushed], schedule) => {
          const made = [valueOf(moved).id, valueOf(pushed).tag.id];
          const rows = await stage.generations('v1');
          expect(rows.slice(1).map(({ id }) => id)).toEqual(made.toSorted((a, b) => a - b));
          expect(await stage.generation()).toBe(before + 2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('while it is deleted ends the old generation or the new one', async ({ expect }) => {
    const { repository, ...stage } = await aTagAndATarget();
    await interleaveAll(async () => {
      const { tag, target, before } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
          (gate) => stage.behind(gate).deleteTag(repository, 'v1'),
        ],
        check: async ([moved, deleted], schedule) => {
          const movedId = valueOf(moved).id;
          const deletedId = valueOf(deleted)?.id;
          expect([tag.id, movedId], schedule).toContain(deletedId);
          const current = await stage.current();
          expect(current.map(({ id }) => id)).toEqual(deletedId === movedId ? [] : [movedId]);
          expect(await stage.generations('v1')).toHaveLength(2);
          expect(await stage.generation()).toBe(before + 2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it.for([['source'], ['target']] as const)(
    'while the tags of its %s are deleted ends where it was or where it went',
    async ([end], { expect }) => {
      const { repository, ...stage } = await aTagAndATarget();
      await interleaveAll(async () => {
        const { tag, source, target } = await stage.arrange();
        const deletes = end === 'source' ? source : target;
        return {
          racers: [
            (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
            (gate) => stage.behind(gate).deleteTagsForManifest(deletes),
          ],
          check: async ([moved, deleted], schedule) => {
            const { id: movedId } = valueOf(moved);
            const ended = valueOf(deleted).tags.filter(({ name }) => name === 'v1');
            const endedIds = ended.map(({ id }) => id);
            expect(endedIds, schedule).toEqual(
              endedIds.length === 0 ? [] : [end === 'source' ? tag.id : movedId],
            );
            const isGone = end === 'target' && endedIds.length === 1;
            const current = await stage.current();
            expect(current.map(({ id }) => id)).toEqual(isGone ? [] : [movedId]);
            expect(await findViolations(), schedule).toEqual([]);
          },
        };
      });
    },
  );

  it('I9: while it is locked moves it before the lock, or is refused', async ({ expect }) => {
    const { repository, ...stage } = await aTagAndATarget();
    const seen = new Set<string | null>();
    await interleaveAll(async () => {
      const { tag, target } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
          (gate) => stage.behind(gate).changeTagImmutability(tag, true),
        ],
        check: async ([moved, locked], schedule) => {
          const { ok } = valueOf(locked);
          seen.add(codeOf(moved));
          expect(codeOf(moved), schedule).toBe(ok ? 'TagImmutable' : null);
          expect(await stage.current()).toMatchObject([
            ok ? { id: tag.id, immutable: 1 } : { digest: target.digest, immutable: 0 },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
    expect(seen).toEqual(new Set([null, 'TagImmutable']));
  });

  it('I9: while it is unlocked is refused before, or moves it after', async ({ expect }) => {
    const { repository, ...stage } = await aTagAndATarget();
    await interleaveAll(async () => {
      const { tag, target } = await stage.arrange();
      await stage.registry.changeTagImmutability(tag, true);
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
          (gate) => stage.behind(gate).changeTagImmutability(tag, false),
        ],
        check: async ([moved, unlocked], schedule) => {
          expect(valueOf(unlocked)).toEqual({ ok: true, previous: true });
          const code = codeOf(moved);
          expect([null, 'TagImmutable'], schedule).toContain(code);
          expect(await stage.current()).toMatchObject([
            { digest: code === null ? target.digest : tag.manifestDigest, immutable: 0 },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});

describe('a move while', () => {
  it('a policy that locks the name comes evaluates it, or is there before it', async ({
    expect,
  }) => {
    const { repository, ...stage } = await aTagAndATarget();
    await interleaveAll(async () => {
      await execute('DELETE FROM repository_immutability_policy');
      const { target } = await stage.arrange();
      const { id } = repository;
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'new', target),
          change(
            `INSERT INTO repository_immutability_policy (uuid, repository_id, tag_pattern)
              VALUES ('${crypto.randomUUID()}', ${id}, 'new')`,
            `UPDATE repository SET immutability_epoch = immutability_epoch + 1 WHERE id = ${id}`,
            "UPDATE tag SET immutable = 1 WHERE name = 'new' RETURNING id",
          ),
        ],
        check: async ([moved, policy], schedule) => {
          const wasFirst = valueOf(policy)[2]?.length === 1;
          expect(valueOf(moved).immutable, schedule).toBe(!wasFirst);
          expect(await stage.generations('new')).toMatchObject([{ immutable: 1 }]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('all tags of the manifest are locked misses no lock', async ({ expect }) => {
    const { repository, ...stage } = await aTagAndATarget();
    await interleaveAll(async () => {
      const { target } = await stage.arrange({ 'quay.expires-after': '1h' });
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'new', target),
          // As the labels' handler does it: the label, and its effect on the tags that are there.
          change(
            `INSERT INTO manifest_label
              (uuid, manifest_id, repository_id, key, value, media_type, source_type)
              VALUES ('${crypto.randomUUID()}', ${target.id}, ${repository.id},
                'quay.immutable', 'true', 'text/plain', 'api')`,
            `UPDATE tag SET immutable = 1, lifetime_end_ms = NULL WHERE manifest_id = ${target.id}`,
          ),
        ],
        check: async ([moved], schedule) => {
          valueOf(moved);
          expect(await stage.generations('new')).toMatchObject([
            { immutable: 1, lifetime_end_ms: null },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I11: its target is collected holds it, or is refused', async ({ expect }) => {
    const { repository, ...stage } = await aTagAndATarget();
    await interleaveAll(async () => {
      const { tag, target } = await stage.arrange({ 'quay.expires-after': '1h' });
      await stage.registry.deleteTag(repository, 'target');
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'v1', target),
          change(
            "DELETE FROM tag WHERE name = 'target'",
            `DELETE FROM manifest WHERE id = ${target.id} AND NOT EXISTS
              (SELECT 1 FROM tag WHERE manifest_id = ${target.id}) RETURNING id`,
          ),
        ],
        check: async ([moved, collected], schedule) => {
          const isCollected = valueOf(collected)[1]?.length === 1;
          expect(codeOf(moved), schedule).toBe(isCollected ? 'RetargetFailed' : null);
          expect(await stage.current()).toMatchObject([
            { digest: isCollected ? tag.manifestDigest : target.digest },
          ]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I11: its repository is marked for deletion leaves nothing in it afterwards', async ({
    expect,
  }) => {
    const { repository, ...stage } = await aTagAndATarget();
    await interleaveAll(async () => {
      const { target } = await stage.arrange();
      return {
        racers: [
          (gate) => stage.behind(gate).retargetTag(repository, 'new', target),
          change('UPDATE repository SET state = 3', "SELECT id FROM tag WHERE name = 'new'"),
        ],
        check: async ([moved, marked], schedule) => {
          const wasFirst = valueOf(marked)[1]?.length === 1;
          expect(codeOf(moved), schedule).toBe(wasFirst ? null : 'RetargetFailed');
          expect(await select("SELECT id FROM tag WHERE name = 'new'")).toHaveLength(
            wasFirst ? 1 : 0,
          );
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('policies change before each of its attempts gives up, and leaves no trace', async ({
    expect,
  }) => {
    const { repository, ...stage } = await aTagAndATarget();
    const { target } = await stage.arrange();
    const rows = await select('SELECT * FROM tag');
    let calls = 0;
    const moving = stage.behind(async (_call, run) => {
      calls += 1;
      if (calls % 2 === 0) {
        await execute('UPDATE namespace SET immutability_epoch = immutability_epoch + 1');
      }
      return run();
    });
    await expect(moving.retargetTag(repository, 'v1', target)).rejects.toMatchObject({
      code: 'Conflict',
      detail: { attempts: 3 },
    });
    expect(calls).toBe(6);
    expect(await select('SELECT * FROM tag')).toEqual(rows);
  });
});
