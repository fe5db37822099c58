import { describe, it } from 'vitest';

import type { Tag } from '../../../src/model/datatypes.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, START_MS } from '../../support/clock.ts';
import { markNotified, notifiedTags } from '../../support/expiry-marks.ts';
import { findViolations } from '../../support/invariants.ts';
import { execute, openStage, select } from '../../support/stage.ts';

const WEEK_MS = 7 * DAY_MS;
const outOfRange = (endMs: number) => ({
  code: 'ExpirationOutOfRange',
  detail: { tagName: 'v1', endMs },
});
const REPLACED = { ok: false, changed: false, endMs: null, previousEndMs: null };

/** A stage with one tag, v1, which never ends. */
async function aTag(settings = {}) {
  const stage = await openStage({ settings });
  const { tag, manifest } = await stage.push('v1', await stage.image());
  return {
    ...stage,
    tag,
    manifest,
    change: (endMs: number | null, target: Tag = tag) =>
      stage.registry.changeRepositoryTagExpiration(target, endMs === null ? null : new Date(endMs)),
    endMs: async (name = 'v1') =>
      (await stage.registry.getRepoTag(stage.repository, name))?.lifetimeEndMs,
  };
}

describe('changeRepositoryTagExpiration', () => {
  it.for([
    ['a second', SECOND_MS, HOUR_MS],
    ['an hour', HOUR_MS, HOUR_MS],
    ['a week', WEEK_MS, WEEK_MS],
    ['104 weeks', 104 * WEEK_MS, 104 * WEEK_MS],
    ['300 weeks', 300 * WEEK_MS, 104 * WEEK_MS],
  ] as const)(
    'scenario 13 (tags): keeps an end after %s within its bounds',
    async ([, chosen, given], { expect }) => {
      const { change, endMs } = await aTag();
      expect(await change(START_MS + chosen)).toEqual({
        ok: true,
        changed: true,
        endMs: START_MS + given,
        previousEndMs: null,
      });
      expect(await endMs()).toBe(START_MS + given);
      expect(await findViolations()).toEqual([]);
    },
  );

  it('counts from the start of the tag, whose milliseconds the end keeps', async ({ expect }) => {
    const stage = await openStage();
    stage.clock.advance(250);
    const { tag } = await stage.push('v1', await stage.image());
    stage.clock.advance(3 * HOUR_MS);
    const chosen = START_MS + DAY_MS + 900;
    await stage.registry.changeRepositoryTagExpiration(tag, new Date(chosen));
    const changed = await stage.registry.getRepoTag(stage.repository, 'v1');
    expect(changed).toEqual({
      ...tag,
      lifetimeEndMs: START_MS + DAY_MS + 250,
      lifetimeEndTs: Math.floor(chosen / 1000),
    });
  });

  it('scenarios 14 and 15 (tags), I14: sets an end and clears it, and says what it was', async ({
    expect,
  }) => {
    const { change, endMs, ...stage } = await aTag();
    const before = await stage.generation();
    expect(await change(START_MS + 2 * DAY_MS)).toEqual({
      ok: true,
      changed: true,
      endMs: START_MS + 2 * DAY_MS,
      previousEndMs: null,
    });
    expect(await change(START_MS + WEEK_MS)).toEqual({
      ok: true,
      changed: true,
      endMs: START_MS + WEEK_MS,
      previousEndMs: START_MS + 2 * DAY_MS,
    });
    expect(await change(null)).toEqual({
      ok: true,
      changed: true,
      endMs: null,
      previousEndMs: START_MS + WEEK_MS,
    });
    expect(await endMs()).toBeNull();
    expect(await stage.generation()).toBe(before + 3);
    // Nothing else about the row was touched.
    expect(await stage.generations('v1')).toMatchObject([
      { id: stage.tag.id, is_current: 1, hidden: 0, reversion: 0, immutable: 0 },
    ]);
    expect(await findViolations()).toEqual([]);
  });

  it('writes nothing if the end is the same', async ({ expect }) => {
    const { change, ...stage } = await aTag();
    expect(await change(null)).toEqual({
      ok: true,
      changed: false,
      endMs: null,
      previousEndMs: null,
    });
    await change(START_MS + DAY_MS);
    await markNotified(stage.repository, [stage.tag.id]);
    const before = await stage.generation();
    expect(await change(START_MS + DAY_MS + 999)).toEqual({
      ok: true,
      changed: false,
      endMs: START_MS + DAY_MS,
      previousEndMs: START_MS + DAY_MS,
    });
    expect(await stage.generation()).toBe(before);
    expect(await notifiedTags()).toEqual([stage.tag.id]);
  });

  it('forgets that somebody was told of the old end, of this tag only', async ({ expect }) => {
    const { change, ...stage } = await aTag();
    const { tag: other } = await stage.push('v2', await stage.image());
    await markNotified(stage.repository, [stage.tag.id, other.id]);
    await change(START_MS + DAY_MS);
    expect(await notifiedTags()).toEqual([other.id]);
  });

  it('refuses an end that the bounds leave in the past', async ({ expect }) => {
    const { change, clock, ...stage } = await aTag();
    clock.advance(2 * HOUR_MS);
    await expect(change(START_MS + MINUTE_MS)).rejects.toMatchObject(
      outOfRange(START_MS + HOUR_MS),
    );
    await expect(change(START_MS + 2 * HOUR_MS)).rejects.toMatchObject(
      outOfRange(START_MS + 2 * HOUR_MS),
    );
    clock.set(START_MS + 105 * WEEK_MS);
    await expect(change(START_MS + 106 * WEEK_MS)).rejects.toMatchObject(
      outOfRange(START_MS + 104 * WEEK_MS),
    );
    expect(await stage.names()).toEqual(['v1']);
    await expect(change(Number.NaN)).rejects.toThrow(RangeError);
  });

  it('I5: changes no row that was replaced, is over, or is hidden', async ({ expect }) => {
    const { change, clock, manifest, ...stage } = await aTag();
    await change(START_MS + HOUR_MS);
    clock.set(START_MS + HOUR_MS);
    expect(await change(null)).toEqual(REPLACED);
    const { tag: replaced } = await stage.push('v1', await stage.image());
    const { tag: current } = await stage.push('v1', await stage.image());
    expect(await change(START_MS + DAY_MS, replaced)).toEqual(REPLACED);
    await stage.registry.deleteTag(stage.repository, 'v1');
    expect(await change(null, current)).toEqual(REPLACED);
    expect(await change(null, { ...current, id: 1_000_000 })).toEqual(REPLACED);

    await stage.registry.lookupManifestByDigest(stage.repository, manifest.digest, {
      allowDead: true,
      requireAvailable: true,
    });
    const [hidden] = await select('SELECT id FROM tag WHERE hidden = 1');
    expect(await change(null, { ...current, id: Number(hidden?.['id']) })).toEqual(REPLACED);
    expect(await stage.names()).toEqual([]);
    expect(await findViolations()).toEqual([]);
  });

  it('scenario 34 (tags): refuses an end for an immutable tag, even the one it has', async ({
    expect,
  }) => {
    const { change, endMs, ...stage } = await aTag();
    const refusal = {
      code: 'TagImmutable',
      message: "Cannot set expiration on immutable tag 'v1'",
      detail: {
        tagName: 'v1',
        operation: 'set expiration on',
        repositoryId: stage.repository.id,
      },
    };
    await stage.registry.changeTagImmutability(stage.tag, true);
    await expect(change(START_MS + DAY_MS)).rejects.toMatchObject(refusal);
    // The refusal comes before the question whether the end is in range.
    stage.clock.advance(2 * HOUR_MS);
    await expect(change(START_MS + MINUTE_MS)).rejects.toMatchObject(refusal);
    // Clearing is always allowed.
    expect(await change(null)).toMatchObject({ ok: true, changed: false });
    await execute('UPDATE tag SET lifetime_end_ms = ?', START_MS + DAY_MS);
    await execute('UPDATE repository_gc SET earliest_end_ms = 0');
    await expect(change(START_MS + DAY_MS)).rejects.toMatchObject(refusal);
    expect(await change(null)).toMatchObject({ ok: true, changed: true });
    expect(await endMs()).toBeNull();
    expect(await findViolations()).toEqual([]);
  });

  it.for([[{ immutableTagsCanExpire: true }], [{ immutableTags: false }]])(
    'scenario 34 (tags): gives an immutable tag an end with %j',
    async ([settings], { expect }) => {
      const { change, endMs, ...stage } = await aTag(settings);
      await stage.registry.changeTagImmutability(stage.tag, true);
      expect(await change(START_MS + DAY_MS)).toMatchObject({ ok: true, changed: true });
      expect(await endMs()).toBe(START_MS + DAY_MS);
      expect(await findViolations({ lockedMayEnd: true })).toEqual([]);
    },
  );

  it('I11: changes nothing in a repository that is marked for deletion', async ({ expect }) => {
    const { change, ...stage } = await aTag();
    await execute('UPDATE repository SET state = 3');
    const before = await stage.generation();
    expect(await change(START_MS + DAY_MS)).toEqual(REPLACED);
    expect(await stage.generation()).toBe(before);
    expect(await stage.generations('v1')).toMatchObject([{ lifetime_end_ms: null }]);
  });
});

