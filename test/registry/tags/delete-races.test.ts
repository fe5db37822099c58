import { describe, it } from 'vitest';

import { anIndex } from '../../support/content.ts';
import { interleaveAll } from '../../support/interleave.ts';
import { findViolations } from '../../support/invariants.ts';
import { change, codeOf, openStage, valueOf } from '../../support/stage.ts';

describe('deleting a tag', () => {
  it('twice at once gives the tag to one and null to the other', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const { tag } = await stage.push('latest', await stage.image());
      const before = await stage.generation();
      return {
        racers: [
          (gate) => stage.behind(gate).deleteTag(stage.repository, 'latest'),
          (gate) => stage.behind(gate).deleteTag(stage.repository, 'latest'),
        ],
        check: async (outcomes, schedule) => {
          const deleted = outcomes.map((outcome) => valueOf(outcome)?.id ?? null);
          expect(new Set(deleted), schedule).toEqual(new Set([tag.id, null]));
          expect(await stage.names()).toEqual([]);
          expect(await stage.generation()).toBe(before + 1);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('while it is pushed ends the old generation or the new one', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const old = await stage.push('latest', await stage.image());
      const next = await stage.image();
      return {
        racers: [
          (gate) => stage.push('latest', next, gate),
          (gate) => stage.behind(gate).deleteTag(stage.repository, 'latest'),
        ],
        check: async ([pushed, deleted], schedule) => {
          const endedId = valueOf(deleted)?.id;
          const fresh = valueOf(pushed).tag.id;
          expect([old.tag.id, fresh], schedule).toContain(endedId);
          const alive = await stage.registry.getRepoTag(stage.repository, 'latest');
          expect(alive?.id ?? null).toBe(endedId === fresh ? null : fresh);
          expect(await stage.generations('latest')).toHaveLength(2);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I9: while it is locked ends it before the lock, or is refused', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const { tag } = await stage.push('v1', await stage.image());
      return {
        racers: [
          (gate) => stage.behind(gate).deleteTag(stage.repository, 'v1'),
          change(`UPDATE tag SET immutable = 1 WHERE id = ${tag.id} AND is_current = 1
            RETURNING id`),
        ],
        check: async ([deleted, locked], schedule) => {
          const isLocked = valueOf(locked)[0]?.length === 1;
          expect(codeOf(deleted), schedule).toBe(isLocked ? 'TagImmutable' : null);
          expect(await stage.names()).toEqual(isLocked ? ['v1'] : []);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});

describe('deleting by digest', () => {
  it('while the manifest is pushed under another tag ends it too, or comes before it', async ({
    expect,
  }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image();
      const { manifest } = await stage.push('one', image);
      return {
        racers: [
          (gate) => stage.push('other', image, gate),
          (gate) => stage.behind(gate).deleteTagsForManifest(manifest),
        ],
        check: async ([pushed, deleted], schedule) => {
          const { tags } = valueOf(deleted);
          const { tag } = valueOf(pushed);
          const names = tags.map(({ name }) => name as string);
          expect(names[0], schedule).toBe('one');
          expect(await stage.names()).toEqual(names.includes(tag.name) ? [] : ['other']);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('while the tag moves to another manifest leaves the tag where it went', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const { manifest, tag: old } = await stage.push('latest', await stage.image());
      const next = await stage.image();
      return {
        racers: [
          (gate) => stage.push('latest', next, gate),
          (gate) => stage.behind(gate).deleteTagsForManifest(manifest),
        ],
        check: async ([pushed, deleted], schedule) => {
          const found = await stage.registry.getRepoTag(stage.repository, 'latest');
          expect(found, schedule).toEqual(valueOf(pushed).tag);
          const { tags } = valueOf(deleted);
          expect(tags.length === 0 || tags[0]?.id === old.id).toBe(true);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('I18: while one of its tags is locked ends all of them, or none', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const image = await stage.image();
      const { manifest, tag } = await stage.push('v1', image);
      await stage.push('v2', image);
      return {
        racers: [
          (gate) => stage.behind(gate).deleteTagsForManifest(manifest),
          change(`UPDATE tag SET immutable = 1 WHERE id = ${tag.id} AND is_current = 1
            RETURNING id`),
        ],
        check: async ([deleted, locked], schedule) => {
          const isLocked = valueOf(locked)[0]?.length === 1;
          expect(codeOf(deleted), schedule).toBe(isLocked ? 'TagImmutable' : null);
          expect(await stage.names()).toEqual(isLocked ? ['v1', 'v2'] : []);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('that finds the lock gone when it looks for its name begins again', async ({ expect }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const { manifest, tag } = await stage.push('v1', await stage.image());
      await change(`UPDATE tag SET immutable = 1 WHERE id = ${tag.id}`)((_call, run) => run());
      return {
        racers: [
          (gate) => stage.behind(gate).deleteTagsForManifest(manifest),
          change(`UPDATE tag SET immutable = 0 WHERE id = ${tag.id}`),
        ],
        check: async ([deleted], schedule) => {
          const code = codeOf(deleted);
          expect([null, 'TagImmutable'], schedule).toContain(code);
          expect(await stage.names()).toEqual(code === null ? [] : ['v1']);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });

  it('while an index that lists the manifest is pushed says truly what still holds it', async ({
    expect,
  }) => {
    const stage = await openStage();
    await interleaveAll(async () => {
      await stage.clear();
      const child = await stage.image();
      const { manifest } = await stage.push('child', child);
      const index = await anIndex([child]);
      return {
        racers: [
          (gate) => stage.push('index', index, gate),
          (gate) => stage.behind(gate).deleteTagsForManifest(manifest),
        ],
        check: async ([pushed, deleted], schedule) => {
          const { tag } = valueOf(pushed);
          expect(valueOf(deleted).tags).toHaveLength(1);
          const found = await stage.registry.lookupManifestByDigest(
            stage.repository,
            manifest.digest,
          );
          expect(found?.id, schedule).toBe(manifest.id);
          expect(await stage.names()).toEqual([tag.name]);
          expect(await findViolations(), schedule).toEqual([]);
        },
      };
    });
  });
});