describe('setTagsExpirationForManifest', () => {
  it('ends each tag by its own start, and I14: raises the generation once', async ({ expect }) => {
    const { registry, manifest, clock, ...stage } = await aTag();
    const image = await stage.image();
    const other = await stage.push('other', image);
    clock.advance(MINUTE_MS);
    await registry.retargetTag(stage.repository, 'v2', manifest);
    const before = await stage.generation();
    await markNotified(stage.repository, [stage.tag.id, other.tag.id]);
    expect(await registry.setTagsExpirationForManifest(manifest, 7200)).toBe(2);
    expect(await stage.endMs('v1')).toBe(START_MS + 2 * HOUR_MS);
    expect(await stage.endMs('v2')).toBe(START_MS + 2 * HOUR_MS + MINUTE_MS);
    expect(await stage.endMs('other')).toBeNull();
    expect(await stage.generation()).toBe(before + 1);
    expect(await notifiedTags()).toEqual([other.tag.id]);
    expect(await findViolations()).toEqual([]);
  });

  it('keeps to no bounds: tags that are older end at once, and stay in the history', async ({
    expect,
  }) => {
    const { registry, manifest, clock, ...stage } = await aTag();
    clock.advance(3 * HOUR_MS);
    await registry.retargetTag(stage.repository, 'v2', manifest);
    expect(await registry.setTagsExpirationForManifest(manifest, 60)).toBe(2);
    expect(await stage.names()).toEqual(['v2']);
    expect(await stage.generations('v1')).toMatchObject([
      { lifetime_end_ms: START_MS + MINUTE_MS },
    ]);
    // I5: the one that is over now is not revived.
    expect(await registry.setTagsExpirationForManifest(manifest, 86_400)).toBe(1);
    expect(await stage.names()).toEqual(['v2']);
    expect(await findViolations()).toEqual([]);
  });

  it('leaves hidden, ended and moved rows alone', async ({ expect }) => {
    const { registry, repository, manifest, ...stage } = await aTag();
    const image = await stage.image();
    await registry.deleteTag(repository, 'v1');
    await registry.lookupManifestByDigest(repository, manifest.digest, {
      allowDead: true,
      requireAvailable: true,
    });
    await registry.retargetTag(repository, 'v2', manifest);
    await stage.push('v2', image);
    const rows = await select('SELECT * FROM tag');
    const before = await stage.generation();
    expect(await registry.setTagsExpirationForManifest(manifest, 86_400)).toBe(0);
    expect(await select('SELECT * FROM tag')).toEqual(rows);
    expect(await stage.generation()).toBe(before);
  });

  it.for([
    [{}, 1],
    [{ immutableTagsCanExpire: true }, 2],
    [{ immutableTags: false }, 2],
  ] as const)(
    'I10: with %j gives an end to %i of two tags, one of them immutable',
    async ([settings, count], { expect }) => {
      const { registry, repository, manifest, tag, ...stage } = await aTag(settings);
      await registry.retargetTag(repository, 'v2', manifest);
      await registry.changeTagImmutability(tag, true);
      await markNotified(repository, [tag.id]);
      expect(await registry.setTagsExpirationForManifest(manifest, 86_400)).toBe(count);
      expect(await stage.endMs('v1')).toBe(count === 1 ? null : START_MS + DAY_MS);
      expect(await notifiedTags()).toEqual(count === 1 ? [tag.id] : []);
      expect(await stage.endMs('v2')).toBe(START_MS + DAY_MS);
      expect(await findViolations({ lockedMayEnd: count === 2 })).toEqual([]);
    },
  );

  it('takes no lifetime that is none', async ({ expect }) => {
    const { registry, manifest } = await aTag();
    for (const seconds of [-1, Number.NaN, Number.MAX_SAFE_INTEGER, 0.0005]) {
      await expect(registry.setTagsExpirationForManifest(manifest, seconds)).rejects.toThrow(
        RangeError,
      );
    }
  });

  it('I11: changes nothing in a repository that is marked for deletion', async ({ expect }) => {
    const { registry, manifest, ...stage } = await aTag();
    await execute('UPDATE repository SET state = 3');
    const before = await stage.generation();
    expect(await registry.setTagsExpirationForManifest(manifest, 60)).toBe(0);
    expect(await stage.generation()).toBe(before);
  });
});
